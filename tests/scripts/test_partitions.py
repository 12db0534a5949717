"""China and GovCloud: every ARN begins with the caller's partition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT, Image, Settings
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

MINE = "ami-0123456789abcdef0"


def partition_settings(partition: str, region: str) -> Settings:
    principal = f"arn:{partition}:iam::{ACCOUNT}:user/rehearsal"
    images = [Image(id=MINE, name="client", region=region)]
    return Settings(speed=0, principal=principal, images=[*Settings().images, *images])


@pytest.mark.kind("A5")
@pytest.mark.parametrize(
    ("settings", "region"),
    [
        (partition_settings("aws-us-gov", "us-gov-west-1"), "us-gov-west-1"),
        (partition_settings("aws-cn", "cn-north-1"), "cn-north-1"),
    ],
    ids=["gov", "china"],
)
def test_a_deployment_in_another_partition(
    cloud: RehearsalCloud, tmp_path: Path, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    keys: dict[str, Any] = {
        "aws_region": region,
        "create_ndb_cluster": False,
        "create_zookeeper_vms": False,
        "create_hops_fs_client_vm": False,
        "create_launch_templates": False,
        "create_autoscaling_groups": False,
    }
    folder = prepare(tmp_path / "work", **keys)
    refused = run(SCRIPT, folder, "--yes", "--json").document
    problem = next(one for one in refused["problems"] if "AMI" in one["what"])
    assert refused["result"] == "refused"
    assert "lambda_fs_client_ami" in problem["hint"]
    assert "copy-image" not in problem["hint"]
    assert "partition" in problem["why"]
    prepare(folder, **keys, lambda_fs_client_ami=MINE)
    created = run(SCRIPT, folder, "--yes", "--json")
    assert created.exit_code == 0, created.document["problems"]
    role = client("iam", region).get_role(RoleName="lambda-fs-eks-cluster-role")["Role"]
    assert role["Arn"].startswith(f"arn:{cloud.settings.partition}:iam::")
    assert run(SCRIPT, folder, "plan", "--json").document["problems"] == []
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0
    assert [item for item in cloud.snapshot() if item.tags.get("lambda-fs:deployment")] == []
