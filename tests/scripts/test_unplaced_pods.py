"""Pods that no node runs until somebody acts: configure says so at once, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from aws_setup.eks.node_labels import GROUP_LABEL
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.cluster import ConfiguredLab, Lab, configured_lab
from tests.support.copies import SHARED

pytestmark = pytest.mark.timeout(300)

SOON = 300
"""Seconds of AWS: far less than the 40 minutes for which configure waits for OpenWhisk."""


@pytest.fixture(scope=SHARED)
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfiguredLab]:
    """A cluster that is configured, of which each test has a copy."""
    with configured_lab(tmp_path_factory.mktemp("world") / "laptop", full=True) as made:
        yield made


@pytest.fixture
def zoo(configured: ConfiguredLab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return configured.enter_lab(monkeypatch)


def nodes_of(zoo: Lab, group: str) -> list[Any]:
    nodes = zoo.api.state.all("nodes")
    return [node for node in nodes if node["metadata"]["labels"].get(GROUP_LABEL) == group]


def change(zoo: Lab, node: Any, **spec: Any) -> None:
    zoo.api.state.put("nodes", {**node, "spec": {**node["spec"], **spec}})
    zoo.api.controllers.run()


def restart_pods(zoo: Lab, node: Any) -> None:
    """Let the pods of a node be made again, as an update does."""
    for pod in zoo.api.state.all("pods", "openwhisk"):
        if pod["spec"].get("nodeName") == node["metadata"]["name"]:
            zoo.api.state.remove("pods", pod)
    zoo.api.controllers.run()


def cordon(zoo: Lab, node: Any) -> None:
    change(zoo, node, unschedulable=True)
    restart_pods(zoo, node)


def taint(zoo: Lab, node: Any) -> None:
    """Taint a node with NoExecute, which evicts what runs there."""
    change(zoo, node, taints=[{"key": "maintenance", "value": "yes", "effect": "NoExecute"}])


def taint_for_new(zoo: Lab, node: Any) -> None:
    change(zoo, node, taints=[{"key": "mine", "value": "", "effect": "NoSchedule"}])
    restart_pods(zoo, node)


BARRED = {
    "cordoned": (cordon, "is cordoned", "kubectl uncordon {name}"),
    "NoExecute": (taint, "has the taint maintenance", "kubectl taint nodes {name} maintenance-"),
    "NoSchedule": (taint_for_new, "has the taint mine", "kubectl taint nodes {name} mine-"),
}


@pytest.mark.parametrize(("bar", "cause", "command"), BARRED.values(), ids=BARRED)
def test_nodes_that_somebody_has_barred_are_named_with_the_command_that_opens_them(
    zoo: Lab, bar: Callable[[Lab, Any], None], cause: str, command: str
) -> None:
    """OpenWhisk's other parts run on nodes of both groups, invokers only on their own."""
    for node in nodes_of(zoo, "invoker-nodes"):
        bar(zoo, node)
    began = zoo.cloud.clock.now()
    (problem,) = zoo.run("configure", code=1)["problems"]
    assert zoo.cloud.clock.now() - began < SOON
    for node in nodes_of(zoo, "invoker-nodes"):
        name = node["metadata"]["name"]
        assert f"node {name} {cause}" in problem["why"]
        assert command.format(name=name) in problem["hint"]
        change(zoo, node, unschedulable=False, taints=[])
    zoo.run("configure")
    assert steps_of(zoo.run("status"))["openwhisk ready"]["notes"] == []


def launched_earlier(zoo: Lab, node: Any, by: timedelta) -> str:
    """Let a node's machine have been launched earlier; return its id."""
    instance_id = str(node["spec"]["providerID"].rpartition("/")[2])
    instance = zoo.cloud.backend("ec2").get_instance(instance_id)
    instance.launch_time -= by
    return instance_id


def test_a_machine_whose_node_was_deleted_is_named_and_replaced(zoo: Lab) -> None:
    node = nodes_of(zoo, "invoker-nodes")[0]
    instance = launched_earlier(zoo, node, timedelta(hours=1))
    zoo.api.state.remove("nodes", node)
    zoo.api.controllers.run()
    began = zoo.cloud.clock.now()
    (problem,) = zoo.run("configure", code=1)["problems"]
    assert zoo.cloud.clock.now() - began < SOON
    cause = f"machine {instance} of invoker-nodes runs, and is no node of the cluster"
    assert problem["why"] == cause
    assert f"aws ec2 terminate-instances --instance-ids {instance}`" in problem["hint"]
    (note,) = steps_of(zoo.run("status"))["node labels"]["notes"]
    assert note.startswith(cause)
    client("ec2").terminate_instances(InstanceIds=[instance])
    zoo.run("configure")
    assert steps_of(zoo.run("status"))["node labels"]["notes"] == []


def test_a_machine_that_was_just_launched_may_still_join(zoo: Lab) -> None:
    node = nodes_of(zoo, "core-nodes")[0]
    launched_earlier(zoo, node, timedelta(minutes=3))
    zoo.api.state.remove("nodes", node)
    zoo.api.controllers.run()
    zoo.run("configure")
    assert steps_of(zoo.run("status"))["node labels"]["notes"] == []
