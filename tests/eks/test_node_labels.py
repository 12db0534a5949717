"""The nodes in Kubernetes: how many are ready, why others are not, and which labels are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.eks import node_labels
from aws_setup.eks.node_labels import NodeLabels, count_ready, not_ready
from aws_setup.eks.node_launch_template import GROUP_LABEL, ROLE_LABEL, NodeGroupSpec
from aws_setup.engine.step import Found
from aws_setup.kube.objects import NODE, Json, ResourceType

SPECS = (
    NodeGroupSpec("core-nodes", "core", "r5.xlarge", 1),
    NodeGroupSpec("invoker-nodes", "invoker", "r5.xlarge", 2),
)
READY = {"type": "Ready", "status": "True"}
NOT_READY = {
    "type": "Ready",
    "status": "False",
    "reason": "KubeletNotReady",
    "message": "cni plugin not initialized",
}


def node(name: str, *conditions: Json, role: str = "", group: str = "") -> Json:
    labels = {key: value for key, value in ((ROLE_LABEL, role), (GROUP_LABEL, group)) if value}
    return {
        "metadata": {
            "name": name,
            "labels": {key: value for key, value in labels.items() if value},
        },
        "status": {"conditions": [{"type": "DiskPressure", "status": "False"}, *conditions]},
    }


def test_ready_nodes_are_counted_by_role() -> None:
    nodes = [
        node("a", READY, role="invoker"),
        node("b", NOT_READY, role="invoker"),
        node("c", READY, role="core"),
        node("d", READY),
    ]
    assert count_ready(nodes) == "core 1 of 1, invoker 1 of 2, other 1 of 1 ready"
    assert count_ready([]) == "none"


def test_a_node_that_is_not_ready_is_listed_with_its_reason() -> None:
    nodes = [node("a", READY), node("b", NOT_READY), node("c"), {"metadata": {"name": "d"}}]
    assert not_ready(nodes) == [
        "node b: KubeletNotReady cni plugin not initialized",
        "node c: its kubelet has not reported yet",
        "node d: its kubelet has not reported yet",
    ]


class Nodes:
    """A client of a cluster that contains only nodes; it records the patches."""

    def __init__(self, *nodes: Json) -> None:
        self.nodes, self.patches = list(nodes), dict[str, Any]()

    def list(self, kind: ResourceType) -> list[Json]:
        assert kind is NODE
        return self.nodes

    def patch(self, kind: ResourceType, name: str, body: Json) -> None:
        assert kind is NODE
        self.patches[name] = body["metadata"]["labels"]


class Context:
    """The parts of a context that the step reads."""

    def __init__(self, *groups: str) -> None:
        self.found = {name: Found(name) for name in groups}
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def step_over(monkeypatch: pytest.MonkeyPatch, *nodes: Json) -> tuple[Any, Nodes]:
    client = Nodes(*nodes)
    monkeypatch.setattr(node_labels, "kube_client", lambda _: client)
    monkeypatch.setattr(node_labels, "active_cluster", lambda _: {"status": "ACTIVE"})
    monkeypatch.setattr(node_labels, "lost_nodes", lambda *_: [])
    return NodeLabels(SPECS), client


def test_a_wrong_or_missing_label_of_an_owned_group_is_drift_and_is_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, client = step_over(
        monkeypatch,
        node("right", READY, role="core", group="core-nodes"),
        node("wrong", READY, role="core", group="invoker-nodes"),
        node("missing", READY, group="invoker-nodes"),
        node("unowned", READY, group="other-nodes"),
    )
    ctx = Context("core-nodes", "invoker-nodes")
    drift = {(item.what, item.has, item.wants) for item in step.find(ctx).drift}
    assert drift == {
        ("label of wrong", "core", "invoker"),
        ("label of missing", "none", "invoker"),
    }
    step.create(ctx)
    assert client.patches == {
        "wrong": {ROLE_LABEL: "invoker"},
        "missing": {ROLE_LABEL: "invoker"},
    }
    assert len(ctx.notes) == 2


def test_the_labels_are_not_inspected_before_both_groups_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, _ = step_over(monkeypatch)
    assert step.find(Context("core-nodes")) is None
