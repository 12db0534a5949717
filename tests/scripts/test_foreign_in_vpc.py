"""What others put into the deployment's VPC is deleted (GuardDuty's) or named at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.infrastructure.vpc_listings import made_by
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client, tagged, where
from tests.support.scripts import Ended, prepare, run

NETWORK: dict[str, Any] = {
    "create_eks_cluster": False,
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
}


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    folder = prepare(tmp_path / "work", **NETWORK)
    assert run(SCRIPT, folder, "--yes", "--json").exit_code == 0
    return folder


def network() -> tuple[str, str]:
    """Return the ids of the deployment's VPC and first public subnet."""
    filters = [{"Name": "tag:lambda-fs:step", "Values": ["public subnet 1"]}]
    (subnet,) = client("ec2").describe_subnets(Filters=filters)["Subnets"]
    return subnet["VpcId"], subnet["SubnetId"]


def why_kept(ended: Ended) -> dict[str, str]:
    """Return the problem of a destroy that says why the VPC is kept; there is one."""
    (problem,) = (it for it in ended.document["problems"] if "is kept" in it["what"])
    return dict(problem)


def endpoint(service: str, **tags: str) -> str:
    """Create an interface endpoint in the first public subnet and return its id."""
    vpc, subnet = network()
    made = client("ec2").create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.us-east-1.{service}",
        VpcEndpointType="Interface",
        SubnetIds=[subnet],
        **({"TagSpecifications": tagged("vpc-endpoint", **tags)} if tags else {}),
    )
    return str(made["VpcEndpoint"]["VpcEndpointId"])


def group(name: str) -> str:
    vpc, _ = network()
    made = client("ec2").create_security_group(VpcId=vpc, GroupName=name, Description="x")
    return str(made["GroupId"])


def further_resources(vpc: str) -> dict[str, str]:
    """Make what keeps a VPC from deletion without an interface in it; return kind -> id."""
    ec2 = client("ec2")
    gateway = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    ec2.attach_vpn_gateway(VpcId=vpc, VpnGatewayId=gateway)
    egress = ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.240.0/24")["Subnet"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]
    return {
        "VPN gateway": str(gateway),
        "egress-only internet gateway": str(egress["EgressOnlyInternetGatewayId"]),
        "subnet": str(subnet["SubnetId"]),
        "route table": str(table["RouteTableId"]),
        "network ACL": str(acl["NetworkAclId"]),
    }


def remove(others: dict[str, str]) -> None:
    """Delete what `further_resources` made."""
    ec2 = client("ec2")
    (vpc,) = (it["VpcId"] for it in ec2.describe_subnets(SubnetIds=[others["subnet"]])["Subnets"])
    ec2.detach_vpn_gateway(VpcId=vpc, VpnGatewayId=others["VPN gateway"])
    egress = others["egress-only internet gateway"]
    ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=egress)
    ec2.delete_subnet(SubnetId=others["subnet"])
    ec2.delete_route_table(RouteTableId=others["route table"])
    ec2.delete_network_acl(NetworkAclId=others["network ACL"])


@pytest.mark.kind("A4")
@pytest.mark.parametrize(
    ("description", "managed", "fix"),
    [
        ("Interface for NAT Gateway nat-0a1", True, "delete-nat-gateway --nat-gateway-id nat-0a1"),
        (
            "Network Interface for Transit Gateway Attachment tgw-attach-0a1",
            True,
            "--transit-gateway-attachment-id tgw-attach-0a1",
        ),
        ("Route 53 Resolver: rslvr-in-0a1:rni-2", True, "--resolver-endpoint-id rslvr-in-0a1"),
        ("Amazon EKS other", True, "aws eks delete-cluster --name other"),
        ("EC2 Instance Connect Endpoint: eice-0a1", True, "endpoint-id eice-0a1"),
        ("RDSNetworkInterface", True, "delete-db-instance"),
        ("something new", True, "delete what amazon-x made eni-1 for"),
        ("", False, "delete-network-interface --network-interface-id eni-1"),
    ],
)
def test_the_fix_of_an_interface_is_that_of_what_made_it(
    description: str, managed: bool, fix: str
) -> None:
    interface = {
        "NetworkInterfaceId": "eni-1",
        "RequesterId": "amazon-x",
        "RequesterManaged": managed,
    }
    assert fix in made_by(interface, description)[1]


