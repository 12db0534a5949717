"""The steps of `allow-my-ip`: who reaches SSH, the cluster's endpoint and OpenWhisk.

Each changes address ranges and nothing else, so that the verb is quick and its plan is short. The
ranges are those that `create` and `configure` want, too: neither takes them out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.aws.cluster import cluster_of, is_active
from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.infrastructure.cluster_drift import ENDPOINTS, access_change, access_cidrs
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.ingress_rules import SSH
from aws_setup.infrastructure.operators import KEPT_TAG, covers, parse_kept
from aws_setup.infrastructure.security_group import (
    change_operator_rules,
    existing_group,
    owned_group,
    ssh_drift,
    ssh_ranges,
)
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import SERVICE
from aws_setup.openwhisk.addresses import public_service, read_service
from aws_setup.openwhisk.listener_access import (
    EVERYWHERE,
    RANGES,
    access_of,
    described,
    pending,
)
from aws_setup.openwhisk.public_address import is_owned, ranges

ENDPOINT = "eks cluster"
NO_CLUSTER = "no EKS cluster of this deployment exists"


@dataclass(frozen=True)
class SshRanges(Step):
    """The rule of the security group for SSH, and the ranges that the group's tag keeps."""

    name: str = "security group"
    part: str = "network"

    def find(self, ctx: Context) -> Found | None:
        """Return the group with the ranges to add and to revoke."""
        group = owned_group(ctx)
        if group is None:
            return Found("", skipped="no security group of this deployment exists")
        drift = list(ssh_drift(ctx, group))
        kept = ctx.defaults.kept_cidrs or ()
        if set(parse_kept(group)) != set(kept):
            before = ", ".join(parse_kept(group)) or "none"
            drift.append(Drift("kept addresses", before, ", ".join(kept) or "none"))
        state = f"SSH from {', '.join(ssh_ranges(group)) or 'no address'}"
        return Found(group["GroupId"], state, {"name": group["GroupName"]}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Authorize new ranges, write the tag, then revoke old ranges."""
        group = owned_group(ctx, fresh=True)
        if group is None:
            return Found("", skipped="no security group of this deployment exists")
        value = " ".join(ctx.defaults.kept_cidrs or ())
        if tag_of(group, KEPT_TAG) != value:
            ctx.aws.ec2.create_tags(
                Resources=[group["GroupId"]], Tags=[{"Key": KEPT_TAG, "Value": value}]
            )
        change_operator_rules(ctx, group, step=self.name)
        return Found(group["GroupId"], "available", {"name": group["GroupName"]})


@dataclass(frozen=True)
class EndpointRanges(Step):
    """The ranges that reach the public endpoint of the cluster."""

    name: str = ENDPOINT
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the cluster with its ranges compared."""
        cluster = cluster_of(ctx)
        if cluster is None or not _is_owned(ctx, cluster):
            return Found("", skipped=NO_CLUSTER)
        network = cluster["resourcesVpcConfig"]
        has, wants = sorted(network.get("publicAccessCidrs") or []), access_cidrs(ctx)
        found = Found(cluster["name"], f"reachable from {described(has)}")
        if ctx.config.eks_public_access_cidrs and has == wants:
            return Found("", skipped="eks_public_access_cidrs names its ranges")
        if not wants:
            return Found("", skipped="EKS takes IPv4 only, and no IPv4 address is known")
        drift = [Drift("public access", described(has), described(wants))] if has != wants else []
        closed = [key for key in ENDPOINTS if not network.get(key)]
        drift += [Drift("disabled endpoints", ", ".join(closed), "none")] if closed else []
        return Found(found.id, found.state, {}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Change the ranges, once no other update of the cluster is going on."""
        name, step = ctx.config.eks_cluster_name, EksCluster()
        found = Found(name)
        step.wait(ctx, found)
        step.change(ctx, name, access_change)
        return Found(name, f"reachable from {described(access_cidrs(ctx))}")


@dataclass(frozen=True)
class OpenWhiskRanges(Step):
    """The ranges that reach OpenWhisk's public load balancer.

    They are in a Service, which can be read only once the endpoint lets the operator in.
    """

    name: str = "openwhisk public address"
    needs: tuple[str, ...] = (ENDPOINT,)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the Service with its ranges compared, as far as it can be read."""
        config, cluster = ctx.config, cluster_of(ctx)
        if config.openwhisk_internal:
            return Found("", skipped="openwhisk_internal is True")
        if cluster is None:
            return Found("", skipped=NO_CLUSTER)
        if not is_active(cluster):
            return Found("", skipped="the EKS cluster is not active")
        network = cluster["resourcesVpcConfig"]
        now = network.get("publicAccessCidrs") or [EVERYWHERE]
        later = access_cidrs(ctx) if _is_owned(ctx, cluster) else now
        if not (config.kubeconfig_path or _reaches(ctx, later)):
            return Found("", skipped="the cluster's endpoint does not let you in")
        is_public = bool(network.get("endpointPublicAccess", True))
        if not (config.kubeconfig_path or (is_public and _reaches(ctx, now))):
            state = "not known before the cluster's endpoint lets you in"
            drift = Drift("reachable from", "not known", described(ranges(ctx)))
            return Found(public_service(config), state, drift=(drift,))
        return self._found(ctx)

    def _found(self, ctx: Context) -> Found:
        service, wants = read_service(ctx, public_service(ctx.config)), ranges(ctx)
        if service is None or not is_owned(ctx.config, service):
            return Found("", skipped="OpenWhisk has no public load balancer of this deployment")
        if not wants:
            why = "a Classic Load Balancer takes IPv4 only, and no IPv4 address is known"
            return Found("", skipped=why)
        has = list(access_of(ctx, service, fresh=True).ranges)
        drift = (Drift("reachable from", described(has), described(wants)),) if has != wants else ()
        state = f"reachable from {described(has)}"
        return Found(public_service(ctx.config), state, drift=drift)

    def create(self, ctx: Context) -> Found:
        """Patch the Service, and return when the load balancer's security group lets them in."""
        found = ctx.wait_until(
            "the API server lets you in",
            lambda: self._found(ctx) if cluster_of(ctx, fresh=True) else Pending("no cluster"),
            deadline=300,
            pause=5,
        )
        if found.skipped or not found.drift:
            return found
        patch = {"spec": {RANGES: ranges(ctx)}}
        kube_client(ctx).patch(SERVICE, found.id, patch, ctx.config.openwhisk_namespace)

        def applied() -> Found | Pending:
            service = read_service(ctx, found.id)
            there = self._found(ctx)
            return pending(ctx, service) if service and there.drift else there

        return ctx.wait_until(
            "the load balancer lets them in",
            applied,
            deadline=300,
            pause=5,
            hint="see the events of the Service; docs/configure.md lists the causes",
        )


def _is_owned(ctx: Context, cluster: Item) -> bool:
    return tag_of(cluster, DEPLOYMENT_TAG) == ctx.config.deployment_name


def _reaches(ctx: Context, allowed: Sequence[str]) -> bool:
    """Say whether an endpoint that allows some ranges lets the operator's addresses in."""
    own = [cidr for cidr in ctx.defaults.operator_cidrs if ":" not in cidr]
    return all(covers(allowed, cidr) for cidr in own)


def allow_steps() -> list[Step]:
    """Return the steps of `allow-my-ip`."""
    return [SshRanges(), EndpointRanges(), OpenWhiskRanges()]


def ranges_to_keep(ctx: Context) -> tuple[str, ...]:
    """Return what --keep keeps: the ranges of SSH's rule and of the tag, without the wanted ones.

    A rule for every address is no operator's, and is not kept.
    """
    group = owned_group(ctx)
    if group is None:
        return ()
    found = dict.fromkeys([*parse_kept(group), *ssh_ranges(group)])
    wanted = set(ctx.defaults.operator_cidrs)
    return tuple(cidr for cidr in found if cidr not in wanted and not cidr.endswith("/0"))


def unlisted(ctx: Context) -> Sequence[tuple[str, str, str]]:
    """Return what of the operator's addresses some places cannot take: what, why, hint."""
    found = []
    six = [cidr for cidr in ctx.defaults.operator_cidrs if ":" in cidr]
    if six:
        what = f"{', '.join(six)} is let in for SSH only"
        why = "the endpoint of a cluster of the IPv4 family and a Classic Load Balancer take IPv4"
        found.append((what, why, "list an IPv4 address in operators for the other two"))
    listed = ctx.config.eks_public_access_cidrs
    own = [cidr for cidr in ctx.defaults.operator_cidrs if ":" not in cidr]
    missing = [cidr for cidr in own if listed and not covers(listed, cidr)]
    if missing:
        what = f"the cluster's endpoint does not let {', '.join(missing)} in"
        why = "eks_public_access_cidrs names other ranges"
        found.append((what, why, f"add {missing[0]} to it, or remove the key"))
    vpc = _vpc(ctx)
    if vpc and existing_group(ctx, vpc):
        what = "the existing security group is not changed"
        why = "this deployment does not manage it"
        hint = f"allow TCP {SSH.first} from {', '.join(ctx.defaults.operator_cidrs)} in it"
        found.append((what, why, hint))
    return found


def _vpc(ctx: Context) -> str:
    """Return the VPC of the deployment's instances, '' where there are none."""
    vpcs = {str(item["VpcId"]) for item in ctx.inventory.all("instances") if item.get("VpcId")}
    return min(vpcs) if vpcs else ""
