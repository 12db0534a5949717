"""Two runs at once: what the other one creates while this one looks is no renamed deployment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Refused
from aws_setup.infrastructure.renamed_cluster import refuse_renamed
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connect import owner_labels
from aws_setup.kube.connection import ClusterConnection
from aws_setup.openwhisk.renamed_release import refuse_renamed_release
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support import eks
from tests.support.kube import connect

CONFIG = Config(ssh_keypair_name="k", ssh_key_path="/k")


@pytest.mark.parametrize("name", [CONFIG.eks_cluster_name, "other"])
def test_a_cluster_that_another_run_creates_after_this_one_listed_them(
    cloud: RehearsalCloud, name: str
) -> None:
    config, aws = CONFIG.model_copy(update={"create_vpc": False}), Aws(region="us-east-1")
    inventory = Inventory(aws, config)
    ctx: Any = SimpleNamespace(config=config, aws=aws, inventory=inventory)
    try:
        assert inventory.all("eks cluster") == []
        eks.make().cluster(name, tags={"lambda-fs:deployment": config.deployment_name})
        if name == config.eks_cluster_name:
            refuse_renamed(ctx)
        else:
            with pytest.raises(Refused, match="the deployment's EKS cluster is other"):
                refuse_renamed(ctx)
    finally:
        inventory.close()
        aws.close()


@pytest.mark.parametrize("name", [CONFIG.openwhisk_release, "other"])
def test_keys_that_another_run_creates_after_this_one_looked_for_them(
    kube: KubeApiServer, name: str
) -> None:
    metadata = {
        "name": f"{name}-lambda-fs",
        "namespace": CONFIG.openwhisk_namespace,
        "labels": owner_labels(CONFIG),
    }
    kube.state.put("secrets", {"metadata": metadata, "data": {}})
    client = KubeClient(ClusterConnection.of_library(connect(kube)), SystemClock())
    ctx: Any = SimpleNamespace(config=CONFIG)
    if name == CONFIG.openwhisk_release:
        refuse_renamed_release(ctx, client)
    else:
        with pytest.raises(Refused, match="OpenWhisk is release other in namespace openwhisk"):
            refuse_renamed_release(ctx, client)
