"""destroy and what users' programs in the cluster made in AWS: deleted if ours, else named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.preflight.policy_document import policy
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission
from create_aws_infrastructure import SCRIPT
from tests.scripts.test_foreign_cluster import SHARED, balancer, balancers, group, groups, network
from tests.scripts.test_foreign_cluster import volume as volume_of_cluster
from tests.support.aws import client, tagged
from tests.support.scripts import prepare, run
from tests.support.users_vpc import make_users_vpc

KEYS: dict[str, Any] = {**SHARED, "create_eks_cluster": True}
CONTROLLER = {"elbv2.k8s.aws/cluster": "shared"}
"""The tag of what the AWS Load Balancer Controller makes for the cluster."""


@dataclass(frozen=True)
class World:
    """A deployment with its cluster; `adopted` is whether its VPC is one of others."""

    cloud: RehearsalCloud
    folder: Path
    vpc: str
    subnets: list[str]
    adopted: bool

    def destroy(self, code: int = 0) -> dict[str, Any]:
        """Destroy the deployment with the published policy alone; return the document."""
        keys = {**KEYS, "ssh_keypair_name": "k", "ssh_key_path": "k"}
        published = policy(Config(**keys), account=ACCOUNT, region="us-east-1")
        self.cloud.settings.policies = [published]
        ended = run(SCRIPT, self.folder, "destroy", "--yes", "--json")
        self.cloud.settings.policies = []
        assert ended.exit_code == code, ended.document
        return dict(ended.document)


@pytest.fixture(params=["adopted", "own"])
def world(cloud: RehearsalCloud, tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """The deployment in a VPC of others, and in its own."""
    if request.param == "own":
        folder = prepare(tmp_path / "work", **KEYS)
        assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
        return World(cloud, folder, *network(), adopted=False)
    users = make_users_vpc()
    folder = prepare(tmp_path / "work", **KEYS, create_vpc=False, vpc_id=users.id)
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    return World(cloud, folder, users.id, list(users.subnets[:2]), adopted=True)


adopted = pytest.mark.parametrize("world", ["adopted"], indirect=True)


def ingress(world: World, name: str, tags: dict[str, str]) -> tuple[str, str]:
    """Make the load balancer of an Ingress with its target group; return its ARN and its group."""
    elb, pairs = client("elbv2"), [{"Key": key, "Value": value} for key, value in tags.items()]
    held = group(world.vpc, f"k8s-{name}", **tags)
    made = elb.create_load_balancer(
        Name=name,
        Subnets=world.subnets,
        SecurityGroups=[held],
        Scheme="internet-facing",
        Tags=pairs,
    )["LoadBalancers"][0]["LoadBalancerArn"]
    target = elb.create_target_group(
        Name=name, Protocol="HTTP", Port=80, VpcId=world.vpc, TargetType="ip", Tags=pairs
    )["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": target}]
    elb.create_listener(LoadBalancerArn=made, Protocol="HTTP", Port=80, DefaultActions=forward)
    return str(made), held


def later() -> tuple[set[str], set[str]]:
    """Return the names of the load balancers of the later kinds, and of the target groups."""
    elb = client("elbv2")
    return (
        {item["LoadBalancerName"] for item in elb.describe_load_balancers()["LoadBalancers"]},
        {item["TargetGroupName"] for item in elb.describe_target_groups()["TargetGroups"]},
    )


def warnings(document: dict[str, Any], words: str) -> list[dict[str, str]]:
    """Return the warnings whose first words have some text."""
    return [item for item in document["warnings"] if words in item["what"]]


def test_what_the_load_balancer_controller_made_for_our_cluster_is_deleted(world: World) -> None:
    _, held = ingress(world, "ours", CONTROLLER)
    status = run(SCRIPT, world.folder, "status", "--json").document["cost"]["parts"]
    # The price of one, and of its address in each of two zones.
    assert status["load balancers"]["hourly_usd"] == pytest.approx(0.0225 + 2 * 0.005)
    document = world.destroy()
    assert document["leftovers"] == []
    assert warnings(document, "kept") == []
    assert later() == (set(), set())
    assert held not in groups()


@adopted
def test_the_load_balancers_of_others_stay(world: World) -> None:
    """One without a tag, one of another cluster, and one of an earlier cluster of this name."""
    ingress(world, "ours", CONTROLLER)
    ingress(world, "users", {"purpose": "theirs"})
    ingress(world, "another", {"elbv2.k8s.aws/cluster": "other"})
    ingress(world, "deployed", {**CONTROLLER, "lambda-fs:deployment": "other"})
    arn, _ = ingress(world, "earlier", CONTROLLER)
    made = world.cloud.backend("elbv2").load_balancers[arn]
    made.created_time = (world.cloud.clock.today() - timedelta(days=1)).isoformat()
    document = world.destroy()
    kept = {"users", "another", "deployed", "earlier"}
    assert later() == (kept, kept)
    (warning,) = warnings(document, "kept: ")
    assert warning["what"] == "kept: load balancer earlier"
    assert f"aws elbv2 delete-load-balancer --load-balancer-arn {arn}" in warning["hint"]


@adopted
def test_the_load_balancer_of_a_users_service_is_deleted(world: World) -> None:
    """The in-tree controller gives it and its group the tag of the cluster alone."""
    owned = {"kubernetes.io/cluster/shared": "owned"}
    held = group(world.vpc, "k8s-elb-x", **owned)
    balancer("service", world.subnets[0], **owned)
    elb = client("elb")
    elb.apply_security_groups_to_load_balancer(LoadBalancerName="service", SecurityGroups=[held])
    assert world.destroy()["leftovers"] == []
    assert balancers() == set()
    assert held not in groups()


def protect(arn: str, value: str) -> None:
    """Switch the deletion protection of a load balancer."""
    on = [{"Key": "deletion_protection.enabled", "Value": value}]
    client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=on)


@adopted
def test_a_protected_one_keeps_no_other_and_is_named_with_its_price(world: World) -> None:
    arn, held = ingress(world, "protected", CONTROLLER)
    _, gone = ingress(world, "ours", CONTROLLER)
    protect(arn, "true")
    document = world.destroy(code=3)
    (left,) = [item for item in document["leftovers"] if item["what"] == "load balancer"]
    assert (left["id"], left["hourly_usd"]) == ("protected", pytest.approx(0.0325))
    assert left["command"] == f"aws elbv2 delete-load-balancer --load-balancer-arn {arn}"
    assert later() == ({"protected"}, {"protected"})
    assert held in groups()
    assert gone not in groups()


@adopted
def test_a_run_without_the_cluster_names_what_it_left(world: World) -> None:
    """A run was killed after it had deleted the cluster: nothing says any more whose it was."""
    arn, _ = ingress(world, "ours", CONTROLLER)
    made = client("ec2").create_snapshot(VolumeId=volume_of_cluster(), TagSpecifications=SNAPSHOT)
    client("eks").delete_cluster(name="shared")
    document = world.destroy()
    (warning,) = warnings(document, "kept: load balancer ours")
    assert arn in warning["hint"]
    (warning,) = warnings(document, "snapshots of the cluster's volumes are kept")
    assert made["SnapshotId"] in warning["hint"]


SNAPSHOT = tagged("snapshot", **{"kubernetes.io/cluster/shared": "owned"})
"""The tags that the EBS CSI driver gives the snapshot of a VolumeSnapshot."""


def test_snapshots_of_the_clusters_volumes_are_kept_and_named(world: World) -> None:
    ec2 = client("ec2")
    volume = volume_of_cluster()
    ours = ec2.create_snapshot(VolumeId=volume, TagSpecifications=SNAPSHOT)["SnapshotId"]
    other = {"kubernetes.io/cluster/shared": "owned", "lambda-fs:deployment": "other"}
    ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged("snapshot", **other))
    ec2.create_snapshot(VolumeId=volume)
    document = world.destroy()
    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 3
    (warning,) = warnings(document, "snapshot")
    assert warning["what"] == f"snapshots of the cluster's volumes are kept: {ours}"
    assert "at most $0.05 a month for 1 GiB" in warning["why"]
    assert f"`aws ec2 delete-snapshot --snapshot-id {ours}`" in warning["hint"]


@pytest.fixture
def machine(world: World) -> Iterator[str]:
    """A node that others added to the cluster, with their own tools."""
    yield client("ec2").run_instances(
        ImageId="ami-01d2cba66e4fe4e1e",
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        SubnetId=world.subnets[0],
        TagSpecifications=tagged("instance", **{"kubernetes.io/cluster/shared": "owned"}),
    )["Instances"][0]["InstanceId"]


@adopted
def test_a_node_of_others_is_named_with_its_price(world: World, machine: str) -> None:
    (left,) = world.destroy(code=3)["leftovers"]
    assert (left["id"], left["hourly_usd"]) == (machine, 0.096)
    assert left["command"] == f"aws ec2 terminate-instances --instance-ids {machine}"


@adopted
def test_one_that_is_deleted_while_its_tags_are_read_disturbs_nothing(world: World) -> None:
    """AWS refuses the tags of all of a call, because one of them is gone."""
    ingress(world, "ours", CONTROLLER)
    ingress(world, "users", {"purpose": "theirs"})
    gone = {"fault": "fail", "action": "DescribeTags", "code": "LoadBalancerNotFound", "times": 1}
    world.cloud.faults.add(gone)
    assert world.destroy()["leftovers"] == []
    assert later() == ({"users"}, {"users"})


@adopted
def test_what_could_not_be_looked_for_is_said(world: World) -> None:
    """Else a destroy that was told nothing would say that nothing is left."""
    ingress(world, "ours", CONTROLLER)
    fault = {"fault": "fail", "action": "elbv2.DescribeLoadBalancers", "code": "ValidationError"}
    world.cloud.faults.add(fault)
    ended = run(SCRIPT, world.folder, "destroy", "--yes", "--json")
    (warning,) = warnings(ended.document, "load balancers of the cluster could not be looked for")
    assert "ValidationError" in warning["why"]


def interface(world: World, **tags: str) -> str:
    """Make an interface as the CNI plug-in does, which no node has any more."""
    made = client("ec2").create_network_interface(
        SubnetId=world.subnets[0],
        Description="aws-K8S-i-0123456789abcdef0",
        TagSpecifications=tagged("network-interface", **tags),
    )
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def ended_node(world: World) -> str:
    """Launch and end a node of the deployment's node groups."""
    ec2, own = client("ec2"), {"lambda-fs:deployment": "lambda-fs", "lambda-fs:step": "core-nodes"}
    made = ec2.run_instances(
        ImageId="ami-01d2cba66e4fe4e1e",
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        SubnetId=world.subnets[0],
        TagSpecifications=tagged("instance", **own),
    )["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[made])
    return str(made)


CNI, NODE = "cluster.k8s.amazonaws.com/name", "node.k8s.amazonaws.com/instance_id"


@adopted
@pytest.mark.parametrize("refused", [False, True], ids=["deleted", "refused"])
def test_the_interfaces_that_our_nodes_left_are_deleted_and_doubtful_ones_named(
    world: World, refused: bool
) -> None:
    ours = interface(world, **{CNI: "shared", NODE: ended_node(world)})
    doubtful = interface(world, **{CNI: "shared", NODE: "i-0fedcba9876543210"})
    others = interface(world, **{CNI: "other", NODE: "i-0fedcba9876543211"})
    theirs = interface(world, **{CNI: "shared", NODE: "i-1", "lambda-fs:deployment": "other"})
    if refused:
        code = {"code": "UnauthorizedOperation", "message": "not authorized"}
        world.cloud.faults.add({"fault": "fail", "action": "DeleteNetworkInterface", **code})
    document = world.destroy(code=3 if refused else 0)
    (warning,) = warnings(document, "kept: network interface")
    assert warning["what"] == f"kept: network interface {doubtful}"
    command = "aws ec2 delete-network-interface --network-interface-id"
    assert f"`{command} {doubtful}`" in warning["hint"]
    named = [(item["id"], item["command"]) for item in document["leftovers"]]
    assert named == ([(ours, f"{command} {ours}")] if refused else [])
    left = client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    ids = {item["NetworkInterfaceId"] for item in left}
    assert {doubtful, others, theirs} <= ids
    assert (ours in ids) is refused


def only_the_cluster(world: World, code: int = 0) -> dict[str, Any]:
    words = ("destroy", "--only", "eks cluster", "--yes", "--json")
    ended = run(SCRIPT, world.folder, *words)
    assert ended.exit_code == code, ended.document
    return dict(ended.document)


def test_the_cluster_alone_is_deleted_with_what_it_has_made(world: World) -> None:
    """The fix of a cluster that has failed: afterwards nothing says whose the rest was."""
    ingress(world, "ours", CONTROLLER)
    balancer("service", world.subnets[0], **{"kubernetes.io/cluster/shared": "owned"})
    disks = {volume_of_cluster(), volume_of_cluster(**{"lambda-fs:deployment": "lambda-fs"})}
    document = only_the_cluster(world)
    assert document["leftovers"] == []
    assert (later(), balancers()) == ((set(), set()), set())
    listed = client("ec2").describe_volumes()["Volumes"]
    assert disks & {item["VolumeId"] for item in listed} == set()
    vpcs = [item["VpcId"] for item in client("ec2").describe_vpcs()["Vpcs"]]
    assert world.vpc in vpcs, "what the cluster has not made stays"


def test_what_the_cluster_alone_leaves_is_named_with_its_price(world: World) -> None:
    arn, _ = ingress(world, "protected", CONTROLLER)
    protect(arn, "true")
    document = only_the_cluster(world, code=3)
    (left,) = document["leftovers"]
    assert (left["id"], left["hourly_usd"]) == ("protected", pytest.approx(0.0325))
    assert left["command"] == f"aws elbv2 delete-load-balancer --load-balancer-arn {arn}"


def test_a_volume_that_the_ended_cluster_left_has_its_price(world: World) -> None:
    made = volume_of_cluster(**{"lambda-fs:deployment": "lambda-fs"})
    world.cloud.settings.deny = [DeniedPermission(action="ec2:DeleteVolume")]
    document = only_the_cluster(world, code=3)
    (left,) = document["leftovers"]
    assert (left["what"], left["id"]) == ("volume", made)
    assert left["hourly_usd"] > 0
    assert left["command"] == f"aws ec2 delete-volume --volume-id {made}"
