"""An adopted VPC is checked against all that is needed of it, and each finding has its command."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from aws_setup.infrastructure.existing_network import unfit_for_eks, usual_subnets
from aws_setup.preflight.network_acls import LAST_ENTRY, Flow, denying_entry
from tests.support.aws import client, where
from tests.support.preflight import Operator
from tests.support.users_vpc import make_users_vpc

pytestmark = pytest.mark.kind("A7", "A8")

OFF = {"Value": False}
SECOND = "10.0.16.0/20"
"""The range of the second public subnet."""


def entry(number: int, action: str, ports: Any = None, cidr: str = "0.0.0.0/0") -> dict[str, Any]:
    """Return an inbound entry of an ACL, for TCP ports or for all traffic."""
    shown: dict[str, Any] = {"RuleNumber": number, "RuleAction": action, "Egress": False}
    shown |= {"CidrBlock": cidr, "Protocol": "6" if ports else "-1"}
    return shown | ({"PortRange": {"From": ports[0], "To": ports[1]}} if ports else {})


@pytest.mark.parametrize(
    ("entries", "denying"),
    [
        ([entry(100, "allow")], 0),
        ([], LAST_ENTRY),
        ([entry(90, "deny", (22, 22)), entry(100, "allow")], 90),
        ([entry(90, "deny", (23, 99)), entry(100, "allow")], 0),
        ([entry(90, "deny", (1, 99), "52.0.0.0/8"), entry(100, "allow")], 90),
        ([entry(90, "deny", (1, 99), "53.0.0.0/8"), entry(100, "allow")], 0),
        ([entry(100, "allow", cidr="10.0.0.0/8")], LAST_ENTRY),
        ([entry(80, "allow", (22, 22)), entry(90, "deny")], 0),
        ([entry(100, "allow") | {"Egress": True}], LAST_ENTRY),
    ],
)
def test_the_first_matching_entry_decides(entries: list[dict[str, Any]], denying: int) -> None:
    assert denying_entry(entries, Flow(False, ("tcp", 22, 22), "52.94.76.7/32")) == denying


def test_a_range_of_ports_may_be_allowed_by_several_entries() -> None:
    both = [entry(100, "allow", (6000, 6499)), entry(110, "allow", (6500, 6999))]
    flow = Flow(False, ("tcp", 6000, 6999), "10.0.0.0/20")
    assert denying_entry(both, flow) == 0
    assert denying_entry(both[:1], flow) == LAST_ENTRY


def deny_ssh_and_zookeeper(vpc: str) -> None:
    """Deny the operator's SSH, and ZooKeeper to the machines in the second public subnet."""
    acl = client("ec2").describe_network_acls(Filters=where(vpc_id=vpc))["NetworkAcls"][0]
    for number, first, last, cidr in ((50, 0, 1023, "54.0.0.0/8"), (60, 2181, 2181, SECOND)):
        client("ec2").create_network_acl_entry(
            NetworkAclId=acl["NetworkAclId"],
            RuleNumber=number,
            Protocol="6",
            PortRange={"From": first, "To": last},
            CidrBlock=cidr,
            RuleAction="deny",
            Egress=False,
        )


def about_network(operator: Operator, **keys: Any) -> list[str]:
    """Return what `plan` warns of; that the AMIs are deprecated is not the network's."""
    return [text for text in operator.warned(**keys) if "AMIs are deprecated" not in text]


def test_everything_that_is_missing_is_said_at_once_each_once_with_its_command(
    operator: Operator,
) -> None:
    vpc, ec2 = make_users_vpc(), client("ec2")
    keys: dict[str, Any] = {"create_vpc": False, "vpc_id": vpc.id}
    assert not about_network(operator, **keys)
    ec2.modify_vpc_attribute(VpcId=vpc.id, EnableDnsHostnames=OFF)
    ec2.modify_vpc_attribute(VpcId=vpc.id, EnableDnsSupport=OFF)
    ec2.delete_nat_gateway(NatGatewayId=vpc.nat)
    ec2.detach_internet_gateway(InternetGatewayId=vpc.gateway, VpcId=vpc.id)
    deny_ssh_and_zookeeper(vpc.id)
    problems = operator.refused(**keys)
    assert len(problems) == 5
    for what in (
        f"DNS support of VPC {vpc.id}: off",
        f"DNS host names of VPC {vpc.id}: off",
        f"the internet gateway {vpc.gateway} is not attached",
        f"the default route of {vpc.private_table} leads nowhere (blackhole): its target {vpc.nat}",
        "denies traffic that is needed: tcp 22 from 54.10.20.30/32",
        f"tcp 2181 from {SECOND}",
    ):
        assert sum(what in problem for problem in problems) == 1, problems
    commands = [found for text in problems for found in re.findall("`(aws ec2 [^`]+)`", text)]
    of_nat = [command for command in commands if " NAT" in command]
    for command in commands:
        if command not in of_nat:
            obey(command)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=vpc.subnets[0], AllocationId=address)["NatGateway"]
    for command in of_nat:
        obey(command.replace(" NAT", f" {made['NatGatewayId']}"))
    assert not about_network(operator, **keys)


