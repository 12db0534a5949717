"""Who reaches the API server of an emulated EKS cluster: what its endpoint settings allow."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from aws_setup.rehearsal.aws.eks.store import EksStore
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.loopback import PacketDropped

EVERYWHERE = ("0.0.0.0/0", "::/0")


def admit_operator(cloud: Cloud, name: str, region: str) -> None:
    """Check a new connection to a cluster's endpoint: each comes from the operator's computer.

    A private endpoint's name resolves to addresses of the VPC, which time out from outside, and so
    does a public one for addresses that are not among its CIDRs.
    https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html

    Raises:
        PacketDropped: the endpoint is not open to the operator's address.
    """
    with cloud.lock:
        cloud.clock.apply_due()
        cluster = cloud.store_of(EksStore).regions[region].clusters.get(name)
        network = dict(cluster.vpc) if cluster else {}
        address = ip_address(cloud.settings.operator_address)
    if not network.get("endpointPublicAccess", True):
        raise PacketDropped(f"the endpoint of {name} is private")
    if not any(
        address in ip_network(cidr) for cidr in network.get("publicAccessCidrs", EVERYWHERE)
    ):
        raise PacketDropped(f"{address} is not in publicAccessCidrs of {name}")
