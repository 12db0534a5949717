"""Who really reaches a Service's load balancer: what AWS has, beside what the Service asks for.

Kubernetes changes the rules of the load balancer's security group after the Service, and AWS may
refuse that: a quota, a policy of the organisation, throttling. The Service shows nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.session import pages
from aws_setup.eks.storage import last_event
from aws_setup.engine.wait import Pending
from aws_setup.infrastructure.ingress_rules import Ports, ranges_for
from aws_setup.kube.objects import Json
from aws_setup.openwhisk.addresses import host_of

RANGES = "loadBalancerSourceRanges"
"""Field of a Service; empty means 0.0.0.0/0.

https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
"""

EVERYWHERE = "0.0.0.0/0"

GROUP_PREFIX = "k8s-elb-"
"""Start of the name of the security group that Kubernetes makes for a Classic Load Balancer.

It changes the rules of that one alone, and not of a group that the Service names:
buildELBSecurityGroupList in github.com/kubernetes/cloud-provider-aws (pkg/providers/v1/aws.go).
"""


@dataclass(frozen=True)
class Access:
    """The ranges that a Service asks for, and those that AWS lets in; None when not known."""

    wanted: tuple[str, ...]
    allowed: tuple[str, ...] | None

    @property
    def ranges(self) -> tuple[str, ...]:
        """The ranges that are let in, as far as that is known."""
        return self.wanted if self.allowed is None else self.allowed

    @property
    def applied(self) -> bool:
        """Whether AWS has what the Service asks for, or cannot be asked."""
        return _networks(self.ranges) == _networks(self.wanted)


def access_of(ctx: Context, service: Json) -> Access:
    """Return who reaches the load balancer of a Service.

    It is not known of a load balancer of another kind, or whose group is not Kubernetes', and
    where the caller may not describe them.
    """
    wanted = tuple(sorted(service["spec"].get(RANGES) or [EVERYWHERE]))
    host = host_of(service)
    allowed = advice(lambda: _allowed(ctx, service, host), lambda _: None) if host else None
    return Access(wanted, allowed)


def pending(ctx: Context, service: Json) -> Pending:
    """Return what is awaited, with the newest event of the Service, which has AWS's reason."""
    meta = service["metadata"]
    event = last_event(ctx, meta["name"], meta["namespace"], uid=str(meta["uid"]))
    return Pending(f"AWS is changing who reaches the load balancer {event}".strip())


def described(listed: Sequence[str]) -> str:
    """Return ranges as text."""
    return "everywhere" if EVERYWHERE in listed else ", ".join(listed) or "no address"


def _allowed(ctx: Context, service: Json, host: str) -> tuple[str, ...] | None:
    listed = pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")
    ids = [key for it in listed if it.get("DNSName") == host for key in it["SecurityGroups"]]
    if not ids:
        return None
    filters = [{"Name": "group-id", "Values": ids}]
    groups = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
    for group in groups:
        if group["GroupName"].startswith(GROUP_PREFIX):
            numbers = [int(port["port"]) for port in service["spec"]["ports"]]
            each = [ranges_for(Ports("tcp", number, number), group) for number in numbers]
            return tuple(sorted(set.intersection(*each)))
    return None


def _networks(listed: Sequence[str]) -> set[str]:
    return {str(ip_network(cidr, strict=False)) for cidr in listed}
