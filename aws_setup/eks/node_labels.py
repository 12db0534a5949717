"""The nodes in Kubernetes: their OpenWhisk label, and how many of them are ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.eks.lost_nodes import lost_nodes
from aws_setup.eks.node_launch_template import GROUP_LABEL, ROLE_LABEL, NodeGroupSpec
from aws_setup.engine.step import Drift, Found
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import NODE, Json


@dataclass(frozen=True)
class NodeLabels(Step):
    """The label by which OpenWhisk's chart schedules its pods, on every node of both groups.

    EKS sets it when a node joins and never again: a label changed by hand is corrected here.
    """

    specs: tuple[NodeGroupSpec, ...] = ()
    name: str = "node labels"
    needs: tuple[str, ...] = ("cluster access", "core-nodes", "invoker-nodes")
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the nodes by role, unready ones by name; None while a group does not exist."""
        groups = [spec.group for spec in self.specs]
        if active_cluster(ctx) is None or any(group not in ctx.found for group in groups):
            return None
        nodes = kube_client(ctx).list(NODE)
        drift = tuple(
            Drift(f"label of {_name(node)}", _labels(node).get(ROLE_LABEL, "none"), role)
            for node, role in self._mislabelled(nodes)
        )
        return Found("nodes", count_ready(nodes), {"notes": self._notes(ctx, nodes)}, drift)

    def _notes(self, ctx: Context, nodes: Sequence[Json]) -> list[str]:
        """Return which nodes are not ready, and the machines that the cluster has forgotten."""
        lost = [f"{it.cause}: {it.fix}" for it in lost_nodes(ctx, nodes)]
        return [*not_ready(nodes), *lost]

    def _mislabelled(self, nodes: Sequence[Json]) -> Iterator[tuple[Json, str]]:
        roles = {spec.group: spec.role for spec in self.specs}
        for node in nodes:
            role = roles.get(_labels(node).get(GROUP_LABEL, ""))
            if role and _labels(node).get(ROLE_LABEL) != role:
                yield node, role

    def create(self, ctx: Context) -> Found:
        """Set the label on the nodes that lack it."""
        client = kube_client(ctx)
        for node, role in self._mislabelled(client.list(NODE)):
            client.patch(NODE, _name(node), {"metadata": {"labels": {ROLE_LABEL: role}}})
            ctx.note(f"set label {ROLE_LABEL}={role} on {_name(node)}")
        nodes = client.list(NODE)
        return Found("nodes", count_ready(nodes), {"notes": self._notes(ctx, nodes)})


def count_ready(nodes: Sequence[Json]) -> str:
    """Return the number of ready nodes by role, as in 'core 3 of 3, invoker 7 of 8 ready'."""
    ready: dict[str, list[bool]] = {}
    for node in nodes:
        role = _labels(node).get(ROLE_LABEL, "other")
        ready.setdefault(role, []).append(not _unready(node))
    counts = [f"{role} {sum(each)} of {len(each)}" for role, each in sorted(ready.items())]
    return f"{', '.join(counts)} ready" if counts else "none"


def not_ready(nodes: Sequence[Json]) -> list[str]:
    """Return the nodes that are not ready, each with the kubelet's reason."""
    return [f"node {_name(node)}: {why}" for node in nodes if (why := _unready(node))]


def _unready(node: Json) -> str:
    """Return why a node is not ready, '' when it is."""
    for condition in node.get("status", {}).get("conditions") or []:
        if condition["type"] == "Ready":
            reason = f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
            return "" if condition["status"] == "True" else reason
    return "its kubelet has not reported yet"


def _name(node: Json) -> str:
    return str(node["metadata"]["name"])


def _labels(node: Json) -> dict[str, str]:
    return node["metadata"].get("labels") or {}
