"""The nodes in Kubernetes: their OpenWhisk label, put back, and whether they are ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.eks.node_launch_template import ROLE_LABEL, NodeGroupSpec
from aws_setup.engine.step import Drift, Found
from aws_setup.kube.connect import active_cluster, kube_client
from aws_setup.kube.objects import NODE, Json

GROUP_LABEL = "eks.amazonaws.com/nodegroup"
"""Node label in which EKS names the node's group."""


@dataclass(frozen=True)
class NodeLabels(Step):
    """The label by which OpenWhisk's chart places its pods, on every node of our groups.

    EKS sets it when a node joins; one that is changed by hand stays so until it is put back here.
    """

    kinds: tuple[NodeGroupSpec, ...] = ()
    name: str = "node labels"
    needs: tuple[str, ...] = ("cluster access", "core-nodes", "invoker-nodes")
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the nodes by role, those that are not ready by name; None before the groups."""
        groups = [kind.group for kind in self.kinds]
        if active_cluster(ctx) is None or any(group not in ctx.found for group in groups):
            return None
        nodes = kube_client(ctx).list(NODE)
        drift = tuple(
            Drift(f"label of {_name(node)}", _labels(node).get(ROLE_LABEL, "none"), role)
            for node, role in self._mislabelled(nodes)
        )
        return Found("nodes", count_ready(nodes), {"notes": not_ready(nodes)}, drift)

    def _mislabelled(self, nodes: Sequence[Json]) -> Iterator[tuple[Json, str]]:
        roles = {kind.group: kind.role for kind in self.kinds}
        for node in nodes:
            role = roles.get(_labels(node).get(GROUP_LABEL, ""))
            if role and _labels(node).get(ROLE_LABEL) != role:
                yield node, role

    def create(self, ctx: Context) -> Found:
        """Put the label on the nodes that lack it."""
        door = kube_client(ctx)
        for node, role in self._mislabelled(door.list(NODE)):
            door.patch(NODE, _name(node), {"metadata": {"labels": {ROLE_LABEL: role}}})
            ctx.note(f"{_name(node)} gets its label {ROLE_LABEL}={role} back")
        nodes = door.list(NODE)
        return Found("nodes", count_ready(nodes), {"notes": not_ready(nodes)})


def count_ready(nodes: Sequence[Json]) -> str:
    """Return how many nodes of each role are ready, as in 'core 3 of 3, invoker 7 of 8 ready'."""
    ready: dict[str, list[bool]] = {}
    for node in nodes:
        role = _labels(node).get(ROLE_LABEL, "other")
        ready.setdefault(role, []).append(not _unready(node))
    said = [f"{role} {sum(each)} of {len(each)}" for role, each in sorted(ready.items())]
    return f"{', '.join(said)} ready" if said else "none"


def not_ready(nodes: Sequence[Json]) -> list[str]:
    """Return the nodes that are not ready, each with the kubelet's reason."""
    return [f"node {_name(node)}: {why}" for node in nodes if (why := _unready(node))]


def _unready(node: Json) -> str:
    for one in node.get("status", {}).get("conditions") or []:
        if one["type"] == "Ready" and one["status"] == "True":
            return ""
        if one["type"] == "Ready":
            return f"{one.get('reason', '')} {one.get('message', '')}".strip()
    return "it has not reported yet"


def _name(node: Json) -> str:
    return str(node["metadata"]["name"])


def _labels(node: Json) -> dict[str, str]:
    return node["metadata"].get("labels") or {}
