"""Changes in the AWS console between two runs: reported, waited for, corrected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import Settings
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.clock import advance_by_calls
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import prepare, run

LATENCIES = {"nat available": 10, "nat deleted": 10, "instance terminated": 500}
SMALL: dict[str, Any] = {
    "create_eks_cluster": False,
    "create_ndb_cluster": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
}


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A deployment in a cloud in which terminations and NAT gateways take their time."""
    with shared_cloud(Settings(latencies=LATENCIES)) as cloud:
        advance_by_calls(cloud, 2)
        folder = prepare(tmp_path_factory.mktemp("world") / "work", **SMALL)
        actions(folder, "--yes")
        yield World(cloud, folder)


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> RehearsalCloud:
    return world.enter(monkeypatch)


@pytest.fixture
def folder(world: World, deployed: RehearsalCloud) -> Path:
    return world.folder


@pytest.fixture
def settings() -> Settings:
    return Settings(latencies=LATENCIES)


@pytest.fixture
def empty(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """A folder without a deployment, with such a cloud of its own."""
    advance_by_calls(cloud, 2)
    return prepare(tmp_path / "work", **SMALL)


def actions(folder: Path, *words: str) -> dict[str, str]:
    """Run a command and return step -> action of what is not as it should be."""
    ended = run(SCRIPT, folder, *words, "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    steps = ended.document["steps"]
    return {step["name"]: step["action"] for step in steps if step["action"] != "exists"}


def test_a_group_that_is_being_deleted_is_waited_for_and_re_created(empty: Path) -> None:
    more = {"create_launch_templates": True, "create_autoscaling_groups": True}
    sizes = {"autoscaling_group_desired_capacity": 1, "autoscaling_group_max_size": 1}
    prepare(empty, **SMALL | {"create_zookeeper_vms": False} | more | sizes)
    actions(empty, "--yes")
    scaling, name = client("autoscaling"), "hopsfs_clients_ags"

    def group() -> Any:
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return found["AutoScalingGroups"][0]

    while not group()["Instances"]:
        pass
    first = group()["Instances"][0]["InstanceId"]
    scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
    assert group()["Status"] == "Delete in progress"
    assert actions(empty, "--yes") == {
        f"auto-scaling group {name}": "update",
        "deadline": "update",
    }
    assert "Status" not in group()
    assert first not in {one["InstanceId"] for one in group()["Instances"]}
    assert actions(empty, "plan") == {}


def gateway() -> Any:
    return client("ec2").describe_internet_gateways()["InternetGateways"]


def test_a_detached_internet_gateway_is_attached_again(empty: Path) -> None:
    only = ("--only", "public route")
    actions(empty, "--yes", *only)
    (current,) = gateway()
    vpc = current["Attachments"][0]["VpcId"]
    client("ec2").detach_internet_gateway(InternetGatewayId=current["InternetGatewayId"], VpcId=vpc)
    assert actions(empty, "plan", *only)["internet gateway"] == "update"
    actions(empty, "--yes", *only)
    assert gateway()[0]["Attachments"][0]["VpcId"] == vpc
    assert actions(empty, "plan", *only) == {}


def test_a_deleted_internet_gateway_is_re_created_with_its_route(empty: Path) -> None:
    only = ("--only", "public route")
    actions(empty, "--yes", *only)
    (current,) = gateway()
    named = {"InternetGatewayId": current["InternetGatewayId"]}
    client("ec2").detach_internet_gateway(**named, VpcId=current["Attachments"][0]["VpcId"])
    client("ec2").delete_internet_gateway(**named)
    done = actions(empty, "--yes", *only)
    assert done == {"internet gateway": "create", "public route": "update"}
    assert actions(empty, "plan", *only) == {}


def test_a_gateway_attached_to_another_vpc_is_refused_and_stays_attached(empty: Path) -> None:
    only = ("--only", "public route")
    actions(empty, "--yes", *only)
    (current,) = gateway()
    ec2, named = client("ec2"), {"InternetGatewayId": current["InternetGatewayId"]}
    ec2.detach_internet_gateway(**named, VpcId=current["Attachments"][0]["VpcId"])
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.attach_internet_gateway(**named, VpcId=other)
    ended = run(SCRIPT, empty, "--yes", "--json", *only)
    assert ended.exit_code == 2
    (problem,) = ended.document["problems"]
    assert f"attachment is {other}" in problem["what"]
    assert "detach" in problem["hint"]
    assert gateway()[0]["Attachments"][0]["VpcId"] == other


def zookeepers(*states: str) -> dict[str, str]:
    """Return private address -> id of the ZooKeeper machines in some states."""
    filters = [
        {"Name": "tag:lambda-fs:step", "Values": ["zookeeper"]},
        {"Name": "instance-state-name", "Values": list(states)},
    ]
    answer = client("ec2").describe_instances(Filters=filters)["Reservations"]
    found = [one for group in answer for one in group["Instances"]]
    return {one["PrivateIpAddress"]: one["InstanceId"] for one in found}


def test_a_fixed_address_is_taken_over_from_a_machine_that_shuts_down(
    deployed: RehearsalCloud, folder: Path
) -> None:
    before = zookeepers("running")
    client("ec2").terminate_instances(InstanceIds=list(before.values()))
    assert zookeepers("shutting-down") == before
    assert actions(folder, "--yes") == {"zookeeper": "create", "deadline": "update"}
    after = zookeepers("running")
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert any(call.code == "InvalidIPAddress.InUse" for call in deployed.calls)


def test_a_deleted_nat_gateway_is_re_created_with_its_route(folder: Path) -> None:
    only = ("--only", "private route")
    ec2 = client("ec2")
    (old,) = ec2.describe_nat_gateways()["NatGateways"]
    ec2.delete_nat_gateway(NatGatewayId=old["NatGatewayId"])
    done = actions(folder, "--yes", *only)
    assert done == {"nat gateway": "create", "private route": "update"}
    states = {one["NatGatewayId"]: one["State"] for one in _gateways(ec2)}
    (new,) = (nat_id for nat_id, state in states.items() if state == "available")
    assert new != old["NatGatewayId"]
    assert actions(folder, "plan", *only) == {}
    assert len(ec2.describe_addresses()["Addresses"]) == 1


def _gateways(ec2: Any) -> Any:
    return ec2.describe_nat_gateways()["NatGateways"]


def default_group() -> Any:
    """Return the default security group of the VPC that the run made."""
    filters = [
        {"Name": "vpc-id", "Values": [own_group()["VpcId"]]},
        {"Name": "group-name", "Values": ["default"]},
    ]
    return client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]


@pytest.mark.kind("C14")
def test_the_default_security_group_is_closed_and_stays_so(folder: Path) -> None:
    assert (default_group()["IpPermissions"], default_group()["IpPermissionsEgress"]) == ([], [])
    rule = TCP22 | {"IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    client("ec2").authorize_security_group_ingress(
        GroupId=default_group()["GroupId"], IpPermissions=[rule]
    )
    assert actions(folder, "plan", *GROUP) == {"vpc": "update"}
    actions(folder, "--yes", *GROUP)
    assert default_group()["IpPermissions"] == []
    (copy,) = folder.glob("**/*.default-security-group.before.yaml")
    assert "10.0.0.0/8" in copy.read_text()
    assert actions(folder, "plan", *GROUP) == {}


@pytest.mark.kind("C14")
def test_metadata_settings_of_a_running_machine_are_restored_without_a_restart(
    deployed: RehearsalCloud, folder: Path
) -> None:
    before = zookeepers("running")
    first, second = list(before.values())[:2]
    ec2 = client("ec2")
    ec2.modify_instance_metadata_options(InstanceId=first, HttpTokens="optional")
    ec2.modify_instance_metadata_options(InstanceId=second, HttpPutResponseHopLimit=2)
    assert actions(folder, "plan") == {"zookeeper": "update"}
    assert actions(folder, "--yes") == {"zookeeper": "update"}
    assert zookeepers("running") == before
    assert not deployed.calls.named("StopInstances")
    assert actions(folder, "plan") == {}


def authorize(**rule: Any) -> None:
    """Authorize ingress by hand."""
    ec2 = client("ec2")
    ec2.authorize_security_group_ingress(GroupId=own_group()["GroupId"], IpPermissions=[rule])


def own_group() -> Any:
    filters = [{"Name": "tag:lambda-fs:step", "Values": ["security group"]}]
    return client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]