def obey(command: str) -> None:
    """Do what an aws ec2 command does."""
    words = shlex.split(command)[2:]
    options: dict[str, Any] = {}
    for word, following in zip(words[1:], [*words[2:], "--"], strict=True):
        if word in ("--ingress", "--egress"):
            options["Egress"] = word == "--egress"
        elif word.startswith("--"):
            name = "".join(part.capitalize() for part in word[2:].split("-"))
            options[name] = json.loads(following) if following[0] == "{" else following
    if "PortRange" in options:
        pairs = (item.split("=") for item in options["PortRange"].split(","))
        options["PortRange"] = {key: int(value) for key, value in pairs}
        options["RuleNumber"] = int(options["RuleNumber"])
        options["Protocol"] = {"tcp": "6", "udp": "17"}[options["Protocol"]]
    if "IpPermissions" in options:
        options["IpPermissions"] = json.loads(options["IpPermissions"])
    getattr(client("ec2"), words[0].replace("-", "_"))(**options)


def test_too_small_subnets_are_refused_with_both_numbers(operator: Operator) -> None:
    vpc = make_users_vpc(prefix=28)
    small: dict[str, Any] = {
        "create_ndb_cluster": False,
        "create_zookeeper_vms": False,
    }
    problems = operator.refused(create_vpc=False, vpc_id=vpc.id, **small)
    first = [problem for problem in problems if vpc.subnets[0] in problem]
    assert len(first) == 1
    assert "10 addresses are free" in first[0]
    assert "aws ec2 create-subnet --vpc-id" in first[0]
    assert sum("of nodes and pods" in problem for problem in problems) == 1


def test_the_addresses_of_spot_nodes_count_as_well(operator: Operator) -> None:
    vpc = make_users_vpc(prefix=24)
    on_demand, as_spot = (
        operator.refused(create_vpc=False, vpc_id=vpc.id, spot=spot) for spot in ([], ["invokers"])
    )
    assert sum("of nodes and pods" in problem for problem in on_demand) == 1
    assert as_spot == on_demand


def test_a_vpc_of_one_zone_lacks_each_kind_once_and_says_what_was_considered(
    operator: Operator,
) -> None:
    vpc = make_users_vpc()
    for subnet in (vpc.subnets[1], vpc.subnets[3]):
        client("ec2").delete_subnet(SubnetId=subnet)
    public, private = operator.refused(create_vpc=False, vpc_id=vpc.id)
    assert f"VPC {vpc.id} has 1 zone with a public subnet" in public
    assert f"{vpc.subnets[0]} (us-east-1a, public by {vpc.public_table})" in public
    assert f"--route-table-id {vpc.public_table}" in public
    assert "with a private subnet" in private
    assert f"--route-table-id {vpc.private_table}" in private


def test_subnet_ids_name_the_subnets_in_their_order(operator: Operator) -> None:
    vpc, ec2 = make_users_vpc(), client("ec2")
    more = ec2.create_subnet(VpcId=vpc.id, CidrBlock="10.0.64.0/20", AvailabilityZone="us-east-1a")
    chosen = [vpc.subnets[1], vpc.subnets[0], more["Subnet"]["SubnetId"], vpc.subnets[3]]
    off = {"create_ndb_cluster": False, "create_zookeeper_vms": False}
    keys = {"create_vpc": False, "vpc_id": vpc.id, **off}
    shown = operator.run("plan", subnet_ids=chosen, **keys)
    ids = [step["id"] for step in shown["steps"] if " subnet " in step["name"]]
    assert ids == [chosen[0], chosen[1], chosen[2], chosen[3]]
    (problem,) = operator.refused(subnet_ids=[*chosen[:3], "subnet-00000000"], **keys)
    assert f"subnet_ids: VPC {vpc.id} has no subnet-00000000" in problem


def test_a_vpc_that_does_not_exist_is_said_once(operator: Operator) -> None:
    (problem,) = operator.refused(create_vpc=False, vpc_id="vpc-0123456789abcdef0")
    assert "the VPC vpc-0123456789abcdef0 does not exist" in problem


def test_without_a_nat_the_endpoints_are_counted(operator: Operator) -> None:
    vpc, ec2 = make_users_vpc(), client("ec2")
    ec2.delete_route(RouteTableId=vpc.private_table, DestinationCidrBlock="0.0.0.0/0")
    keys: dict[str, Any] = {"create_vpc": False, "vpc_id": vpc.id}
    (problem,) = operator.refused(**keys)
    assert "endpoints are missing: ec2, ecr.api, ecr.dkr, s3, sts" in problem
    for service in ("ec2", "ecr.api", "ecr.dkr", "s3", "sts"):
        ec2.create_vpc_endpoint(
            VpcId=vpc.id,
            ServiceName=f"com.amazonaws.us-east-1.{service}",
            VpcEndpointType="Gateway" if service == "s3" else "Interface",
            PrivateDnsEnabled=service != "sts",
        )
    (problem,) = operator.refused(**keys)
    assert "endpoints are missing" not in problem
    assert "of com.amazonaws.us-east-1.s3 is not in that table" in problem
    assert "of com.amazonaws.us-east-1.sts has no private DNS name" in problem
    table, dns = re.findall("`(aws ec2 modify-vpc-endpoint [^`]+)`", problem)
    assert table.endswith(f"--add-route-table-ids {vpc.private_table}")
    assert dns.endswith("--private-dns-enabled")
    ec2.modify_vpc_endpoint(VpcEndpointId=table.split()[4], AddRouteTableIds=[vpc.private_table])
    ec2.create_vpc_endpoint(
        VpcId=vpc.id,
        ServiceName="com.amazonaws.us-east-1.sts",
        VpcEndpointType="Interface",
        PrivateDnsEnabled=True,
    )
    (warning,) = about_network(operator, **keys)
    assert "images outside ECR" in warning


