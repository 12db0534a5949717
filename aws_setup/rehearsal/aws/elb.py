"""Classic load balancers, with network interfaces that block deletions as on AWS.

https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_CreateLoadBalancer.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-internet-facing-load-balancers.html
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from aws_setup.rehearsal.aws.certificates import ServerCertificates
from aws_setup.rehearsal.core.moto import backends_by_region
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

DNS_SUFFIX = "rehearsal.invalid"
"""Domain that never resolves (RFC 2606): no client reaches a load balancer of others."""


class LoadBalancerInterfaces(dict[tuple[str, str], list[str]]):
    """The ids of the network interfaces of each load balancer, by region and name or ARN."""


class ResolvableNames(dict[str, float]):
    """Host name of a load balancer -> the cloud's seconds from which DNS knows it.

    The rehearsal has no DNS server: who resolves names for a client asks here.
    """


MOST_TAGS = 10
"""https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_AddTags.html"""


def _add_tags(cloud: CloudApi, call: Call) -> None:
    """AddTags: checks how many tags the load balancer has then."""
    balancers = cloud.backend("elb", call.region).load_balancers
    for name in call.params["LoadBalancerNames"]:
        if name in balancers:
            _check_tags({**dict(balancers[name].tags), **_keys(call)})


def _check_tags(tags: dict[str, Any]) -> None:
    if len(tags) > MOST_TAGS:
        message = "The quota for the number of tags of a load balancer has been reached"
        raise AwsError("TooManyTags", message)


def _keys(call: Call) -> dict[str, Any]:
    return {tag["Key"]: tag.get("Value") for tag in call.params.get("Tags") or []}


def _create(cloud: CloudApi, call: Call) -> None:
    """CreateLoadBalancer: checks quota, subnets or zones, groups and certificates."""
    params, balancers = call.params, cloud.backend("elb", call.region).load_balancers
    name = params["LoadBalancerName"]
    if name in balancers:
        raise AwsError("DuplicateLoadBalancerName", f"The load balancer {name} already exists")
    if len(balancers) >= cloud.settings.quotas.classic_load_balancers:
        raise AwsError("TooManyLoadBalancers", "The quota of load balancers has been reached")
    if bool(params.get("Subnets")) == bool(params.get("AvailabilityZones")):
        raise AwsError("ValidationError", "Either AvailabilityZones or SubnetIds must be specified")
    _check_tags(_keys(call))
    _check_groups(cloud, call)
    _check_certificates(cloud, call)
    if params.get("Subnets"):
        _check_subnets(cloud, call)


def _check_subnets(cloud: CloudApi, call: Call) -> None:
    try:
        cloud.call("ec2", "DescribeSubnets", region=call.region, SubnetIds=call.params["Subnets"])
    except AwsError as error:
        raise AwsError("SubnetNotFound", error.message) from error


def _check_groups(cloud: CloudApi, call: Call) -> None:
    ids = call.params.get("SecurityGroups") or []
    try:
        if ids:
            cloud.call("ec2", "DescribeSecurityGroups", region=call.region, GroupIds=ids)
    except AwsError as error:
        raise AwsError("InvalidSecurityGroup", error.message, status=409) from error


def _check_certificates(cloud: CloudApi, call: Call) -> None:
    """CreateLoadBalancer, CreateLoadBalancerListeners: the server certificate must exist."""
    arns = {
        certificate["ServerCertificateMetadata"]["Arn"]
        for certificate in cloud.store_of(ServerCertificates).values()
    }
    for listener in call.params.get("Listeners") or []:
        arn = listener.get("SSLCertificateId")
        secure = listener.get("Protocol", "").upper() in {"HTTPS", "SSL"}
        if (secure and not arn) or (arn and arn not in arns):
            raise AwsError(
                "CertificateNotFound", f"Server Certificate not found for the key: {arn}"
            )


def _listeners(cloud: CloudApi, call: Call) -> None:
    if call.params["LoadBalancerName"] not in cloud.backend("elb", call.region).load_balancers:
        message = f"There is no ACTIVE Load Balancer named '{call.params['LoadBalancerName']}'"
        raise AwsError("LoadBalancerNotFound", message)
    _check_certificates(cloud, call)


def _created(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """Set a load balancer's DNS name and create an interface in each subnet."""
    name = call.params["LoadBalancerName"]
    balancer = cloud.backend("elb", call.region).load_balancers[name]
    number = zlib.crc32(f"{call.region}/{name}".encode())
    inside = "internal-" if balancer.scheme == "internal" else ""
    unresolvable_name = f"{inside}{name}-{number}.{call.region}.elb.{DNS_SUFFIX}"
    settings = cloud.settings
    fixed = settings.internal_load_balancer_host if inside else settings.load_balancer_host
    balancer.dns_name = fixed or unresolvable_name
    answer["DNSName"] = balancer.dns_name
    known_from = cloud.clock.now() + cloud.latencies["load balancer dns"]
    cloud.store_of(ResolvableNames)[balancer.dns_name] = known_from
    balancer.created_time = cloud.clock.today()
    make_interfaces(cloud, call, balancer, key=name, description=f"ELB {name}")


def make_interfaces(
    cloud: CloudApi, call: Call, balancer: Any, *, key: str, description: str
) -> None:
    """Create an interface in each subnet of a load balancer, which only AWS can delete."""
    enis = cloud.backend("ec2", call.region).enis
    ids = []
    for index, subnet in enumerate(balancer.subnets):
        answer = cloud.call(
            "ec2",
            "CreateNetworkInterface",
            region=call.region,
            SubnetId=getattr(subnet, "id", subnet),
            Groups=balancer.security_groups or [],
            Description=description,
        )
        interface = answer["NetworkInterface"]["NetworkInterfaceId"]
        enis[interface].status = "in-use"
        enis[interface].requester_managed = True
        if balancer.scheme == "internet-facing":
            enis[interface].public_ip = f"203.0.113.{10 + index}"
        ids.append(interface)
    cloud.store_of(LoadBalancerInterfaces)[call.region, key] = ids


def remove_interfaces(cloud: CloudApi, region: str, key: str) -> None:
    """Remove the interfaces of a deleted load balancer, after a delay as on AWS."""
    ids = cloud.store_of(LoadBalancerInterfaces).pop((region, key), [])
    ec2 = cloud.backend("ec2", region)

    def remove() -> None:
        for resource_id in ids:
            ec2.enis.pop(resource_id, None)

    cloud.schedule("load balancer interfaces deleted", remove)


def _deleted(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    remove_interfaces(cloud, call.region, call.params["LoadBalancerName"])


def list_resources(cloud: CloudApi) -> Iterable[Resource]:
    """List the Classic load balancers, which are billed."""
    for region, backend in backends_by_region("elb").items():
        for balancer in backend.load_balancers.values():
            yield Resource(
                "elb", "load balancer", balancer.name, region, bills=True, tags=dict(balancer.tags)
            )


BEFORE = {
    ("elb", "CreateLoadBalancer"): _create,
    ("elb", "AddTags"): _add_tags,
    ("elb", "CreateLoadBalancerListeners"): _listeners,
}
AFTER = {
    ("elb", "CreateLoadBalancer"): _created,
    ("elb", "DeleteLoadBalancer"): _deleted,
}