GROUP = ("--only", "security group")
TCP22 = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
OPERATOR = "52.94.76.7/32"


def revoke_operator() -> None:
    client("ec2").revoke_security_group_ingress(
        GroupId=own_group()["GroupId"], IpPermissions=[TCP22 | {"IpRanges": [{"CidrIp": OPERATOR}]}]
    )


def test_ssh_for_another_ipv6_address_is_drift_and_revoked(folder: Path) -> None:
    authorize(**TCP22, Ipv6Ranges=[{"CidrIpv6": "::/0"}])
    assert actions(folder, "--yes", *GROUP) == {"security group": "update"}
    (ssh,) = [rule for rule in own_group()["IpPermissions"] if rule.get("FromPort") == 22]
    assert [one["CidrIp"] for one in ssh["IpRanges"]] == [OPERATOR]
    assert not ssh.get("Ipv6Ranges")


@pytest.mark.parametrize(
    "rule",
    [
        {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": OPERATOR}]},
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "52.94.0.0/16"}]},
    ],
    ids=["all ports", "all protocols of a wider range"],
)
def test_a_wider_rule_of_the_user_is_sufficient_and_kept(
    folder: Path, rule: dict[str, Any]
) -> None:
    authorize(**rule)
    revoke_operator()
    assert actions(folder, "--yes", *GROUP) == {}
    permitted = own_group()["IpPermissions"]
    assert not [one for one in permitted if one.get("FromPort") == 22]


