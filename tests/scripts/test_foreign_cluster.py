"""destroy where a cluster of others has, or had, the name of ours: what it made is kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from configure_eks_cluster import SCRIPT as CONFIGURE
from create_aws_infrastructure import SCRIPT
from tests.scripts.test_foreign_in_vpc import NETWORK, why_kept
from tests.support.aws import client, tagged, where
from tests.support.scripts import prepare, run

CLUSTER = "kubernetes.io/cluster/shared"
CLAIM = "kubernetes.io/created-for/pvc/name"
OURS = {"lambda-fs:deployment": "lambda-fs"}
SHARED: dict[str, Any] = {**NETWORK, "eks_cluster_name": "shared"}


def volume(**owner: str) -> str:
    """Make an unattached volume as the EBS CSI driver of a cluster `shared` does."""
    tags = tagged("volume", **{CLUSTER: "owned", CLAIM: "data"}, **owner)
    made = client("ec2").create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tags
    )
    return str(made["VolumeId"])


def earlier(cloud: RehearsalCloud, volume_id: str) -> str:
    """Make a volume a day old; its cluster is then an earlier one."""
    cloud.backend("ec2", "us-east-1").volumes[volume_id].create_time -= timedelta(days=1)
    return volume_id


def group(vpc: str, name: str, **tags: str) -> str:
    """Make a security group and return its id."""
    made = client("ec2").create_security_group(
        VpcId=vpc,
        GroupName=name,
        Description="x",
        TagSpecifications=tagged("security-group", **tags),
    )
    return str(made["GroupId"])


def balancer(name: str, subnet: str, **tags: str) -> str:
    """Make a Classic load balancer and return its name."""
    listeners = [{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 80}]
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    client("elb").create_load_balancer(
        LoadBalancerName=name, Listeners=listeners, Subnets=[subnet], Tags=pairs
    )
    return name


def balancers() -> set[str]:
    """Return the names of the Classic load balancers."""
    found = client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    return {item["LoadBalancerName"] for item in found}


def volumes() -> set[str]:
    """Return the ids of all volumes."""
    return {item["VolumeId"] for item in client("ec2").describe_volumes()["Volumes"]}


def groups() -> set[str]:
    """Return the ids of all security groups."""
    found = client("ec2").describe_security_groups()["SecurityGroups"]
    return {item["GroupId"] for item in found}


def network() -> tuple[str, list[str]]:
    """Return the deployment's VPC and its public subnets."""
    steps = [{"Name": "tag:lambda-fs:step", "Values": ["public subnet 1", "public subnet 2"]}]
    found = client("ec2").describe_subnets(Filters=steps)["Subnets"]
    return found[0]["VpcId"], [item["SubnetId"] for item in found]


def cluster_of_others(name: str, subnets: list[str]) -> None:
    """Make a cluster that no deployment owns."""
    service = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}}
    trust = {"Version": "2012-10-17", "Statement": [{**service, "Action": "sts:AssumeRole"}]}
    iam = client("iam")
    role = iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=str(trust).replace("'", '"'))
    policy = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    iam.attach_role_policy(RoleName="theirs", PolicyArn=policy)
    client("eks").create_cluster(
        name=name, roleArn=role["Role"]["Arn"], resourcesVpcConfig={"subnetIds": subnets}
    )


