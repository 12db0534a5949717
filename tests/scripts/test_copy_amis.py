"""A region without the λFS AMIs: --copy-amis copies them, destroy --images deletes the copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.config import Config
from aws_setup.preflight.policy_document import policy
from aws_setup.rehearsal.aws.ec2.images import Images, SharedSnapshots
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT, Settings
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run

REGION = "eu-west-1"
KEYS: dict[str, Any] = {
    "aws_region": REGION,
    "create_ndb_cluster": False,
    "create_hops_fs_client_vm": False,
    "create_autoscaling_groups": False,
    "create_eks_cluster": False,
}


@pytest.fixture
def settings() -> Settings:
    """The caller has no more permissions than the published policy."""
    keys = Config(ssh_keypair_name="k", ssh_key_path="k", **KEYS)
    own = {"Effect": "Allow", "Action": "ec2:ImportKeyPair", "Resource": "*"}
    document = policy(keys, account=ACCOUNT)
    return Settings(speed=0, policies=[document, {"Version": "2012-10-17", "Statement": [own]}])


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AWS_REGION", REGION)
    return prepare(tmp_path / "work", **KEYS)


def owned(cloud: RehearsalCloud, *kinds: str) -> list[Any]:
    """Return the resources of the deployment of some kinds; all without any."""
    found = [item for item in cloud.snapshot() if item.tags.get("lambda-fs:deployment")]
    return [item for item in found if not kinds or item.kind in kinds]


def steps(document: Any) -> dict[str, Any]:
    return {step["name"]: step for step in document["steps"]}


def test_amis_are_copied_used_kept_and_deleted(cloud: RehearsalCloud, folder: Path) -> None:
    refused = run(SCRIPT, folder, "--yes", "--json")
    assert refused.exit_code == 2
    about_amis = [it for it in refused.document["problems"] if "AMI" in it["what"]]
    assert ["--copy-amis" in it["hint"] for it in about_amis] == [True], "one for all AMIs"
    planned = steps(run(SCRIPT, folder, "plan", "--copy-amis", "--json").document)
    copy = planned["ami copy zookeeper"]
    assert copy["action"] == "create"
    for text in ("from us-east-1", "encrypted", "108 GiB", "transfer $2.16", "minutes"):
        assert text in copy["details"]
    assert not owned(cloud)
    made = run(SCRIPT, folder, "--copy-amis", "--yes", "--json")
    assert made.exit_code == 0, made.document["problems"]
    assert made.document["prices"]["parts"]["amis"] > 0
    _are_encrypted_copies(folder)
    again = run(SCRIPT, folder, "--yes", "--json")
    assert again.exit_code == 0, again.document["problems"]
    assert {step["action"] for step in again.document["steps"]} == {"exists"}, "without the option"
    gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert gone.exit_code == 0, gone.document["problems"]
    assert "destroy --images" in json.dumps(gone.document["warnings"])
    assert {item.kind for item in owned(cloud)} == {"image", "snapshot"}
    reused = steps(run(SCRIPT, folder, "plan", "--copy-amis", "--json").document)
    assert reused["ami copy zookeeper"]["action"] == "exists", "a second copy would cost again"
    assert run(SCRIPT, folder, "destroy", "--images", "--yes", "--json").exit_code == 0
    assert owned(cloud) == []
    only = ("--copy-amis", "--only", "ami copy zookeeper", "--yes")
    assert run(SCRIPT, folder, *only).exit_code == 0, (
        "the token of a deleted copy is not used again"
    )
    assert len(owned(cloud, "image")) == 1
    cloud.store_of(Images).pop((REGION, owned(cloud, "image")[0].id))
    left = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert "destroy --images" in json.dumps(left.document["warnings"]), "snapshots are billed"
    assert run(SCRIPT, folder, "destroy", "--images", "--yes").exit_code == 0
    assert owned(cloud) == [], "snapshots that an interrupted deletion has left"


def _are_encrypted_copies(folder: Path) -> None:
    """The machines run on encrypted copies; the lock file names what they were copied from."""
    ec2 = client("ec2", REGION)
    copies = {image["ImageId"]: image for image in ec2.describe_images(Owners=["self"])["Images"]}
    groups = ec2.describe_instances()["Reservations"]
    used = {machine["ImageId"] for group in groups for machine in group["Instances"]}
    assert used <= copies.keys()
    assert len(copies) == 3, "only what is used: two clients and ZooKeeper"
    disks = [disk for image in copies.values() for disk in image["BlockDeviceMappings"]]
    assert all(disk["Ebs"]["Encrypted"] for disk in disks)
    lock = yaml.safe_load((folder / "receipts" / "lambda-fs.lock.yaml").read_text())
    assert lock["infrastructure"]["amis"]["zookeeper_ami"]["id"] == "ami-0700bf4465e5fd16d"
    assert lock["configuration"]["zookeeper_ami"] == "ami-0700bf4465e5fd16d"


def test_where_the_amis_are_nothing_is_copied(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    folder = prepare(tmp_path / "here", **KEYS | {"aws_region": "us-east-1"})
    planned = run(SCRIPT, folder, "plan", "--copy-amis", "--json")
    assert planned.exit_code == 0
    states = {name: step["state"] for name, step in steps(planned.document).items()}
    assert states["ami copy zookeeper"] == "skipped: us-east-1 has the λFS AMIs"


@pytest.mark.parametrize("verb", ["plan", "create"])
def test_an_ami_whose_snapshots_are_not_shared_is_refused_before_anything_is_made(
    cloud: RehearsalCloud, folder: Path, verb: str
) -> None:
    """AWS says it of CopyImage alone, when the cluster is being created already."""
    source = "ami-0700bf4465e5fd16d"
    image = cloud.store_of(Images)["us-east-1", source]
    hidden = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    del cloud.store_of(SharedSnapshots)["us-east-1", hidden]
    before = len(cloud.calls.writes())
    ended = run(SCRIPT, folder, verb, "--copy-amis", "--yes", "--json")
    assert ended.exit_code == 2
    (problem,) = ended.document["problems"]
    assert problem["what"] == f"the AMI {source} cannot be copied to {REGION}"
    assert hidden in problem["why"]
    assert "aws ec2 create-image" in problem["hint"]
    assert len(cloud.calls.writes()) == before
    ended = run(SCRIPT, folder, verb, "--yes", "--json", "--copy-amis", "--only", "vpc")
    assert ended.exit_code == 0, "nothing is copied"


def test_an_ami_that_is_withdrawn_is_refused_before_anything_is_made(
    cloud: RehearsalCloud, folder: Path
) -> None:
    source = "ami-0700bf4465e5fd16d"
    del cloud.store_of(Images)["us-east-1", source]
    ended = run(SCRIPT, folder, "create", "--copy-amis", "--yes", "--json")
    assert ended.exit_code == 2
    assert [it["what"] for it in ended.document["problems"]] == [
        f"the AMI {source} cannot be copied"
    ]
    assert owned(cloud) == []
