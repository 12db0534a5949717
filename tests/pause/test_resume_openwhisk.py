"""resume and OpenWhisk: a job that has failed for good ends the wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.cli.aws_commands import open_aws
from aws_setup.config import load_config
from aws_setup.engine.step import Found
from aws_setup.errors import SetupError
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterConnection
from aws_setup.pause.openwhisk import ResumedOpenWhisk
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import StillClock, connect, kube
from tests.support.scripts import prepare

__all__ = ["kube"]

FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "owdev-install-packages",
        "namespace": "openwhisk",
        "uid": "u",
        "labels": {"release": "owdev"},
    },
    "spec": {"template": {"spec": {"containers": []}}},
    "status": {"conditions": [FAILED], "failed": 7},
}


def test_a_job_that_has_failed_for_good_ends_the_wait_of_resume(
    cloud: RehearsalCloud, kube: KubeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube.state.put("jobs", JOB)
    folder, clock = prepare(tmp_path / "work"), StillClock()
    config = load_config(folder / "config_aws.yaml", environ={})
    aws = open_aws(config)
    inventory = Inventory(aws, config)
    ctx = Context(config=config, aws=aws, clock=clock, inventory=inventory)
    client = KubeClient(ClusterConnection.of_library(connect(kube)), clock)
    of_release = ("readiness", "release_objects", "one_time_jobs")
    for module in ("eks.storage", *(f"openwhisk.{name}" for name in of_release)):
        monkeypatch.setattr(f"aws_setup.{module}.kube_client", lambda _: client)
    try:
        with pytest.raises(SetupError, match="job owdev-install-packages failed") as caught:
            ResumedOpenWhisk().wait(ctx, Found("owdev", "starting"))
    finally:
        inventory.close()
        aws.close()
    assert "configure_eks_cluster.py" in caught.value.problems[0].hint
    assert clock.slept == []