def test_a_nat_gateway_has_to_lead_to_the_internet_and_a_resolver_to_know_the_cluster(
    operator: Operator,
) -> None:
    vpc, ec2 = make_users_vpc(), client("ec2")
    keys: dict[str, Any] = {"create_vpc": False, "vpc_id": vpc.id}
    configurations = [{"Key": "domain-name-servers", "Values": ["192.0.2.53"]}]
    options = ec2.create_dhcp_options(DhcpConfigurations=configurations)["DhcpOptions"]
    ec2.associate_dhcp_options(VpcId=vpc.id, DhcpOptionsId=options["DhcpOptionsId"])
    (warning,) = about_network(operator, **keys)
    assert "DNS servers of its own: 192.0.2.53" in warning
    assert "Key=domain-name-servers,Values=AmazonProvidedDNS" in warning
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=vpc.subnets[2], AllocationId=address)["NatGateway"]
    ec2.replace_route(
        RouteTableId=vpc.private_table,
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=made["NatGatewayId"],
    )
    (problem,) = operator.refused(**keys)
    assert f"{made['NatGatewayId']} does not lead to the internet" in problem
    assert f"its subnet {vpc.subnets[2]} has no route 0.0.0.0/0" in problem
    assert f"aws ec2 create-nat-gateway --subnet-id {vpc.subnets[0]}" in problem
    # Without a cluster neither is needed, nor are DNS host names.
    ec2.modify_vpc_attribute(VpcId=vpc.id, EnableDnsHostnames=OFF)
    assert not about_network(operator, create_eks_cluster=False, **keys)


def subnet(zone: str, zone_id: str, cidr: str = "10.0.0.0/20", **more: str) -> dict[str, str]:
    return {"AvailabilityZone": zone, "AvailabilityZoneId": zone_id, "CidrBlock": cidr} | more


def test_subnets_outside_the_regions_own_zones_are_not_chosen_for_a_cluster() -> None:
    usual = [
        subnet("us-east-1a", "use1-az4", "10.0.16.0/20"),
        subnet("us-east-1b", "use1-az6", "10.0.0.0/20"),
    ]
    without_eks = subnet("us-east-1e", "use1-az3")
    outside = [
        subnet("us-east-1-bos-1a", "use1-bos1-az1"),
        subnet("us-east-1-wl1-bos-wlz-1", "use1-wl1-bos-wlz1"),
        subnet("us-east-1a", "use1-az4", OutpostArn="arn:aws:outposts:us-east-1:1:outpost/op-1"),
    ]
    ipv6 = {"AvailabilityZone": "us-east-1a", "AvailabilityZoneId": "use1-az4"}
    listed = [*outside, ipv6, without_eks, *reversed(usual)]
    assert usual_subnets(listed, with_eks=True) == usual
    assert usual_subnets(listed, with_eks=False) == [*usual, without_eks]
    assert [bool(unfit_for_eks(item)) for item in [*usual, without_eks, *outside]] == [
        *[False] * 2,
        *[True] * 4,
    ]


def test_an_existing_security_group_is_compared_with_everything_that_is_needed_of_it(
    operator: Operator,
) -> None:
    vpc, ec2 = make_users_vpc(), client("ec2")
    keys: dict[str, Any] = {"create_vpc": False, "vpc_id": vpc.id}
    name = "lambda-fs-security-group"
    made = ec2.create_security_group(GroupName=name, Description="mine", VpcId=vpc.id)
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=made["GroupId"], IpPermissions=[everything])
    inbound, outbound = operator.refused(**keys)
    assert f"{made['GroupId']}: traffic within the group, SSH is not allowed" in inbound
    assert "outbound traffic within the group, outbound HTTPS is not allowed" in outbound
    for problem in (inbound, outbound):
        obey(problem.split("`")[1])
    (warning,) = about_network(operator, **keys)
    assert "NDB management server, NDB data nodes, mysqld, ZooKeeper" in warning
    obey(warning.split("`")[1])
    assert not about_network(operator, **keys)
    only = ("--only", "node ingress")
    ended = operator.run("create", "--yes", *only, create_zookeeper_vms=False, **keys)
    assert ended["exit_code"] == 0, ended["problems"]