@pytest.mark.kind("A4")
def test_what_guardduty_made_is_deleted_with_the_vpc(cloud: RehearsalCloud, folder: Path) -> None:
    vpc, subnet = network()
    endpoint("guardduty-data", GuardDutyManaged="true")
    group(f"GuardDutyManagedSecurityGroup-{vpc}")
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    assert [item for item in cloud.snapshot() if item.kind in ("vpc", "subnet")] == []
    assert subnet not in str(client("ec2").describe_subnets()["Subnets"])


@pytest.mark.kind("A4")
def test_an_endpoint_that_aws_keeps_is_named_with_its_reason(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network()
    kept = endpoint("guardduty-data", GuardDutyManaged="true")
    refusal = {"Code": "OperationNotPermitted", "Message": "the endpoint is requester-managed"}
    answer = {"Unsuccessful": [{"ResourceId": kept, "Error": refusal}]}
    key = ("ec2", "DeleteVpcEndpoints")
    with monkeypatch.context() as patch:
        patch.setitem(cloud._tables.answers, key, lambda *_: answer)
        ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code in (1, 3)
    (problem,) = [one for one in ended.document["problems"] if kept in one["what"]]
    assert "requester-managed" in problem["why"]
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0


@pytest.mark.kind("A4")
def test_what_others_made_is_named_with_owner_and_command(
    cloud: RehearsalCloud, folder: Path
) -> None:
    vpc, subnet = network()
    foreign = endpoint("secretsmanager")
    other = group("somebody's")
    interface = client("ec2").create_network_interface(
        SubnetId=subnet, Description="AWS Lambda VPC ENI-my-function"
    )["NetworkInterface"]["NetworkInterfaceId"]
    others = further_resources(vpc)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    left = {item["id"]: item for item in ended.document["leftovers"]}
    assert f"delete-vpc-endpoints --vpc-endpoint-ids {foreign}" in left[foreign]["command"]
    assert "secretsmanager" in left[foreign]["what"]
    assert other in left
    assert vpc in left
    problem = why_kept(ended)
    assert foreign in problem["why"]
    assert "AWS Lambda" in left[interface]["what"]
    for what, key in others.items():
        assert what in left[key]["what"]
        assert key in left[key]["command"]
    remove(others)
    client("ec2").delete_vpc_endpoints(VpcEndpointIds=[foreign])
    client("ec2").delete_security_group(GroupId=other)
    client("ec2").delete_network_interface(NetworkInterfaceId=interface)
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0


def interface(description: str, **tags: str) -> str:
    """Create an unattached interface in the first public subnet and return its id."""
    made = client("ec2").create_network_interface(
        SubnetId=network()[1],
        Description=description,
        **({"TagSpecifications": tagged("network-interface", **tags)} if tags else {}),
    )
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def balancers(subnet: str) -> dict[str, str]:
    """Make a Classic and an application load balancer; return the command that deletes each."""
    listeners = [{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 80}]
    client("elb").create_load_balancer(
        LoadBalancerName="classic", Listeners=listeners, Subnets=[subnet]
    )
    client("elbv2").create_load_balancer(Name="newer", Subnets=[subnet])
    return {
        "classic": "aws elb delete-load-balancer --load-balancer-name classic",
        "newer": "describe-load-balancers --names newer",
    }


@pytest.mark.kind("A4")
def test_only_interfaces_and_balancers_of_the_deployment_are_deleted(
    cloud: RehearsalCloud, folder: Path
) -> None:
    """Also after a kill: what was made for the cluster goes, the users' stays and is named."""
    ours = [
        interface("aws-K8S-i-0123456789"),
        interface("aws-K8S-i-1", **{"cluster.k8s.amazonaws.com/name": "lambda-fs-eks-cluster"}),
        interface("", **{"lambda-fs:deployment": "lambda-fs"}),
    ]
    theirs = [
        interface("a fixed address for my licence"),
        interface(""),
        interface("aws-K8S-i-2", **{"cluster.k8s.amazonaws.com/name": "another"}),
        interface("", **{"lambda-fs:deployment": "another"}),
    ]
    commands = balancers(network()[1])
    # After the kill no cluster is left: the configuration says whose it was.
    prepare(folder, **{**NETWORK, "create_eks_cluster": True})
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    kept = client("ec2").describe_network_interfaces(Filters=where(vpc_id=network()[0]))
    ids = {item["NetworkInterfaceId"] for item in kept["NetworkInterfaces"]}
    assert set(theirs) <= ids
    assert not ids & set(ours)
    problem = why_kept(ended)
    for each in theirs:
        assert each in problem["why"]
        assert f"delete-network-interface --network-interface-id {each}" in problem["hint"]
    for command in commands.values():
        assert command in problem["hint"]
    assert client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    assert client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert "a fixed address" in problem["why"]


@pytest.mark.kind("A4")
def test_what_blocks_only_the_vpc_is_searched_for_when_aws_refuses(
    cloud: RehearsalCloud, folder: Path
) -> None:
    further_resources(network()[0])
    began = cloud.clock.now()
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    assert cloud.clock.now() - began < 900, "named at the first refusal"
    problem = why_kept(ended)
    assert "VPN gateway" in problem["why"]
    assert len(cloud.calls.named("DeleteVpc")) == 1


def test_a_vpc_of_ours_alone_costs_no_search_for_what_others_have(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0
    for searched in ("DescribeVpnGateways", "DescribeVpcPeeringConnections", "DescribeNetworkAcls"):
        assert not cloud.calls.named(searched)


def ways_out(vpc: str) -> list[Any]:
    """Return what leads out of a VPC: routes with their associations, gateways, addresses."""
    ec2 = client("ec2")
    tables = ec2.describe_route_tables(Filters=where(vpc_id=vpc))["RouteTables"]
    routes = sorted(
        (table["RouteTableId"], str(table["Routes"]), len(table["Associations"]))
        for table in tables
    )
    gateways = ec2.describe_nat_gateways(Filter=where(vpc_id=vpc))["NatGateways"]
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    return [
        routes,
        [(item["NatGatewayId"], item["State"]) for item in gateways],
        [item["AllocationId"] for item in ec2.describe_addresses()["Addresses"]],
        len(ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]),
        sorted(
            item["SubnetId"] for item in ec2.describe_subnets(Filters=where(vpc_id=vpc))["Subnets"]
        ),
    ]


@pytest.mark.parametrize("owner", ["", "second"])
def test_the_network_of_others_machines_stays_whole(
    cloud: RehearsalCloud, folder: Path, owner: str
) -> None:
    vpc, subnet = network()
    marks = {"lambda-fs:deployment": owner} if owner else {}
    (machine,) = client("ec2").run_instances(
        ImageId="ami-079ac4c46055b2bdf",
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        TagSpecifications=tagged("instance", Name="their own", **marks),
    )["Instances"]
    before = ways_out(vpc)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code == 3
    assert ways_out(vpc) == before
    problem = why_kept(ended)
    assert machine["InstanceId"] in problem["why"]
    if owner:
        assert "of the deployment second" in problem["why"]
        assert "run destroy with the configuration of the deployment second" in problem["hint"]
        assert "config_aws.yaml" not in problem["hint"], "that is the one of this deployment"
    assert ("terminate-instances" in problem["hint"]) is not bool(owner)
    client("ec2").terminate_instances(InstanceIds=[machine["InstanceId"]])
    assert run(SCRIPT, folder, "destroy", "--yes", "--json").exit_code == 0