def other_vpc() -> tuple[str, str]:
    """Make a VPC of others and return its id, and that of a subnet."""
    ec2 = client("ec2")
    vpc = str(ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    ec2.attach_internet_gateway(
        VpcId=vpc,
        InternetGatewayId=ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"],
    )
    return vpc, str(subnet)


@pytest.mark.parametrize("creates", [True, False])
def test_what_a_cluster_of_this_name_left_is_kept_and_named(
    cloud: RehearsalCloud, tmp_path: Path, creates: bool
) -> None:
    """No cluster exists: the configuration alone does not say whose the last one was."""
    folder = prepare(tmp_path / "work", eks_cluster_name="shared", create_eks_cluster=creates)
    _, subnet = other_vpc()
    foreign = volume()
    volume(**OURS)
    balancer("theirs", subnet, **{CLUSTER: "owned"})
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 0, ended.document
    assert ended.document["leftovers"] == []
    assert volumes() == {foreign}
    assert balancers() == {"theirs"}
    kept = [it for it in ended.document["warnings"] if it["what"].startswith("kept: ")]
    assert len(kept) == int(creates), "what another cluster surely has is not named"
    for item in kept:
        assert f"aws ec2 delete-volume --volume-id {foreign}" in item["hint"]
        assert "delete-load-balancer --load-balancer-name theirs" in item["hint"]


def test_volumes_older_than_our_cluster_are_those_of_an_earlier_one(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work", **{**SHARED, "create_eks_cluster": True})
    foreign = earlier(cloud, volume())
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    own = volume()
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 0, ended.document
    assert foreign in volumes()
    assert own not in volumes()
    (kept,) = [it for it in ended.document["warnings"] if it["what"].startswith("kept: ")]
    assert foreign in kept["hint"]


def test_load_balancers_of_an_earlier_cluster_elsewhere_keep_their_groups(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    """The destroy of configure: our group has the tags of our Service, as Kubernetes gives it."""
    folder = prepare(tmp_path / "work", **{**SHARED, "create_eks_cluster": True})
    vpc, subnet = other_vpc()
    foreign = group(vpc, "k8s-elb-a", **{CLUSTER: "owned"})
    second = group(vpc, "k8s-elb-b", **{CLUSTER: "owned", "lambda-fs:deployment": "other"})
    own = group(vpc, "k8s-elb-c", **{CLUSTER: "owned"}, **OURS)
    balancer("theirs", subnet, **{CLUSTER: "owned"})
    balancer("ours", subnet, **{CLUSTER: "owned"}, **OURS)
    ended = run(CONFIGURE, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 0, ended.document
    assert {foreign, second} <= groups()
    assert own not in groups()
    assert balancers() == {"theirs"}


def test_what_a_cluster_of_others_made_in_our_vpc_is_kept_and_named(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    """The cluster is only used: its tag says nothing about this deployment."""
    folder = prepare(tmp_path / "work", **SHARED)
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    vpc, subnets = network()
    cluster_of_others("shared", subnets)
    balancer("theirs", subnets[0], **{CLUSTER: "owned"})
    balancer("ours", subnets[0], **{CLUSTER: "owned"}, **OURS)
    foreign = group(vpc, "k8s-elb-theirs", **{CLUSTER: "owned"})
    own = group(vpc, "k8s-elb-ours", **{CLUSTER: "owned"}, **OURS)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    assert balancers() == {"theirs"}
    assert foreign in groups()
    assert own not in groups()
    assert client("eks").list_clusters()["clusters"] == ["shared"]
    problem = why_kept(ended)
    assert foreign in problem["why"]
    assert "--load-balancer-name theirs" in problem["hint"]


def test_a_cluster_whose_name_begins_like_ours_keeps_its_groups_and_rules(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work", **{**SHARED, "create_eks_cluster": True})
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    vpc, _ = network()
    theirs = {"kubernetes.io/cluster/shared-2": "owned"}
    nodes = group(vpc, "eks-cluster-sg-shared-2-1234", **theirs)
    foreign = group(vpc, "k8s-elb-theirs", **theirs)
    allowed = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": foreign}]}]
    client("ec2").authorize_security_group_ingress(GroupId=nodes, IpPermissions=allowed)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    found = client("ec2").describe_security_groups(GroupIds=[nodes, foreign])["SecurityGroups"]
    rules = {item["GroupId"]: item["IpPermissions"] for item in found}
    assert [pair["GroupId"] for pair in rules[nodes][0]["UserIdGroupPairs"]] == [foreign]
    problem = why_kept(ended)
    assert nodes in problem["why"]
    named = client("ec2").describe_security_groups(Filters=where(group_name="eks-cluster-sg-*"))
    assert [item["GroupId"] for item in named["SecurityGroups"]] == [nodes], "ours is deleted"


def test_a_node_that_others_added_to_our_cluster_is_named_at_once(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    """It is billed, and no step of destroy ends it: EKS does not know self-managed nodes."""
    folder = prepare(tmp_path / "work", **{**SHARED, "create_eks_cluster": True})
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    _, subnets = network()
    made = client("ec2").run_instances(
        ImageId="ami-01d2cba66e4fe4e1e",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnets[0],
        TagSpecifications=tagged("instance", **{CLUSTER: "owned"}),
    )["Instances"][0]["InstanceId"]
    began = cloud.clock.now()
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    assert cloud.clock.now() - began < 900
    problem = why_kept(ended)
    assert f"aws ec2 terminate-instances --instance-ids {made}" in problem["hint"]


def test_the_price_does_not_count_volumes_of_others(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", **{**SHARED, "create_eks_cluster": True})
    earlier(cloud, volume())
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    before = run(SCRIPT, folder, "status", "--json").document["cost"]["parts"]
    volume()
    after = run(SCRIPT, folder, "status", "--json").document["cost"]["parts"]
    assert "disks" not in before
    assert after["disks"]["hourly_usd"] > 0, "one of our cluster counts"
