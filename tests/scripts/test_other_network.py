"""Another network in the configuration of a deployment: refused, or carried out where AWS can."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from create_aws_infrastructure import SCRIPT
from tests.support import eks
from tests.support.aws import client
from tests.support.scripts import Ended, prepare, run, write_config
from tests.support.users_vpc import UsersVpc, make_users_vpc

OFF: dict[str, Any] = {
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
    "create_eks_cluster": False,
}
CLIENT = OFF | {"create_lambda_fs_client_vm": True}
CLUSTER = CLIENT | {"create_eks_cluster": True}
SCALING = {"create_launch_templates": True, "create_autoscaling_groups": True}
GROUPS = OFF | SCALING


def deployed(folder: Path, **settings: Any) -> None:
    prepare(folder, **settings)
    made = run(SCRIPT, folder, "--yes", "--json")
    assert made.exit_code == 0, made.document["problems"]


def refused(cloud: RehearsalCloud, folder: Path, **settings: Any) -> Sequence[dict[str, str]]:
    """Return the problems with which every command that would write is refused, unwritten."""
    write_config(folder, **settings)
    writes = len(cloud.calls.writes())
    assert run(SCRIPT, folder, "plan", "--json").exit_code == 2
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 2, ended.stdout
    assert len(cloud.calls.writes()) == writes
    steps = {step["name"]: step["error"] for step in ended.document["steps"] if step.get("error")}
    return [it for it in ended.document["problems"] if it["what"].partition(":")[0] not in steps]


def machine() -> Any:
    (found,) = client("ec2").describe_instances()["Reservations"]
    return found["Instances"][0]


def cluster_subnets() -> set[str]:
    described = client("eks").describe_cluster(name="lambda-fs-eks-cluster")["cluster"]
    return set(described["resourcesVpcConfig"]["subnetIds"])


def second_subnets(vpc: UsersVpc, zones: Sequence[str] = ("us-east-1a", "us-east-1b")) -> list[str]:
    """Add two more public and two more private subnets, by default in the same zones."""
    ec2, ids = client("ec2"), []
    for number, zone in enumerate([*zones, *zones], start=4):
        cidr = f"10.0.{16 * number}.0/20"
        made = ec2.create_subnet(VpcId=vpc.id, CidrBlock=cidr, AvailabilityZone=zone)
        ids.append(made["Subnet"]["SubnetId"])
    for subnet in ids[:2]:
        ec2.associate_route_table(RouteTableId=vpc.public_table, SubnetId=subnet)
    return ids


def actions(ended: Ended) -> dict[str, str]:
    assert ended.exit_code == 0, ended.document["problems"]
    steps = ended.document["steps"]
    return {step["name"]: step["action"] for step in steps if step["action"] != "exists"}


def test_a_deployment_in_its_own_vpc_is_not_moved_to_an_existing_one(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    deployed(tmp_path, **CLUSTER)
    other, vpc = make_users_vpc(), machine()["VpcId"]
    (problem,) = refused(cloud, tmp_path, **CLUSTER, create_vpc=False, vpc_id=other.id)
    assert vpc in problem["what"]
    assert machine()["InstanceId"] in problem["what"]
    assert "lambda-fs-eks-cluster" in problem["what"]
    assert other.id in problem["why"]
    assert "create_vpc: True" in problem["hint"]
    assert "destroy" in problem["hint"]


def test_a_deployment_in_an_existing_vpc_gets_no_new_one(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    users = make_users_vpc()
    adopted = {"create_vpc": False, "vpc_id": users.id}
    deployed(tmp_path, **CLIENT, **adopted)
    (problem,) = refused(cloud, tmp_path, **CLIENT)
    assert users.id in problem["what"]
    assert f"vpc_id: {users.id}" in problem["hint"]
    other = make_users_vpc("other", network="10.1")
    (problem,) = refused(cloud, tmp_path, **CLIENT, create_vpc=False, vpc_id=other.id)
    assert users.id in problem["what"]
    assert other.id in problem["why"]
    write_config(tmp_path, **CLIENT, **adopted)
    assert actions(run(SCRIPT, tmp_path, "plan", "--json")) == {}
    assert run(SCRIPT, tmp_path, "destroy", "--yes").exit_code == 0


def test_machines_are_not_moved_to_other_subnets(cloud: RehearsalCloud, tmp_path: Path) -> None:
    users = make_users_vpc()
    adopted = {"create_vpc": False, "vpc_id": users.id}
    deployed(tmp_path, **CLIENT, **adopted)
    (problem,) = refused(cloud, tmp_path, **CLIENT, **adopted, subnet_ids=second_subnets(users))
    assert machine()["SubnetId"] in problem["what"]
    assert machine()["SubnetId"] in problem["hint"]
    assert 'destroy --only "lambda-fs client"' in problem["hint"]


def test_auto_scaling_groups_get_other_subnets(cloud: RehearsalCloud, tmp_path: Path) -> None:
    users = make_users_vpc()
    adopted = {"create_vpc": False, "vpc_id": users.id}
    deployed(tmp_path, **GROUPS, **adopted)
    others = second_subnets(users)
    write_config(tmp_path, **GROUPS, **adopted, subnet_ids=others)
    names = {
        f"auto-scaling group {name}" for name in ("hopsfs_clients_ags", "hopsfs_namenodes_ags")
    }
    assert names < set(actions(run(SCRIPT, tmp_path, "--yes", "--json")))
    groups = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {group["VPCZoneIdentifier"] for group in groups} == {",".join(others[:2])}
    assert actions(run(SCRIPT, tmp_path, "plan", "--json")) == {}


def test_a_cluster_gets_other_subnets_in_its_zones(cloud: RehearsalCloud, tmp_path: Path) -> None:
    users, only = make_users_vpc(), {**OFF, "create_eks_cluster": True}
    adopted = {"create_vpc": False, "vpc_id": users.id}
    deployed(tmp_path, **only, **adopted)
    former, others = sorted(cluster_subnets()), second_subnets(users)
    client("eks").create_nodegroup(
        clusterName="lambda-fs-eks-cluster",
        nodegroupName="core-nodes",
        subnets=former[:1],
        nodeRole=eks.role("nodes", "ec2.amazonaws.com", *eks.NODE_POLICIES),
        scalingConfig=eks.SIZES,
        tags={"lambda-fs:deployment": "lambda-fs"},
    )
    unchanged = run(SCRIPT, tmp_path, "plan", "--json").document["warnings"]
    assert "core-nodes" not in str(unchanged)
    write_config(tmp_path, **only, **adopted, subnet_ids=others)
    made = run(SCRIPT, tmp_path, "--yes", "--json")
    assert actions(made) == {"eks cluster": "update"}
    (cluster,) = [step for step in made.document["steps"] if step["name"] == "eks cluster"]
    assert "(without the nodes of core-nodes)" in cluster["drift"][0]["wants"]
    (warning,) = [it for it in made.document["warnings"] if "core-nodes" in it["what"]]
    assert former[0] in warning["why"], "before configure is refused because of it"
    assert "delete core-nodes" in warning["hint"]
    assert cluster_subnets() == set(others)
    assert actions(run(SCRIPT, tmp_path, "plan", "--json")) == {}


def test_a_cluster_gets_no_other_zones(cloud: RehearsalCloud, tmp_path: Path) -> None:
    users, only = make_users_vpc(), {**OFF, "create_eks_cluster": True}
    adopted = {"create_vpc": False, "vpc_id": users.id}
    deployed(tmp_path, **only, **adopted)
    others = second_subnets(users, ("us-east-1c", "us-east-1d"))
    (problem,) = refused(cloud, tmp_path, **only, **adopted, subnet_ids=others)
    assert "us-east-1a, us-east-1b" in problem["hint"]
    with pytest.raises(client("eks").exceptions.InvalidParameterException):
        client("eks").update_cluster_config(
            name="lambda-fs-eks-cluster", resourcesVpcConfig={"subnetIds": others}
        )


def test_a_new_subnet_of_the_vpc_is_not_chosen_instead(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    """Its range is the first in its zone, by which a new deployment would choose it."""
    users = make_users_vpc(network="10.4")
    adopted = {"create_vpc": False, "vpc_id": users.id}
    deployed(tmp_path, **CLUSTER | SCALING, **adopted)
    ec2 = client("ec2")
    for table, cidr in ((users.public_table, "10.3.0.0/20"), (users.private_table, "10.3.16.0/20")):
        if table == users.public_table:
            ec2.associate_vpc_cidr_block(VpcId=users.id, CidrBlock="10.3.0.0/16")
        made = ec2.create_subnet(VpcId=users.id, CidrBlock=cidr, AvailabilityZone="us-east-1a")
        ec2.associate_route_table(RouteTableId=table, SubnetId=made["Subnet"]["SubnetId"])
    assert actions(run(SCRIPT, tmp_path, "plan", "--json")) == {}


def test_who_may_not_list_what_a_deployment_has_not_can_adopt_a_network(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    users = make_users_vpc()
    denied = ("autoscaling:DescribeAutoScalingGroups", "eks:DescribeCluster")
    cloud.settings.deny = [DeniedPermission(action=action) for action in denied]
    prepare(tmp_path, **CLIENT, create_vpc=False, vpc_id=users.id)
    shown = run(SCRIPT, tmp_path, "plan", "--json", "--only", "private subnet 2")
    assert shown.exit_code == 0, shown.document["problems"]
