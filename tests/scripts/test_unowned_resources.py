"""Resources with the deployment's names and another owner: destroy reports and skips them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run, write_config


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def ids(cloud: RehearsalCloud) -> set[tuple[str, str]]:
    """Return kind and id of everything that exists."""
    return {(resource.kind, resource.id) for resource in cloud.snapshot()}


def volume(**tags: str) -> str:
    """Create a volume that is attached to nothing."""
    listed = [{"Key": key.replace("__", "/"), "Value": value} for key, value in tags.items()]
    made = client("ec2").create_volume(
        AvailabilityZone="us-east-1a",
        Size=1,
        TagSpecifications=[{"ResourceType": "volume", "Tags": listed}],
    )
    return str(made["VolumeId"])


def test_destroy_of_a_deployment_leaves_another_one_with_the_same_cluster_name(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    cluster = {"kubernetes.io__cluster__lambda-fs-eks-cluster": "owned"}
    kept = volume(**cluster)
    before = ids(cloud)
    write_config(folder, deployment_name="other")
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 0
    assert ids(cloud) == before
    assert ("volume", kept) in before
    warned = {one["what"]: one["why"] for one in ended.document["warnings"]}
    assert warned["skipping eks cluster lambda-fs-eks-cluster"] == (
        "its tag names lambda-fs, not other"
    )


def test_a_volume_of_another_deployment_stays_when_no_cluster_is_left(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    cluster = {"kubernetes.io__cluster__lambda-fs-eks-cluster": "owned"}
    unowned = volume(**cluster, **{"lambda-fs:deployment": "other"})
    owned = volume(**cluster)
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0
    left = {volume_id for kind, volume_id in ids(cloud) if kind == "volume"}
    assert unowned in left
    assert owned not in left


def test_a_protected_load_balancer_is_named_and_not_forced(
    cloud: RehearsalCloud, folder: Path
) -> None:
    parts = ("--only", "public subnet 1", "--only", "public subnet 2", "--only", "public route")
    assert run(SCRIPT, folder, "--yes", "--json", *parts).exit_code == 0
    tagged = [{"Name": "tag:lambda-fs:step", "Values": ["public subnet 1", "public subnet 2"]}]
    subnets = client("ec2").describe_subnets(Filters=tagged)["Subnets"]
    subnet_ids = [subnet["SubnetId"] for subnet in subnets]
    elb = client("elbv2")
    owned = [{"Key": "kubernetes.io/cluster/lambda-fs-eks-cluster", "Value": "owned"}]
    made = elb.create_load_balancer(Name="theirs", Subnets=subnet_ids, Tags=owned)
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    on = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=on)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    problems = {problem["what"]: problem for problem in ended.document["problems"]}
    problem = problems["left by Kubernetes: load balancer theirs was not deleted"]
    assert problem["why"] == "its deletion protection is on"
    assert "deletion_protection.enabled,Value=false" in problem["hint"]
    assert elb.describe_load_balancers()["LoadBalancers"]
