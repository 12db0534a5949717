"""destroy after a colleague's cluster is gone: his volumes are kept, ours are deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client, tagged
from tests.support.scripts import prepare, run

CLUSTER = "kubernetes.io/cluster/shared"
CLAIM = "kubernetes.io/created-for/pvc/name"


@pytest.mark.parametrize("creates", [True, False])
def test_volumes_of_a_cluster_that_was_only_used_are_kept(
    cloud: RehearsalCloud, tmp_path: Path, creates: bool
) -> None:
    folder = prepare(tmp_path / "work", eks_cluster_name="shared", create_eks_cluster=creates)
    ec2 = client("ec2")

    def volume(**owner: str) -> str:
        tags = tagged("volume", **{CLUSTER: "owned", CLAIM: "data"}, **owner)
        made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tags)
        return str(made["VolumeId"])

    foreign, own = volume(), volume(**{"lambda-fs:deployment": "lambda-fs"})
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 0, ended.document
    left = {item["VolumeId"] for item in ec2.describe_volumes()["Volumes"]}
    assert own not in left
    assert (foreign in left) is not creates