@pytest.mark.parametrize(
    "rule",
    [
        {"IpProtocol": "udp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": OPERATOR}]},
        {"IpProtocol": "tcp", "FromPort": 23, "ToPort": 99, "IpRanges": [{"CidrIp": OPERATOR}]},
        {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 99, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
    ],
    ids=["another protocol", "other ports", "another address"],
)
def test_a_rule_that_does_not_cover_ssh_is_not_sufficient(
    folder: Path, rule: dict[str, Any]
) -> None:
    authorize(**rule)
    revoke_operator()
    assert actions(folder, "--yes", *GROUP) == {"security group": "update"}
    (ssh,) = [one for one in own_group()["IpPermissions"] if one.get("FromPort") == 22]
    assert [one["CidrIp"] for one in ssh["IpRanges"]] == [OPERATOR]


EVERYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def let_out(*rules: dict[str, Any]) -> None:
    """Let nothing out of the group but what the rules say, as a rule against open groups does."""
    group_id, ec2 = own_group()["GroupId"], client("ec2")
    ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=[EVERYTHING])
    if rules:
        ec2.authorize_security_group_egress(GroupId=group_id, IpPermissions=[*rules])


def test_outbound_traffic_that_was_revoked_is_allowed_again(folder: Path) -> None:
    let_out()
    assert actions(folder, "--yes", *GROUP) == {"security group": "update"}
    allowed = own_group()["IpPermissionsEgress"]
    ranges = [one["CidrIp"] for rule in allowed for one in rule["IpRanges"]]
    groups = [one["GroupId"] for rule in allowed for one in rule["UserIdGroupPairs"]]
    assert (ranges, groups) == (["0.0.0.0/0"], [own_group()["GroupId"]])
    assert actions(folder, *GROUP) == {}


