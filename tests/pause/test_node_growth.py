"""More nodes of a group that exists: the run ends when they are there, or with the cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import NODE_SCRIPT, NODES, SMALL, deploy, instances, node_group
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import run, write_config


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


def configure(folder: Path) -> dict[str, Any]:
    nodes = [word for name in NODES for word in ("--only", name)]
    return run(NODE_SCRIPT, folder, "configure", *nodes, "--yes", "--json").document


def running(name: str) -> int:
    tags = [{tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in instances().values()]
    return sum(one.get("eks:nodegroup-name") == name for one in tags)


def test_nodes_that_cannot_be_launched_are_no_success(
    deployed: RehearsalCloud, folder: Path
) -> None:
    write_config(folder, **{**SMALL, "num_openwhisk_invoker_vms": 4})
    deployed.settings.quotas.vcpus = 0
    failed = configure(folder)
    assert failed["result"] == "failed"
    (problem,) = failed["problems"]
    assert "invoker-nodes: 2 of 4 nodes" in problem["what"]
    assert "vCPU" in problem["why"]
    assert "request an increase" in problem["hint"]
    assert node_group("invoker-nodes")["status"] == "ACTIVE", "EKS itself says nothing"


def test_a_run_ends_when_the_new_nodes_are_there(deployed: RehearsalCloud, folder: Path) -> None:
    write_config(folder, **{**SMALL, "num_openwhisk_invoker_vms": 4})
    assert configure(folder)["result"] == "ok"
    assert running("invoker-nodes") == 4
