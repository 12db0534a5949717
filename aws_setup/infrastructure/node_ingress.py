"""The rules that allow the traffic of the nodes of the EKS cluster: to the VMs, and among them.

Nodes have the cluster's own security group, which EKS creates with the cluster and deletes with it,
unless a rule of another group names it: so these rules are revoked before the cluster is deleted.
https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item
from aws_setup.aws.tags import security_group_name
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cluster_group import (
    CLUSTER_GROUP,
    cluster_group_drift,
    restore_cluster_group,
)
from aws_setup.infrastructure.ingress_rules import (
    IngressRule,
    Source,
    Targets,
    missing_rules,
    node_references,
    permission,
    rule_drift,
)
from aws_setup.infrastructure.security_group import (
    authorize,
    existing_group,
    existing_group_drift,
    owned_group,
    revoke,
    vpc_ranges,
)

NAME = "node ingress"


@dataclass(frozen=True)
class NodeIngress(Step):
    """The rules for traffic from the nodes, in the security group of the VMs.

    Those of the cluster's own group are EKS's; they are authorized again where somebody has revoked
    them. The others name the security group of the present cluster; rules of an earlier cluster are
    replaced. The VMs' group in an adopted VPC is only compared. With `optional` a missing group of
    VMs is no error: another script creates it.
    """

    name: str = NAME
    needs: tuple[str, ...] = ("security group", "eks cluster")
    part: str = "network"
    slow: bool = True
    optional: bool = False

    def find(self, ctx: Context) -> Found | None:
        """Return the rules, compared with the present cluster."""
        cluster = ctx.found.get("eks cluster")
        found, own = self._of_vms(ctx, cluster), _targets(cluster).get(Source.NODES, "")
        lost = cluster_group_drift(ctx, own) if own and not ctx.owned_only else []
        if not lost:
            return found
        if found is None:
            drift = Drift("traffic from the nodes to the VMs", "not allowed", "allowed")
            found = Found(own, drift=(drift,))
        return replace(found, id=found.id or own, drift=(*found.drift, *lost), skipped="")

    def _of_vms(self, ctx: Context, cluster: Found | None) -> Found | None:
        """Return the rules in the security group of the VMs."""
        group = owned_group(ctx)
        if group is None:
            return self._find_existing(ctx, cluster)
        references = node_references(group)
        named = {group_id for _, group_id in references}
        state = f"allowed in {group['GroupId']}"
        if ctx.owned_only:
            return Found(", ".join(sorted(named)), state) if named else None
        if cluster and cluster.facts["vpc"] != group["VpcId"]:
            why = f"the cluster is in {cluster.facts['vpc']}, the VMs are in {group['VpcId']}"
            return Found("", skipped=why)
        targets = _targets(cluster)
        if not named and (missing_rules(group, targets) or not targets):
            return None
        drift = (*rule_drift(group, targets), *_stale_drift(group, targets))
        return Found(", ".join(sorted(named | {*targets.values()})), state, drift=drift)

    def _find_existing(self, ctx: Context, cluster: Found | None) -> Found | None:
        group = existing_group(ctx, cluster.facts["vpc"]) if cluster else None
        targets = _targets(cluster)
        if group is not None and targets:
            ranges = vpc_ranges(ctx, group["VpcId"])
            drift = existing_group_drift(group, targets, ranges=ranges)
            return Found(targets[Source.NODES], "adopted", drift=drift)
        if group is None and self.optional and not ctx.owned_only:
            why = f"there is no security group {security_group_name(ctx.config)}"
            return Found("", skipped=why)
        return None

    def create(self, ctx: Context) -> Found:
        """Authorize the missing rules and revoke those of an earlier cluster.

        Raises:
            SetupError: an adopted security group lacks rules; the fix is the command.
        """
        cluster = ctx.of("eks cluster")
        targets = _targets(cluster)
        if not targets:
            return Found(cluster.id, "the cluster is not ready", ready=False)
        group = owned_group(ctx, fresh=True)
        if group is None:
            return self._check_existing(ctx, cluster, targets)
        missing = [
            permission(rule.ports, targets[rule.source], rule.description)
            for rule in missing_rules(group, targets)
        ]
        authorize(ctx, self.name, group["GroupId"], missing)
        _revoke(ctx, group, stale_references(group, targets))
        return Found(targets[Source.NODES], f"allowed in {group['GroupId']}")

    def update(self, ctx: Context, found: Found) -> Found:
        """Authorize again what somebody has revoked, in the group of the cluster and of the VMs."""
        cluster = ctx.of("eks cluster")
        if any(drift.key == CLUSTER_GROUP for drift in found.drift):
            restore_cluster_group(ctx, cluster.facts["security_group"])
        if any(drift.key != CLUSTER_GROUP for drift in found.drift):
            return self.create(ctx)
        return self._of_vms(ctx, cluster) or found

    def wait(self, ctx: Context, found: Found) -> Found:
        """Authorize the rules once the cluster has its group, which it has when it is ACTIVE."""
        ready = self.create(ctx)
        if not ready.ready:
            raise SetupError(
                "the EKS cluster has no security group of its own",
                "EKS creates it with the cluster",
                f"check `aws eks describe-cluster --name {ctx.config.eks_cluster_name}`",
            )
        return ready

    def _check_existing(self, ctx: Context, cluster: Found, targets: Targets) -> Found:
        group = existing_group(ctx, cluster.facts["vpc"])
        ranges = vpc_ranges(ctx, cluster.facts["vpc"])
        drift = existing_group_drift(group, targets, ranges=ranges) if group else ()
        if group is None or drift:
            name = security_group_name(ctx.config)
            raise SetupError(
                f"the security group {name} does not allow the traffic of the EKS nodes",
                drift[0].what if drift else f"VPC {cluster.facts['vpc']} has no such group",
                drift[0].fix if drift else "run python create_aws_infrastructure.py first",
            )
        return Found(targets[Source.NODES], "adopted")

    def delete(self, ctx: Context, found: Found) -> None:
        """Revoke every rule that a run has made for nodes, of whatever cluster."""
        group = owned_group(ctx, fresh=True)
        if group is not None:
            _revoke(ctx, group, node_references(group))


def _revoke(ctx: Context, group: Item, references: Sequence[tuple[IngressRule, str]]) -> None:
    stale = [permission(rule.ports, group_id) for rule, group_id in references]
    revoke(ctx, group["GroupId"], stale)


def stale_references(group: Item, targets: Targets) -> list[tuple[IngressRule, str]]:
    """Return the permissions for nodes that name another group than that of the present cluster."""
    present = targets.get(Source.NODES)
    return [pair for pair in node_references(group) if pair[1] != present]


def _stale_drift(group: Item, targets: Targets) -> list[Drift]:
    groups = sorted({group_id for _, group_id in stale_references(group, targets)})
    return [Drift(f"traffic from {group_id}", "allowed", "not allowed") for group_id in groups]


def _targets(cluster: Found | None) -> Targets:
    """Return the nodes' security group; empty while EKS has not created it."""
    group_id = cluster.facts.get("security_group") if cluster else None
    return {Source.NODES: group_id} if group_id else {}
