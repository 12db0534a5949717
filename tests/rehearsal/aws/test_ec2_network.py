"""NAT gateways, routes and what refuses deletion, against the VPC user guide."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import Network, client, network, refused, run, tagged


@pytest.fixture
def ec2(cloud: RehearsalCloud) -> Any:
    return client("ec2")


@pytest.fixture
def net(ec2: Any) -> Network:
    return network(ec2)


def nat_of(ec2: Any, subnet: str) -> tuple[str, str]:
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(
        SubnetId=subnet, AllocationId=address, TagSpecifications=tagged("natgateway", owner="me")
    )
    return made["NatGateway"]["NatGatewayId"], address


def described(ec2: Any, nat: str) -> dict[str, Any]:
    return dict(ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0])


def test_nat_life(slow_cloud: RehearsalCloud) -> None:
    # VPC user guide, "Work with NAT gateways"; "Troubleshoot": deleted ones stay listed an hour
    assert isinstance(slow_cloud.clock, ManualClock)
    ec2 = client("ec2")
    net = network(ec2)
    nat, address = nat_of(ec2, net.subnet)
    assert described(ec2, nat)["State"] == "pending"
    slow_cloud.clock.advance(114)
    shown = described(ec2, nat)
    assert shown["State"] == "available"
    assert shown["NatGatewayAddresses"][0]["PrivateIp"].startswith("10.0.")
    assert refused(ec2.release_address, AllocationId=address) == "InvalidIPAddress.InUse"
    ec2.delete_nat_gateway(NatGatewayId=nat)
    assert described(ec2, nat)["State"] == "deleting"
    assert refused(ec2.delete_subnet, SubnetId=net.subnet) == "DependencyViolation"
    slow_cloud.clock.advance(60)
    assert described(ec2, nat)["State"] == "deleted"
    assert refused(ec2.release_address, AllocationId=address) == "AuthFailure"
    slow_cloud.clock.advance(5)
    ec2.release_address(AllocationId=address)
    ec2.delete_subnet(SubnetId=net.subnet)
    slow_cloud.clock.advance(3600)
    assert refused(ec2.describe_nat_gateways, NatGatewayIds=[nat]) == "NatGatewayNotFound"


def test_nat_found_by_tag_and_state(ec2: Any, net: Network) -> None:
    # DescribeNatGateways, Filter
    nat, _ = nat_of(ec2, net.subnet)
    mine = [{"Name": "tag:owner", "Values": ["me"]}, {"Name": "state", "Values": ["available"]}]
    assert [n["NatGatewayId"] for n in ec2.describe_nat_gateways(Filter=mine)["NatGateways"]] == [
        nat
    ]
    other = [{"Name": "tag:owner", "Values": ["you"]}]
    assert not ec2.describe_nat_gateways(Filter=other)["NatGateways"]
    wrong = [{"Name": "owner", "Values": ["me"]}]
    assert refused(ec2.describe_nat_gateways, Filter=wrong) == "InvalidParameterValue"


def test_nat_without_gateway_fails(ec2: Any, net: Network) -> None:
    # VPC user guide, "NAT gateway creation fails": Gateway.NotAttached
    ec2.detach_internet_gateway(InternetGatewayId=net.gateway, VpcId=net.vpc)
    nat, _ = nat_of(ec2, net.subnet)
    shown = described(ec2, nat)
    assert (shown["State"], shown["FailureCode"]) == ("failed", "Gateway.NotAttached")


def test_nat_refusals(ec2: Any, net: Network) -> None:
    # EC2 error codes
    assert refused(ec2.delete_nat_gateway, NatGatewayId="nat-0") == "NatGatewayNotFound"
    assert refused(ec2.create_nat_gateway, SubnetId=net.subnet) == "MissingParameter"
    wrong = {"SubnetId": net.subnet, "AllocationId": "eipalloc-0"}
    assert refused(ec2.create_nat_gateway, **wrong) == "InvalidAllocationID.NotFound"


def test_routes(ec2: Any, net: Network) -> None:
    # VPC user guide, "Route table concepts": blackhole; error codes of CreateRoute
    table = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    nat, _ = nat_of(ec2, net.subnet)
    to = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    assert refused(ec2.create_route, NatGatewayId="nat-0", **to) == "InvalidNatGatewayID.NotFound"
    ec2.create_route(NatGatewayId=nat, **to)
    assert refused(ec2.create_route, NatGatewayId=nat, **to) == "RouteAlreadyExists"
    ec2.delete_nat_gateway(NatGatewayId=nat)
    routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    assert [route["State"] for route in routes] == ["active", "blackhole"]


def test_subnet_has_one_route_table(ec2: Any, net: Network) -> None:
    # EC2 error code Resource.AlreadyAssociated
    first, second = (
        ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"] for _ in "ab"
    )
    ec2.associate_route_table(RouteTableId=first, SubnetId=net.subnet)
    ec2.associate_route_table(RouteTableId=first, SubnetId=net.subnet)
    wrong = {"RouteTableId": second, "SubnetId": net.subnet}
    assert refused(ec2.associate_route_table, **wrong) == "Resource.AlreadyAssociated"


def test_a_vpc_with_resources_is_not_deleted(ec2: Any, net: Network) -> None:
    # DeleteVpc page: all gateways and resources must be detached or deleted before
    delete = ec2.delete_vpc
    table = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    acl = ec2.create_network_acl(VpcId=net.vpc)["NetworkAcl"]["NetworkAclId"]
    undo: list[tuple[Any, dict[str, str]]] = [
        (ec2.delete_subnet, {"SubnetId": net.subnet}),
        (ec2.delete_route_table, {"RouteTableId": table}),
        (ec2.delete_security_group, {"GroupId": net.group}),
        (ec2.detach_internet_gateway, {"InternetGatewayId": net.gateway, "VpcId": net.vpc}),
        (ec2.delete_network_acl, {"NetworkAclId": acl}),
    ]
    for call, named in undo:
        assert refused(delete, VpcId=net.vpc) == "DependencyViolation"
        call(**named)
    filters = [{"Name": "vpc-id", "Values": [net.vpc]}]
    (default,) = ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
    assert (default["IsDefault"], default["Associations"]) == (True, [])
    delete(VpcId=net.vpc)
    assert ec2.describe_network_acls(Filters=filters)["NetworkAcls"] == []
    assert refused(delete, VpcId=net.vpc) == "InvalidVpcID.NotFound"


def test_a_gateway_in_use_is_not_deleted(ec2: Any, net: Network) -> None:
    # DeleteInternetGateway, DetachInternetGateway
    made = run(ec2, net)
    assert made["PublicIpAddress"].startswith("127.")
    pair = {"InternetGatewayId": net.gateway, "VpcId": net.vpc}
    assert refused(ec2.delete_internet_gateway, InternetGatewayId=net.gateway) == (
        "DependencyViolation"
    )
    assert refused(ec2.detach_internet_gateway, **pair) == "DependencyViolation"
    assert refused(ec2.delete_subnet, SubnetId=net.subnet) == "DependencyViolation"
    assert refused(ec2.delete_security_group, GroupId=net.group) == "DependencyViolation"
    eni = made["NetworkInterfaces"][0]["NetworkInterfaceId"]
    assert refused(ec2.delete_network_interface, NetworkInterfaceId=eni) == "InvalidParameterValue"
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    ec2.detach_internet_gateway(**pair)
    ec2.delete_internet_gateway(InternetGatewayId=net.gateway)


def test_group_references(ec2: Any, net: Network) -> None:
    # DeleteSecurityGroup: DependencyViolation; CannotDelete for the default group
    more = {"GroupName": "h", "Description": "h", "VpcId": net.vpc}
    other = ec2.create_security_group(**more, TagSpecifications=tagged("security-group", a="b"))
    assert other["Tags"] == [{"Key": "a", "Value": "b"}]
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": net.group}]}
    itself = {"GroupId": other["GroupId"], "IpPermissions": [rule]}
    ec2.authorize_security_group_ingress(**itself)
    assert refused(ec2.authorize_security_group_ingress, **itself) == "InvalidPermission.Duplicate"
    assert refused(ec2.delete_security_group, GroupId=net.group) == "DependencyViolation"
    ec2.revoke_security_group_ingress(**itself)
    ec2.delete_security_group(GroupId=net.group)
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [net.vpc]}])
    default = next(g["GroupId"] for g in groups["SecurityGroups"] if g["GroupName"] == "default")
    assert refused(ec2.delete_security_group, GroupId=default) == "CannotDelete"


def test_a_description_does_not_distinguish_two_rules(ec2: Any, net: Network) -> None:
    # The error code InvalidPermission.Duplicate of AuthorizeSecurityGroupIngress, and revoking
    def rule(**more: str) -> dict[str, Any]:
        pair = {"GroupId": net.group, **more}
        tcp = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [pair]}
        return {"GroupId": net.group, "IpPermissions": [tcp]}

    ec2.authorize_security_group_ingress(**rule(Description="mine"))
    for again in (rule(), rule(Description="yours")):
        assert (
            refused(ec2.authorize_security_group_ingress, **again) == "InvalidPermission.Duplicate"
        )
    (group,) = ec2.describe_security_groups(GroupIds=[net.group])["SecurityGroups"]
    assert [
        pair["Description"]
        for allowed in group["IpPermissions"]
        for pair in allowed["UserIdGroupPairs"]
        if allowed.get("FromPort") == 1
    ] == ["mine"]
    ec2.revoke_security_group_ingress(**rule())
    assert refused(ec2.revoke_security_group_ingress, **rule()) == "InvalidPermission.NotFound"


def test_a_rule_names_only_groups_of_its_vpc_and_there_are_not_more_than_the_quota(
    cloud: RehearsalCloud, ec2: Any, net: Network
) -> None:
    # "resources that belong to different networks"; RulesPerSecurityGroupLimitExceeded
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    more = {"GroupName": "h", "Description": "h", "VpcId": vpc}
    other = ec2.create_security_group(**more)["GroupId"]
    pairs = [{"GroupId": other}]
    named = {"IpProtocol": "-1", "UserIdGroupPairs": pairs}
    request = {"GroupId": net.group, "IpPermissions": [named]}
    assert refused(ec2.authorize_security_group_ingress, **request) == "InvalidGroup.NotFound"
    cloud.settings.quotas.rules_per_security_group = 1
    ranges = [{"CidrIp": "192.0.2.1/32"}, {"CidrIp": "192.0.2.2/32"}]
    two = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": ranges}
    request = {"GroupId": other, "IpPermissions": [two]}
    assert refused(ec2.authorize_security_group_ingress, **request) == (
        "RulesPerSecurityGroupLimitExceeded"
    )


def test_a_route_table_in_use_is_not_deleted(ec2: Any, net: Network) -> None:
    # DeleteRouteTable: neither the main one nor an associated one
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [net.vpc]}])
    main = tables["RouteTables"][0]["RouteTableId"]
    assert refused(ec2.delete_route_table, RouteTableId=main) == "DependencyViolation"
    associated = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=associated, SubnetId=net.subnet)
    assert refused(ec2.delete_route_table, RouteTableId=associated) == "DependencyViolation"


def test_quotas(cloud: RehearsalCloud, ec2: Any, net: Network) -> None:
    # Amazon VPC quotas; EC2 error codes
    cloud.settings.quotas.elastic_ips = 1
    cloud.settings.quotas.vpcs = 2
    cloud.settings.quotas.internet_gateways = 1
    ec2.allocate_address(Domain="vpc")
    assert refused(ec2.allocate_address, Domain="vpc") == "AddressLimitExceeded"
    assert refused(ec2.create_vpc, CidrBlock="10.1.0.0/16") == "VpcLimitExceeded"
    assert refused(ec2.create_internet_gateway) == "InternetGatewayLimitExceeded"


def test_network_is_pending_at_first(slow_cloud: RehearsalCloud) -> None:
    # data types Vpc and Subnet: State is pending, then available
    assert isinstance(slow_cloud.clock, ManualClock)
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]
    subnet = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.0.0.0/20")["Subnet"]
    assert (vpc["State"], subnet["State"]) == ("pending", "pending")
    pending = ec2.describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"][0]
    slow_cloud.clock.advance(1)
    available = ec2.describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"][0]
    assert (pending["State"], available["State"]) == ("pending", "available")
    shown = ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0]
    assert shown["State"] == "available"


def test_a_deleted_subnet_is_disassociated(ec2: Any, net: Network) -> None:
    # DeleteRouteTable is refused for associated tables only; the association went with the subnet
    table = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=net.subnet)
    ec2.delete_subnet(SubnetId=net.subnet)
    assert not ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Associations"]
    ec2.delete_route_table(RouteTableId=table)


def test_vpcs_are_found_by_the_filter_that_ansible_sends_and_not_by_unknown_ones(ec2: Any) -> None:
    made = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    blocks = [{"Name": "cidr-block", "Values": ["10.77.0.0/16"]}]
    assert [vpc["VpcId"] for vpc in ec2.describe_vpcs(Filters=blocks)["Vpcs"]] == [made]
    unknown = [{"Name": "cidr-blocks", "Values": ["10.77.0.0/16"]}]
    assert refused(ec2.describe_vpcs, Filters=unknown) == "InvalidParameterValue"


def test_tags_are_described_with_ec2s_resource_types(ec2: Any, net: Network) -> None:
    """API_TagDescription: natgateway and elastic-ip; API_DescribeTags: the filters."""
    tags = [{"Key": "what", "Value": "this"}, {"Key": "other", "Value": "that"}]
    address = ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}]
    )["AllocationId"]
    nat = ec2.create_nat_gateway(
        AllocationId=address,
        SubnetId=net.subnet,
        TagSpecifications=[{"ResourceType": "natgateway", "Tags": tags}],
    )["NatGateway"]["NatGatewayId"]
    types = {address: "elastic-ip", nat: "natgateway"}
    for resource, kind in types.items():
        for name_filter in (("resource-type", kind), ("resource-id", resource)):
            filters = [{"Name": name_filter[0], "Values": [name_filter[1]]}]
            found = ec2.describe_tags(Filters=filters)["Tags"]
            assert [{"Key": tag["Key"], "Value": tag["Value"]} for tag in found] == tags
            assert {(tag["ResourceId"], tag["ResourceType"]) for tag in found} == {(resource, kind)}
    for wanted in ({"key": "wh*", "value": "this"}, {"tag:what": "th?s"}):
        both = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
        found = ec2.describe_tags(Filters=both)["Tags"]
        assert {tag["ResourceId"] for tag in found} == set(types)
    unknown = [{"Name": "type", "Values": ["natgateway"]}]
    assert refused(ec2.describe_tags, Filters=unknown) == "InvalidParameterValue"
