"""How EKS nodes in the private subnets of an adopted VPC reach the internet, or do without.

They load images and reach EKS: through a NAT gateway that works, or through an endpoint for each
service. https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
"""

from __future__ import annotations

from collections.abc import Iterator

from aws_setup.aws.inventory import Item
from aws_setup.infrastructure.subnet_routes import (
    EVERYWHERE,
    default_route,
    leads_to_internet,
    table_of,
    target_of,
)
from aws_setup.preflight.adopted_vpc import PRIVATE, PUBLIC, AdoptedNetwork, replace_route
from aws_setup.preflight.results import Finding, refuse, warn

ENDPOINTS = ("ec2", "ecr.api", "ecr.dkr", "s3", "sts")
"""Services that nodes without a route to the internet reach through an endpoint each.

https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
"""

WORKING_NAT = ("available", "pending")

MISSING = "missing"
"""A service has no endpoint in the VPC."""


def findings(network: AdoptedNetwork) -> Iterator[Finding]:
    """Yield a finding for each route table of the private subnets that leads nodes nowhere."""
    config = network.ctx.config
    if config.eks_nodes_public or not config.create_eks_cluster:
        return
    tables = {
        network.table(name).get("RouteTableId", ""): network.table(name)
        for name in PRIVATE
        if name in network.subnets
    }
    for table_id, table in tables.items():
        route = default_route(table)
        if route.get("State") == "blackhole":
            yield refuse(
                f"the default route of {table_id} leads nowhere (blackhole)",
                f"its target {target_of(route) or 'none'} no longer exists; EKS nodes in the "
                "private subnets need it",
                f"run {replace_route(table_id, '--nat-gateway-id', 'NAT')} with an existing NAT "
                "gateway",
            )
        elif not route:
            yield _without_route(network, table_id)
        elif why := _unusable_nat(network, target_of(route)):
            yield refuse(
                f"the NAT gateway {target_of(route)} does not lead to the internet",
                f"{why}; it is the default route of {table_id}, which EKS nodes need",
                f"run {_create_nat(network)} and "
                f"{replace_route(table_id, '--nat-gateway-id', 'NAT')}",
            )


def _unusable_nat(network: AdoptedNetwork, target: str) -> str:
    """Return why a NAT gateway leads nowhere; '' for one that works, and for other targets."""
    nat = network.nat_gateways.get(target)
    if nat is None:
        return ""
    if nat.get("State", "available") not in WORKING_NAT:
        return f"it is {nat['State']} {nat.get('FailureMessage', '')}".strip()
    if nat.get("ConnectivityType") == "private":
        return "its connectivity type is private, so it has no public address"
    subnet = nat.get("SubnetId")  # a regional one has none
    if subnet and not leads_to_internet(table_of(subnet, network.tables)):
        return f"its subnet {subnet} has no route {EVERYWHERE} to an internet gateway"
    return ""


def _without_route(network: AdoptedNetwork, table_id: str) -> Finding:
    problems = [_endpoint_problem(network, name, table_id) for name in ENDPOINTS]
    missing = [name for name, p in zip(ENDPOINTS, problems, strict=True) if p == MISSING]
    unusable = [problem for problem in problems if problem not in ("", MISSING)]
    if not missing and not unusable:
        return warn(
            f"the route table {table_id} of the private subnets has no default route",
            "its endpoints are enough for EKS, and not for images outside ECR such as OpenWhisk's",
            "add a NAT gateway, or use images in ECR only",
        )
    absent = [f"endpoints are missing: {', '.join(missing)}"] if missing else []
    return refuse(
        f"the route table {table_id} of the private subnets has no default route",
        f"EKS nodes there cannot load images, and {'; '.join([*absent, *unusable])}",
        f"run {_create_nat(network)} and "
        f"`aws ec2 create-route --route-table-id {table_id} --destination-cidr-block {EVERYWHERE} "
        "--nat-gateway-id NAT`, or set eks_nodes_public: True",
    )


def _endpoint_problem(network: AdoptedNetwork, service: str, table_id: str) -> str:
    """Return why nodes do not reach a service by an endpoint: MISSING, a reason, or ''."""
    problems = [_unusable(item, table_id) for item in network.endpoints_of(service)]
    return "" if "" in problems else next(iter(problems), MISSING)


def _unusable(endpoint: Item, table_id: str) -> str:
    """Return why an endpoint does not serve the subnets of a route table, with the command.

    https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
    """
    name = f"the endpoint {endpoint['VpcEndpointId']} of {endpoint['ServiceName']}"
    modify = f"`aws ec2 modify-vpc-endpoint --vpc-endpoint-id {endpoint['VpcEndpointId']}"
    state = str(endpoint.get("State", "available"))
    if state.lower() not in ("available", "pending"):
        return f"{name} is {state}"
    if endpoint.get("VpcEndpointType") == "Gateway":
        if table_id in endpoint.get("RouteTableIds", []):
            return ""
        return f"{name} is not in that table ({modify} --add-route-table-ids {table_id}`)"
    if endpoint.get("PrivateDnsEnabled"):
        return ""
    return f"{name} has no private DNS name ({modify} --private-dns-enabled`)"


def _create_nat(network: AdoptedNetwork) -> str:
    subnet = network.subnets[PUBLIC[0]]["SubnetId"] if PUBLIC[0] in network.subnets else "SUBNET"
    return f"`aws ec2 create-nat-gateway --subnet-id {subnet} --allocation-id EIPALLOC`"
