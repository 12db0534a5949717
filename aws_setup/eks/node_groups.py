"""The node groups: create and update requests, and the waits with the reasons that EKS gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import wait_visible
from aws_setup.aws.inventory import Item
from aws_setup.aws.paused import paused_drift
from aws_setup.aws.reasons import health_issues
from aws_setup.aws.session import error_code
from aws_setup.aws.spot import offered_alternatives
from aws_setup.aws.tag_drift import Tagged, TaggedItem, tags_of
from aws_setup.aws.tags import tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.eks.node_count import NodeCount
from aws_setup.eks.node_group_problems import (
    HINT_RERUN,
    REPLACED,
    broken_drift,
    conflicts,
    failure_of,
    older_kubernetes,
    owner_drift,
    pending_hint,
    reasons_of,
    replacement_drift,
    subnets_without_capacity,
)
from aws_setup.eks.node_launch_template import CONTENTS, NodeGroupSpec
from aws_setup.eks.node_subnets import subnets_for
from aws_setup.eks.volume_zones import ZONES, zone_drift
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.eks_cluster import write_eks_tags
from aws_setup.infrastructure.eks_deletions import (
    NODE_GROUP_ATTEMPTS,
    RE_CREATED,
    describe_node_group,
    node_group_deletion,
)
from aws_setup.infrastructure.eks_updates import UPDATING, send_update, wait_updated

AMI_TYPE = "AL2023_x86_64_STANDARD"
"""EKS no longer publishes AMIs with Amazon Linux 2 (EKS user guide)."""

ARCHITECTURE = "x86_64"
"""The architecture of AMI_TYPE and of λFS's images, as EC2 names it."""

DEGRADED_LOOKS = 5
"""Polls, 6 seconds apart, after which a node group that stays DEGRADED is a failure: EKS shows it
for a moment while nodes are replaced, and for good while their launches fail.
https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html"""

CONFIG, VERSION = "config", "version"
"""Keys of the drift that UpdateNodegroupConfig and UpdateNodegroupVersion correct."""

ROLE_LAG = ("cannot be found", "does not exist", "could not be assumed", "trust relationships")
"""Texts of CreateNodegroup's error while a new role is not visible to EKS yet."""


