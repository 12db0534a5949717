"""Who really reaches a Service's load balancer: what AWS has, beside what the Service asks for.

Kubernetes changes the rules of the load balancer's security group after the Service, and AWS may
refuse that: a quota, a policy of the organisation, throttling. The Service shows nothing of it.
Nor does Kubernetes look at the rules again after it has made them: one that somebody revokes stays
revoked until the Service changes (`restore`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from aws_setup.aws.advice import advice
from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.cluster_kinds import BALANCER_GROUP, LOAD_BALANCERS
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.reasons import known_fix
from aws_setup.eks.storage import last_event
from aws_setup.engine.step import Drift
from aws_setup.engine.wait import Pending
from aws_setup.infrastructure.cluster_group import managed_group
from aws_setup.infrastructure.ingress_rules import (
    ALL_TRAFFIC,
    Ports,
    leads_out,
    permission,
    ranges_for,
)
from aws_setup.infrastructure.security_group import authorize
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import SERVICE, Json
from aws_setup.openwhisk.addresses import host_of, read_service

RANGES = "loadBalancerSourceRanges"
"""Field of a Service; empty means 0.0.0.0/0.

https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
"""

RANGES_NOTE = "service.beta.kubernetes.io/load-balancer-source-ranges"
"""Annotation of a Service with the same meaning, which the field takes precedence over."""

EVERYWHERE = "0.0.0.0/0"

LOST_RULES = "lost rules"
"""Key of the drift of rules that Kubernetes has made, and that AWS has no more."""

RECONCILED = "lambda-fs/reconciled"
"""Annotation of a Service: when Kubernetes was last asked to look at its load balancer again.

Its value means nothing; that it changes does. An annotation that no chart sets is kept by helm:
https://helm.sh/docs/faq/changes_since_helm2/#improved-upgrade-strategy-3-way-strategic-merge-patches
"""

FRAGMENTATION_NEEDED = Ports("icmp", 3, 4)
"""ICMP's type and code of which Kubernetes makes a rule, too: path MTU discovery needs it.

EnsureLoadBalancer in github.com/kubernetes/cloud-provider-aws (pkg/providers/v1/aws.go).
"""


@dataclass(frozen=True)
class Access:
    """The ranges that a Service asks for, and those that AWS lets in; None when not known.

    `lacking` is what else does not reach, or leave, the load balancer.
    """

    wanted: tuple[str, ...]
    allowed: tuple[str, ...] | None
    lacking: tuple[str, ...] = ()

    @property
    def ranges(self) -> tuple[str, ...]:
        """The ranges that are let in, as far as that is known."""
        return self.wanted if self.allowed is None else self.allowed

    @property
    def applied(self) -> bool:
        """Whether AWS has what the Service asks for, or cannot be asked."""
        return not self.drift

    @property
    def drift(self) -> tuple[Drift, ...]:
        """What AWS lacks of what the Service asks for."""
        lacking = [Drift(what, "not allowed", "allowed", key=LOST_RULES) for what in self.lacking]
        if _networks(self.ranges) == _networks(self.wanted):
            return tuple(lacking)
        has, wants = described(self.ranges), described(self.wanted)
        return (Drift("the load balancer lets in", has, wants, key=LOST_RULES), *lacking)


def access_of(ctx: Context, service: Json, *, fresh: bool = False) -> Access:
    """Return who reaches the load balancer of a Service.

    It is not known of a load balancer of another kind, or whose group is not Kubernetes', and
    where the caller may not describe them. With `fresh` AWS is asked again.
    """
    wanted = tuple(sorted(_wanted(service)))

    def compared() -> Access:
        balancer = balancer_of(ctx, host_of(service), fresh=fresh)
        group = _group_of(ctx, balancer, fresh=fresh) if balancer else None
        if balancer is None or group is None:
            return Access(wanted, None)
        numbers = [int(port["port"]) for port in service["spec"]["ports"]]
        each = [ranges_for(Ports("tcp", number, number), group) for number in numbers]
        allowed = tuple(sorted(set.intersection(*each)))
        return Access(wanted, allowed, tuple(_lacking(ctx, balancer, group, wanted)))

    return advice(compared, lambda _: Access(wanted, None))


def balancer_of(ctx: Context, host: str, *, fresh: bool = False) -> Item | None:
    """Return the Classic Load Balancer of a host name, as AWS lists it."""
    listed = ctx.inventory.all(LOAD_BALANCERS, fresh=fresh) if host else []
    return next((item for item in listed if item.get("DNSName") == host), None)


def pending(ctx: Context, service: Json) -> Pending:
    """Return what is awaited, with the newest event of the Service, which has AWS's reason."""
    meta = service["metadata"]
    event = last_event(ctx, meta["name"], meta["namespace"], uid=str(meta["uid"]))
    return Pending(f"AWS is changing who reaches the load balancer {event}".strip())


