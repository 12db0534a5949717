"""The node groups: their launch templates, their requests, their wait with EKS's own reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry, wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import DEPLOYMENT_TAG, tags
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.kube.connect import cluster_of

AMI_TYPE = "AL2023_x86_64_STANDARD"
"""AMIs with Amazon Linux 2 are published no longer (facts of the EKS user guide)."""

CAPACITY = ("InsufficientInstanceCapacity", "Unsupported", "Ec2InstanceTypeDoesNot")
"""Words of EKS and EC2 about a failure that another zone or type mends."""

FAILED = "status"
"""The drift of a group that EKS gave up or is deleting: once it is gone it is made anew."""

ROLE_LAG = ("cannot be found", "does not exist", "could not be assumed", "trust relationships")
"""What CreateNodegroup says while a new role has not spread through IAM yet."""


@dataclass(frozen=True)
class NodeGroup(Step):
    """One node group; sizes, labels and template are changed in place, the type cannot be."""

    nodes: NodeGroupSpec
    part: str = "eks"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.nodes.group

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The cluster, the role, the template, and the add-ons without which no node is Ready."""
        template = f"{self.nodes.group} template"
        return ("eks cluster", "node role", template, "vpc-cni add-on", "kube-proxy add-on")

    def find(self, ctx: Context) -> Found | None:
        """Return the node group, with everything in which it differs."""
        group = describe(ctx, self.nodes.group)
        return self._found(ctx, group) if group else None

    def _found(self, ctx: Context, group: Item) -> Found:
        facts = {
            "instance_type": (group.get("instanceTypes") or ["?"])[0],
            "nodes": group["scalingConfig"]["desiredSize"],
            "notes": [f"{issue['code']}: {issue['message']}" for issue in issues(group)],
        }
        status = group["status"]
        since = group.get("createdAt")
        ready = status in ("ACTIVE", "DEGRADED")
        drift = self._drift(ctx, group)
        return Found(group["nodegroupName"], status, facts, drift, ready, since)

    def _drift(self, ctx: Context, group: Item) -> tuple[Drift, ...]:
        if tag_of(group, DEPLOYMENT_TAG) != ctx.config.deployment_name:
            owner = tag_of(group, DEPLOYMENT_TAG) or "somebody else"
            mend = f"delete the node group {group['nodegroupName']} in the EKS console"
            return (Drift("owner", owner, ctx.config.deployment_name, mend, DriftKey.OWNER),)
        if group["status"] in ("CREATE_FAILED", "DELETING"):
            return (Drift(FAILED, f"{group['status']} {_reasons(group)}".strip(), "ACTIVE"),)
        types = group.get("instanceTypes") or []
        drift = []
        if types != [self.nodes.instance_type]:
            mend = f"delete the node group {self.name} in the EKS console and run configure again"
            has = ", ".join(types) or "none"
            drift.append(Drift("instance type", has, self.nodes.instance_type, mend))
        return (*drift, *self._changes(ctx, group))

    def _changes(self, ctx: Context, group: Item) -> Sequence[Drift]:
        """Return the differences that are changed in place."""
        found = []
        has = group["scalingConfig"]
        if has != _scaling(self.nodes.count):
            found.append(Drift("nodes", str(has["desiredSize"]), str(self.nodes.count)))
        labels = group.get("labels") or {}
        if any(labels.get(key) != value for key, value in self.nodes.labels.items()):
            found.append(Drift("labels", str(labels), str(self.nodes.labels)))
        template = ctx.found.get(f"{self.name} template")
        used = str(group.get("launchTemplate", {}).get("version", ""))
        if template and used != str(template.facts["version"]):
            found.append(Drift("template version", used, str(template.facts["version"])))
        return found

    def create(self, ctx: Context) -> Found:
        """Ask for the node group, again while its new role spreads through IAM.

        Its name keeps it from being made twice, so that no token of ours is needed: one that stayed
        the same would, after a destroy, be answered with the group that is gone.
        """
        return self._ask(ctx, self._request(ctx))

    def _ask(self, ctx: Context, request: Any) -> Found:
        def ask() -> Any:
            try:
                return ctx.aws.eks.create_nodegroup(**request)["nodegroup"]
            except ClientError as error:
                message = str(error.response["Error"].get("Message", ""))
                if error_code(error) == "ResourceInUseException":
                    return describe(ctx, self.nodes.group) or Pending("it is being deleted")
                lag = error_code(error) == "InvalidParameterException"
                if lag and any(text in message for text in ROLE_LAG):
                    return Pending(f"IAM: {message}")
                raise

        what = f"EKS accepts node group {self.name}"
        group = wait_until(what, ask, clock=ctx.clock, deadline=120, pause=5, note=ctx.note)
        return self._found(ctx, group)

    def _request(self, ctx: Context) -> Any:
        template = ctx.of(f"{self.name} template")
        return {
            "clusterName": ctx.config.eks_cluster_name,
            "nodegroupName": self.nodes.group,
            "scalingConfig": _scaling(self.nodes.count),
            "subnets": node_subnets(ctx),
            "instanceTypes": [self.nodes.instance_type],
            "amiType": AMI_TYPE,
            "nodeRole": ctx.of("node role").id,
            "labels": self.nodes.labels,
            "launchTemplate": {"id": template.id, "version": str(template.facts["version"])},
            "capacityType": "ON_DEMAND",
            "tags": tags(ctx.config, self.name, name=self.nodes.group),
        }

    def update(self, ctx: Context, found: Found) -> Found:
        """Set sizes and labels, then the template's version; EKS takes one update at a time.

        A group that EKS gave up is deleted and made anew.
        """
        eks, cluster = ctx.aws.eks, ctx.config.eks_cluster_name
        changed = {drift.what for drift in found.drift}
        if FAILED in changed:
            self.delete(ctx, found)
            return self._ask(ctx, self._request(ctx))
        if changed & {"nodes", "labels"}:
            made: Any = eks.update_nodegroup_config(
                clusterName=cluster,
                nodegroupName=found.id,
                labels={"addOrUpdateLabels": self.nodes.labels},
                scalingConfig=_scaling(self.nodes.count),  # type: ignore[arg-type]
            )
            self._follow(ctx, made["update"]["id"])
        if "template version" in changed:
            template = ctx.of(f"{self.name} template")
            version = str(template.facts["version"])
            made = eks.update_nodegroup_version(
                clusterName=cluster,
                nodegroupName=found.id,
                launchTemplate={"id": template.id, "version": version},
            )
            self._follow(ctx, made["update"]["id"])
        group = describe(ctx, self.nodes.group)
        return self._found(ctx, group) if group else found

    def _follow(self, ctx: Context, own: str) -> None:
        """Wait for an update of the node group; each node is replaced in turn."""

        def probe() -> bool | Pending:
            answer = ctx.aws.eks.describe_update(
                name=ctx.config.eks_cluster_name, nodegroupName=self.name, updateId=own
            )
            update = answer["update"]
            if update["status"] in ("Failed", "Cancelled"):
                why = "; ".join(str(error.get("errorMessage")) for error in update["errors"])
                raise SetupError(f"the update of {self.name} failed", why, "run it again")
            return update["status"] == "Successful" or Pending(update["status"])

        what = f"{self.name} is updated"
        wait_until(what, probe, clock=ctx.clock, deadline=3600, pause=10, note=ctx.note)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when EKS calls the group ACTIVE; its health issues are told as they come."""

        def probe() -> Found | Pending:
            group = wait_visible(lambda: describe(ctx, self.nodes.group), clock=ctx.clock)
            if group is None:
                raise SetupError(f"{self.name} is gone", "somebody deleted it", "run it again")
            if group["status"] in ("CREATE_FAILED", "DELETE_FAILED"):
                raise failure_of(self.nodes, group)
            reasons = _reasons(group)
            state = f"{group['status']}: {reasons}" if reasons else str(group["status"])
            return self._found(ctx, group) if group["status"] == "ACTIVE" else Pending(state)

        return wait_until(
            f"{self.name} become ACTIVE",
            probe,
            clock=ctx.clock,
            deadline=2400,
            pause=6,
            note=ctx.note,
            hint=_fix(self.nodes),
        )

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the node group and return when EKS no longer knows it."""
        cluster, name = ctx.config.eks_cluster_name, found.id
        delete_with_retry(
            ctx,
            f"node group {name}",
            lambda: ctx.aws.eks.delete_nodegroup(clusterName=cluster, nodegroupName=name),
            gone={"ResourceNotFoundException"},
        )

        def gone() -> bool | Pending:
            group = describe(ctx, name)
            return Pending(group["status"]) if group else True

        what = f"node group {name} is deleted"
        wait_until(what, gone, clock=ctx.clock, deadline=2400, pause=15, note=ctx.note)

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The machines and their disks."""
        count = float(self.nodes.count)
        machines = CostItem(self.part, f"ec2:{self.nodes.instance_type}", count)
        return (machines, CostItem(self.part, "gp3-gib", count * config.eks_node_disk_size))


def describe(ctx: Context, group: str) -> Item | None:
    """Return a node group as EKS describes it; None when the cluster has none of that name."""
    eks = ctx.aws.eks
    try:
        answer: Any = eks.describe_nodegroup(
            clusterName=ctx.config.eks_cluster_name, nodegroupName=group
        )
    except eks.exceptions.ResourceNotFoundException:
        return None
    found: Item = answer["nodegroup"]
    return found


def node_subnets(ctx: Context) -> list[str]:
    """Return the cluster's subnets for nodes: the private ones unless public nodes are asked for.

    Raises:
        SetupError: the cluster has no subnet of that kind.
    """
    cluster = cluster_of(ctx) or {}
    ids = cluster.get("resourcesVpcConfig", {}).get("subnetIds", [])
    subnets = ctx.aws.ec2.describe_subnets(SubnetIds=ids)["Subnets"] if ids else []
    public = ctx.config.eks_nodes_public
    fitting = [item["SubnetId"] for item in subnets if _is_public(item) == public]
    if not fitting:
        raise SetupError(
            f"the cluster has no {'public' if public else 'private'} subnets",
            f"its subnets are {', '.join(ids) or 'unknown'}",
            f"set eks_nodes_public: {not public}",
        )
    return sorted(fitting)


def _is_public(subnet: Any) -> bool:
    if tag_of(subnet, "kubernetes.io/role/elb"):
        return True
    if tag_of(subnet, "kubernetes.io/role/internal-elb"):
        return False
    return bool(subnet.get("MapPublicIpOnLaunch"))


def issues(group: Item) -> Sequence[Any]:
    """Return the health issues that EKS names for a node group."""
    return list(group.get("health", {}).get("issues", []))


def failure_of(nodes: NodeGroupSpec, group: Item) -> SetupError:
    """Return why a node group failed, with the mend that fits."""
    return SetupError(
        f"node group {nodes.group} is {group['status']}",
        _reasons(group) or "EKS gives no reason",
        _fix(nodes) if any(code in _reasons(group) for code in CAPACITY) else HINT_RECREATE,
    )


HINT_RECREATE = "mend what EKS names and run configure again: it makes the node group anew"


def _fix(nodes: NodeGroupSpec) -> str:
    return (
        f"set another openwhisk_{nodes.role}_instance_type or other availability_zones, "
        "and run configure again: it makes the node group anew"
    )


def _reasons(group: Item) -> str:
    return "; ".join(f"{issue['code']}: {issue['message']}" for issue in issues(group))


def _scaling(count: int) -> dict[str, int]:
    return {"minSize": count, "maxSize": count, "desiredSize": count}