@dataclass(frozen=True)
class NodeGroup(Tagged, Step):
    """One node group; size, labels and template are updated in place, the type cannot be.

    `also` names what else it follows.
    """

    nodes: NodeGroupSpec
    part: str = "eks"
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.nodes.group

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The cluster, the role and the template."""
        return ("eks cluster", "node role", f"{self.nodes.group} template")

    @property
    def follows(self) -> tuple[str, ...]:  # type: ignore[override]
        """The add-ons without which no node is Ready (AddonSpec); it starts without them."""
        return (*(spec.step for spec in ADDONS if not spec.on_nodes), *self.also)

    def find(self, ctx: Context) -> Found | None:
        """Return the node group with its drift."""
        group = describe_node_group(ctx, self.nodes.group)
        return self._found(ctx, group) if group else None

    def _found(self, ctx: Context, group: Item) -> Found:
        status = group["status"]
        since = group.get("createdAt")
        ready = status == "ACTIVE"
        drift = self._drift(ctx, group)
        facts = group_facts(group)
        return Found(group["nodegroupName"], status, facts, drift, ready, since)

    def tagged(self, ctx: Context, found: Found) -> list[TaggedItem]:
        """Return the node group with its tags."""
        wanted, write = self._tags(ctx), partial(write_eks_tags, ctx)
        return [TaggedItem(found.facts["arn"], found.facts["tags"], wanted, write)]

    def _tags(self, ctx: Context) -> dict[str, str]:
        return tags(ctx.config, self.name, name=self.nodes.group)

    def _drift(self, ctx: Context, group: Item) -> tuple[Drift, ...]:
        if others := owner_drift(ctx, group, self.name):
            return others
        if drift := broken_drift(group) or paused_drift([group]):
            return drift
        if drift := replacement_drift(ctx, self.nodes, group):
            return drift
        changes = self._changes(ctx, group)
        fewer = int(group["scalingConfig"]["desiredSize"]) > self.nodes.count
        replaced = fewer or any(drift.key == VERSION for drift in changes)
        zones = zone_drift(ctx, self.nodes, group) if replaced else ()
        return (*conflicts(ctx, self.nodes, group), *changes, *zones)

    def _changes(self, ctx: Context, group: Item) -> Sequence[Drift]:
        """Return the drift that is corrected in place."""
        drift = []
        scaling = group["scalingConfig"]
        if scaling != self.nodes.scaling:
            has = str(scaling["desiredSize"])
            drift.append(Drift("nodes", has, str(self.nodes.count), key=CONFIG))
        labels = group.get("labels") or {}
        if any(labels.get(key) != value for key, value in self.nodes.labels.items()):
            drift.append(Drift("labels", str(labels), str(self.nodes.labels), key=CONFIG))
        if older := older_kubernetes(ctx, group):
            wants = f"{older} (EKS replaces the nodes one by one)"
            drift.append(Drift("Kubernetes version", group["version"], wants, key=VERSION))
        template = ctx.found.get(f"{self.name} template")
        used = str(group.get("launchTemplate", {}).get("version", ""))
        newer = template is not None and any(it.what == CONTENTS for it in template.drift)
        if template and (newer or used != str(template.facts["version"])):
            latest = "a new one" if newer else str(template.facts["version"])
            wants = f"{latest} (EKS replaces the nodes one by one)"
            drift.append(Drift("template version", used, wants, key=VERSION))
        return drift

    def create(self, ctx: Context) -> Found:
        """Create the node group."""
        return self._create(ctx)

    def _create(self, ctx: Context, *, without: Collection[str] = ()) -> Found:
        """Create the node group; repeated while its new role is not visible to EKS yet.

        A single node is not launched in the subnets of `without`, if there is another one.

        The name is unique within the cluster, so that a repeat creates no second one. A constant
        client token would, after a destroy, return the deleted group; botocore's is new for each
        call.
        """
        request = self._request(ctx, without)

        def probe() -> Any:
            try:
                return ctx.aws.eks.create_nodegroup(**request)["nodegroup"]
            except ClientError as error:
                message = str(error.response["Error"].get("Message", ""))
                if error_code(error) == "ResourceInUseException":
                    return describe_node_group(ctx, self.nodes.group) or Pending(
                        "it is being deleted"
                    )
                lag = error_code(error) == "InvalidParameterException"
                if lag and any(text in message for text in ROLE_LAG):
                    return Pending(f"IAM: {message}")
                raise

        what = f"EKS accepts node group {self.name}"
        group = ctx.wait_until(what, probe, deadline=120, pause=3)
        return self._found(ctx, group)

    def _request(self, ctx: Context, without: Collection[str]) -> Any:
        template = ctx.of(f"{self.name} template")
        count, kinds = max(1, self.nodes.count), self._types(ctx)
        subnets, types = subnets_for(ctx, count, types=kinds, without=without)
        return {
            "clusterName": ctx.config.eks_cluster_name,
            "nodegroupName": self.nodes.group,
            "scalingConfig": self.nodes.scaling,
            "subnets": subnets,
            "instanceTypes": types,
            "amiType": AMI_TYPE,
            "nodeRole": ctx.of("node role").id,
            "labels": self.nodes.labels,
            "launchTemplate": {"id": template.id, "version": str(template.facts["version"])},
            "capacityType": self.nodes.capacity,
            "tags": self._tags(ctx),
        }

    def _types(self, ctx: Context) -> list[str]:
        kind = self.nodes.instance_type
        return offered_alternatives(ctx.aws, kind) if self.nodes.spot else [kind]

    def update(self, ctx: Context, found: Found) -> Found:
        """Set size and labels, then the template's version: EKS accepts one update at a time.

        A node group that has failed or lost parts in AWS, with another capacity type or launch
        template, or with too few nodes for the zones of its volumes, is deleted and re-created.
        """
        keys = {drift.key for drift in found.drift}
        if keys & {DriftKey.STATUS, REPLACED, ZONES}:
            self.delete(ctx, found)
            return self._create(ctx, without=subnets_without_capacity(found))
        if CONFIG in keys:
            self._change(ctx, CONFIG, self._send_config)
        if VERSION in keys:
            self._change(ctx, VERSION, self._send_version)
        group = describe_node_group(ctx, self.nodes.group)
        changed = self._found(ctx, group) if group else found
        return replace(changed, ready=False) if CONFIG in keys else changed

    def _change(self, ctx: Context, key: str, request: Callable[[Context], Any]) -> None:
        """Correct a kind of drift, if it is still there when EKS accepts the update.

        EKS replaces one node after the other.

        Raises:
            SetupError: the update failed, with the reasons that EKS gives; or the group has failed.
        """

        def send() -> str | Pending:
            group = self._described(ctx)
            if group["status"] == UPDATING:
                return Pending(UPDATING)
            if group["status"] in RE_CREATED:
                raise failure_of(self.nodes, group)
            if key not in {drift.key for drift in self._drift(ctx, group)}:
                return ""
            return str(request(ctx)["update"]["id"])

        update_id = send_update(ctx, self.name, send, deadline=3600)
        if update_id:
            usual = MEDIANS["node group update"]
            group = self.nodes.group
            wait_updated(ctx, self.name, update_id, deadline=3600, usual=usual, node_group=group)

    def _send_config(self, ctx: Context) -> Any:
        return ctx.aws.eks.update_nodegroup_config(
            clusterName=ctx.config.eks_cluster_name,
            nodegroupName=self.nodes.group,
            labels={"addOrUpdateLabels": self.nodes.labels},
            scalingConfig=self.nodes.scaling,  # type: ignore[arg-type]
        )

    def _send_version(self, ctx: Context) -> Any:
        template = ctx.of(f"{self.name} template")
        version = older_kubernetes(ctx, self._described(ctx))
        # Without a version the nodes get the newest AMI of the version that they have.
        # https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html
        newer: Any = {"version": version} if version else {}
        return ctx.aws.eks.update_nodegroup_version(
            **newer,
            clusterName=ctx.config.eks_cluster_name,
            nodegroupName=self.nodes.group,
            launchTemplate={"id": template.id, "version": str(template.facts["version"])},
        )

    def _described(self, ctx: Context) -> Item:
        group = wait_visible(lambda: describe_node_group(ctx, self.nodes.group), clock=ctx.clock)
        if group is None:
            why = "it was deleted during this run"
            raise SetupError(f"{self.name} no longer exists", why, HINT_RERUN)
        return group

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the group is ACTIVE and has its nodes.

        Raises:
            SetupError: it failed, stays DEGRADED, or AWS cannot launch its nodes; with the reason.
        """
        degraded, count = itertools.count(1), NodeCount(ctx)

        def probe() -> Found | Pending:
            group = self._described(ctx)
            if group["status"] in ("CREATE_FAILED", "DELETE_FAILED"):
                raise failure_of(self.nodes, group)
            reasons = reasons_of(group)
            if group["status"] == "DEGRADED" and next(degraded) >= DEGRADED_LOOKS:
                raise failure_of(self.nodes, group)
            state = f"{group['status']}: {reasons}" if reasons else str(group["status"])
            if group["status"] != "ACTIVE":
                return Pending(state, pending_hint(self.nodes, group))
            missing = count.missing(group)
            return Pending(missing) if missing else self._found(ctx, group)

        return ctx.wait_until(
            f"{self.name} become ACTIVE",
            probe,
            deadline=2400,
            pause=6,
            usual=MEDIANS["node group active"],
            since=found.since,
        )

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the node group and return when it no longer exists."""
        node_group_deletion(ctx, found.id).run(ctx, attempts=NODE_GROUP_ATTEMPTS)

    def details(self, ctx: Context) -> str:
        """Return type and number of the nodes, and if they are Spot Instances."""
        text = f"{self.nodes.instance_type} × {self.nodes.count}"
        return f"{text}, Spot" if self.nodes.spot else text

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The instances, their disks, and their addresses in the public subnets."""
        count = float(self.nodes.count)
        instances = CostItem(self.part, self.nodes.price_key, count)
        disks = CostItem(self.part, "gp3-gib", count * config.eks_node_disk_size)
        public = (CostItem(self.part, "ipv4", count),) if config.eks_nodes_public else ()
        return (instances, disks, *public)


def group_facts(group: Item) -> dict[str, Any]:
    """Return what receipt and status show of a node group."""
    return {
        "instance_type": (group.get("instanceTypes") or ["?"])[0],
        "nodes": group["scalingConfig"]["desiredSize"],
        "notes": health_issues(group),
        "arn": group.get("nodegroupArn", ""),
        "tags": tags_of(group),
    }