def restore(ctx: Context, name: str) -> None:
    """Let Kubernetes make the rules again that a Service's load balancer has lost.

    It does so when the annotations of the Service change, and not by itself: needsUpdate in
    https://github.com/kubernetes/kubernetes
    (staging/src/k8s.io/cloud-provider/controllers/service/controller.go), which leads to
    EnsureLoadBalancer in https://github.com/kubernetes/cloud-provider-aws
    (pkg/providers/v1/aws.go). That authorizes no outbound rule: EC2 makes one with each group.
    """
    service = read_service(ctx, name)
    balancer = balancer_of(ctx, host_of(service), fresh=True)
    group = _group_of(ctx, balancer, fresh=True) if balancer else None
    if group and not leads_out(group):
        everything = permission(ALL_TRAFFIC, EVERYWHERE)
        authorize(ctx, "", group["GroupId"], [everything], outbound=True)
    asked = {RECONCILED: ctx.clock.today().isoformat()}
    patch = {"metadata": {"annotations": asked}}
    kube_client(ctx).patch(SERVICE, name, patch, ctx.config.openwhisk_namespace)


def described(listed: Sequence[str]) -> str:
    """Return ranges as text."""
    return "everywhere" if EVERYWHERE in listed else ", ".join(listed) or "no address"


def _wanted(service: Json) -> list[str]:
    """Return the ranges of a Service's field, else those of its annotation, else everywhere.

    https://kubernetes.io/docs/reference/labels-annotations-taints/#service-beta-kubernetes-io-load-balancer-source-ranges
    """
    noted = (service["metadata"].get("annotations") or {}).get(RANGES_NOTE, "")
    listed = [cidr.strip() for cidr in str(noted).split(",") if cidr.strip()]
    return list(service["spec"].get(RANGES) or listed or [EVERYWHERE])


def _group_of(ctx: Context, balancer: Item, *, fresh: bool) -> Item | None:
    """Return the group that Kubernetes has made for a load balancer."""
    ids = [str(each) for each in balancer.get("SecurityGroups", [])]
    fresh_first = [fresh, *(False for _ in ids[1:])]
    groups = [managed_group(ctx, key, fresh=now) for key, now in zip(ids, fresh_first, strict=True)]
    made = (group for group in groups if group)
    return next((group for group in made if group["GroupName"].startswith(BALANCER_GROUP)), None)


def _lacking(ctx: Context, balancer: Item, group: Item, wanted: Sequence[str]) -> list[str]:
    """Return what does not pass although Kubernetes, or EC2, has made a rule for it.

    Kubernetes lets a load balancer reach the nodes before it registers them, by a rule of their
    group that names the load balancer's: updateInstanceSecurityGroupsForLoadBalancer.
    """
    found = []
    if not _networks(wanted) <= _networks(ranges_for(FRAGMENTATION_NEEDED, group)):
        found.append("ICMP for path MTU discovery to the load balancer")
    network = (cluster_of(ctx) or {}).get("resourcesVpcConfig", {})
    nodes = managed_group(ctx, str(network.get("clusterSecurityGroupId") or ""))
    if balancer.get("Instances") and nodes and not _names(nodes, group["GroupId"]):
        found.append("traffic from the load balancer to the nodes")
    if not leads_out(group):
        found.append("outbound traffic of the load balancer")
    return found


def _names(group: Item, other: str) -> bool:
    """Say whether an inbound rule of a group names another one."""
    return any(
        pair["GroupId"] == other
        for allowed in group["IpPermissions"]
        for pair in allowed.get("UserIdGroupPairs", [])
    )


def _networks(listed: Iterable[str]) -> set[str]:
    return {str(ip_network(cidr, strict=False)) for cidr in listed}


def being_created(event: str) -> Pending:
    """Return the state of a load balancer without a host name, with the fix of its last event."""
    return Pending(f"AWS is creating the load balancer {event}".strip(), known_fix(event))