def test_narrow_outbound_rules_that_are_sufficient_are_kept(folder: Path) -> None:
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    let_out(
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/16"}]},
        {**https, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
    )
    assert actions(folder, *GROUP) == {}


@pytest.mark.kind("A10")
@pytest.mark.parametrize(
    ("command", "attribute", "option"),
    [
        ("pause", "DisableApiStop", "--no-disable-api-stop"),
        ("destroy", "DisableApiTermination", "--no-disable-api-termination"),
    ],
)
def test_a_protected_machine_keeps_no_other_and_is_named_with_the_command(
    folder: Path, command: str, attribute: str, option: str
) -> None:
    first, *_ = zookeepers("running").values()
    ec2 = client("ec2")
    ec2.modify_instance_attribute(InstanceId=first, **{attribute: {"Value": True}})
    ended = run(SCRIPT, folder, command, "--yes", "--json")
    assert ended.exit_code in (1, 3)
    problem = next(it for it in ended.document["problems"] if it["what"].startswith("zookeeper"))
    assert f"--instance-id {first} {option}" in problem["hint"]
    assert set(zookeepers("running").values()) == {first}
    ec2.modify_instance_attribute(InstanceId=first, **{attribute: {"Value": False}})
    assert run(SCRIPT, folder, command, "--yes", "--json").exit_code == 0
    assert zookeepers("running") == {}


@pytest.mark.kind("A4")
def test_a_route_table_that_was_made_the_main_one_is_deleted(empty: Path) -> None:
    only = ("--only", "private route table")
    actions(empty, "--yes", *only)
    ec2 = client("ec2")
    filters = [{"Name": "tag:lambda-fs:step", "Values": ["private route table"]}]
    (own,) = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    in_vpc = [{"Name": "vpc-id", "Values": [own["VpcId"]]}]
    tables = ec2.describe_route_tables(Filters=in_vpc)["RouteTables"]
    (main,) = (it for table in tables for it in table["Associations"] if it["Main"])
    ec2.replace_route_table_association(
        AssociationId=main["RouteTableAssociationId"], RouteTableId=own["RouteTableId"]
    )
    assert run(SCRIPT, empty, "destroy", "--yes").exit_code == 0
    assert ec2.describe_vpcs(Filters=in_vpc)["Vpcs"] == []


@pytest.mark.kind("A4")
def test_a_second_vpc_with_our_tags_that_is_in_use_is_named_at_once(empty: Path) -> None:
    actions(empty, "--yes", "--only", "private route table")
    ec2 = client("ec2")
    (own,) = ec2.describe_vpcs(Filters=[{"Name": "tag:lambda-fs:step", "Values": ["vpc"]}])["Vpcs"]
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[other], Tags=own["Tags"])
    subnet = ec2.create_subnet(VpcId=other, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    ended = run(SCRIPT, empty, "--yes", "--json", "--only", "vpc")
    (problem,) = ended.document["problems"]
    assert f"{other} is kept" in problem["what"]
    assert f"aws ec2 delete-subnet --subnet-id {subnet}" in problem["hint"]
    ec2.delete_subnet(SubnetId=subnet)
    actions(empty, "--yes", "--only", "vpc")
    assert actions(empty, "plan", "--only", "vpc") == {}


@pytest.mark.kind("A2")
def test_a_machine_that_lost_the_security_group_gets_it_again_and_keeps_others(
    folder: Path,
) -> None:
    ec2, first = client("ec2"), next(iter(zookeepers("running").values()))
    group, vpc = own_group()["GroupId"], own_group()["VpcId"]
    mine = ec2.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
    ec2.modify_instance_attribute(InstanceId=first, Groups=[mine])
    assert actions(folder, "plan") == {"zookeeper": "update"}
    assert actions(folder, "--yes") == {"zookeeper": "update"}
    (machine,) = ec2.describe_instances(InstanceIds=[first])["Reservations"][0]["Instances"]
    assert {it["GroupId"] for it in machine["SecurityGroups"]} == {mine, group}
    assert actions(folder, "plan") == {}
