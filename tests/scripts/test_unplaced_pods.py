"""Pods that no node runs until somebody acts: configure says so at once, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

import create_aws_infrastructure
from aws_setup.aws.context import Context
from aws_setup.eks.node_launch_template import GROUP_LABEL
from aws_setup.engine.step import Found
from aws_setup.kube.placement import ZONE_LABEL
from aws_setup.openwhisk.readiness import OpenWhiskReady
from aws_setup.rehearsal.aws.eks.store import EksStore
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


def test_nodes_that_are_not_for_the_pod_are_not_named(zoo: Lab) -> None:
    (core,) = nodes_of(zoo, "core-nodes")
    invokers = nodes_of(zoo, "invoker-nodes")
    for node in (core, *invokers):
        change(zoo, node, unschedulable=True)
    for pod in zoo.api.state.all("pods", "openwhisk"):
        if pod["metadata"]["name"].startswith("owdev-invoker-"):
            zoo.api.state.remove("pods", pod)
    zoo.api.controllers.run()
    (problem,) = zoo.run("configure", "--only", "openwhisk ready", code=1)["problems"]
    assert all(node["metadata"]["name"] in problem["hint"] for node in invokers)
    assert core["metadata"]["name"] not in problem["why"] + problem["hint"]


def test_nodes_that_eks_itself_cordons_are_waited_for(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while somebody's update of a node group runs, which begins during the wait."""
    nodes = nodes_of(zoo, "invoker-nodes")
    (region,) = zoo.cloud.store_of(EksStore).regions.values()
    group, wait = region.clusters["zoo"].nodegroups["invoker-nodes"].document, OpenWhiskReady.wait

    def end() -> None:
        for node in nodes:
            change(zoo, node, unschedulable=False)
        group["status"] = "ACTIVE"

    def wait_meanwhile(self: OpenWhiskReady, ctx: Context, found: Found) -> Found:
        group["status"] = "UPDATING"
        for node in nodes:
            cordon(zoo, node)
        zoo.cloud.clock.after_real(1, end)
        return wait(self, ctx, found)

    monkeypatch.setattr(OpenWhiskReady, "wait", wait_meanwhile)
    cordon(zoo, nodes[0])
    began = zoo.cloud.clock.now()
    zoo.run("configure", "--only", "openwhisk ready")
    assert zoo.cloud.clock.now() - began >= 1


def put_volumes_elsewhere(zoo: Lab) -> None:
    """Let the volumes be in a zone without nodes, as after a change of the node group by hand."""
    state, zone = zoo.api.state, "us-east-1c"
    for volume in state.all("persistentvolumes"):
        labels = volume["metadata"]["labels"] | {ZONE_LABEL: zone}
        state.put(
            "persistentvolumes", {**volume, "metadata": {**volume["metadata"], "labels": labels}}
        )
    ec2 = zoo.cloud.backend("ec2")
    for volume in ec2.volumes.values():
        if any(tag["key"] == "kubernetes.io/created-for/pvc/name" for tag in volume.get_tags()):
            volume.zone = ec2.describe_availability_zones(zone_names=[zone])[0]
    for pod in state.all("pods", "openwhisk"):
        state.remove("pods", pod)


@pytest.mark.parametrize("broken", [False, True], ids=["all nodes ready", "an invoker is not"])
def test_a_pod_without_a_node_in_the_zone_of_its_volume_is_not_waited_for(
    zoo: Lab, broken: bool
) -> None:
    put_volumes_elsewhere(zoo)
    if broken:
        name = nodes_of(zoo, "invoker-nodes")[0]["metadata"]["name"]
        zoo.api.faults.add({"fault": "node-not-ready", "node": name, "message": "cni broke"})
        zoo.api.controllers.run()
    began = zoo.cloud.clock.now()
    (problem,) = zoo.run("configure", "--only", "openwhisk ready", code=1)["problems"]
    assert zoo.cloud.clock.now() - began < SOON
    assert "volume node affinity conflict" in problem["why"]
    assert "delete-nodegroup --cluster-name zoo --nodegroup-name core-nodes" in problem["hint"]


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
    zoo.api.add_node("of-somebody-else", zone="us-east-1a")
    words = ("verify", "--only", "nodes")
    (problem,) = zoo.run(*words, code=1, script=create_aws_infrastructure)["problems"]
    assert problem["why"] == cause
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
