"""What verify says of NameNodes that are invoked: they answer, or why they do not."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.kube.objects import EVENT, ResourceType
from aws_setup.namenodes import verify
from aws_setup.openwhisk import action_pods
from aws_setup.rehearsal.openwhisk.invocation import (
    IdleNameNode,
    Invocation,
    NameNode,
    NoContainerError,
    OperationError,
    StartError,
)
from aws_setup.rehearsal.openwhisk.namenode_pods import NOT_PROVISIONED
from aws_setup.rehearsal.openwhisk.put_body import PutBody
from aws_setup.verify import client_checks, namenode_checks
from aws_setup.verify.chain import NameNodeEndpoint
from aws_setup.verify.check import Broken, NotApplicable
from tests.support.openwhisk import KIND
from tests.verify.test_registered import Deployed, deployed

__all__ = ["deployed"]

NO_NODE = "org.apache.zookeeper.KeeperException$NoNodeException: NoNode for /namenode2/permanent"


def register(made: Deployed, *, memory: bool = True, number: int = 2) -> None:
    """Create NameNodes as whisk_helper.py does, and let the client call them."""
    for index in range(number):
        document = {
            "exec": {"kind": KIND, "main": "A"},
            "annotations": [
                {"key": "web-export", "value": True},
                {"key": "final", "value": True},
            ],
            "parameters": [{"key": "actionMemory", "value": 20000}] if memory else [],
        }
        made.whisk.store.put(f"namenode{index}", PutBody(document, 4, "0"), overwrite=False)
    endpoint = NameNodeEndpoint(made.whisk.url, "guest", "namenode")
    settings = SimpleNamespace(endpoint=endpoint, deployments=number)
    made.chain.__dict__["settings"] = settings


def broken(made: Deployed) -> Broken:
    with pytest.raises(Broken) as caught:
        namenode_checks.check_invocations(made.chain)
    return caught.value


def test_namenodes_answer_the_ping_and_tell_how_long_they_took_to_start(
    deployed: Deployed,
) -> None:
    register(deployed)
    text = namenode_checks.check_invocations(deployed.chain)
    assert text.startswith("2 of 2 answer")
    assert "2 cold starts of 1.5 s (median)" in text
    assert "all were warm" in namenode_checks.check_invocations(deployed.chain)


def test_the_cause_of_a_start_that_fails_is_that_of_the_log(deployed: Deployed) -> None:
    def start(_: Invocation) -> NameNode:
        raise StartError(NO_NODE)

    register(deployed)
    deployed.whisk.namenodes = start
    found = broken(deployed)
    assert found.cause == f"namenode0: {NO_NODE} (2 of 2 fail)"
    assert found.fix.startswith("read the NameNode's log: `wsk activation logs ")
    assert sum(found.fix.count(each) for each in deployed.whisk.store.activations) == 1


def test_an_exception_in_an_answer_is_a_failure_although_its_status_is_200(
    deployed: Deployed,
) -> None:
    class Failing(IdleNameNode):
        def execute(self, operation: str, arguments: Mapping[str, Any]) -> Any:
            raise OperationError(NO_NODE)

    register(deployed)
    deployed.whisk.namenodes = lambda _: Failing()
    assert NO_NODE in broken(deployed).cause


def test_an_action_without_its_parameter_is_an_error_of_the_handler(deployed: Deployed) -> None:
    register(deployed, memory=False)
    assert "java.lang.NullPointerException" in broken(deployed).cause


def test_without_the_key_or_the_record_the_answer_is_the_cause(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(deployed, memory=False)
    monkeypatch.setattr(verify, "RECORD_SECONDS", 0.0)
    monkeypatch.setattr(deployed.whisk.store, "activations", Forgetful())
    generic = "There was an error processing your request. (HTTP 400)"
    assert broken(deployed).cause == f"namenode0: {generic} (2 of 2 fail)"
    monkeypatch.setattr(type(deployed.chain), "credentials", None)
    found = broken(deployed)
    assert generic in found.cause
    assert "wsk activation logs" in found.fix
    with pytest.raises(NotApplicable):
        client_checks.signed_endpoint(deployed.chain)


class Forgetful(dict[str, Any]):
    """The activations of an OpenWhisk that stores none."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Store nothing."""


@pytest.mark.parametrize(
    "more", [{"logs": 7}, {"response": "failed"}, {"annotations": [{"key": "initTime"}]}]
)
def test_a_record_of_another_form_is_not_used(deployed: Deployed, more: dict[str, Any]) -> None:
    register(deployed, memory="annotations" in more)
    store = deployed.whisk.store

    class Strange(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value | more)

    store.activations = Strange()
    if "annotations" in more:
        text = namenode_checks.check_invocations(deployed.chain)
        assert "cold starts not known: OpenWhisk's record of" in text
    else:
        assert "There was an error processing your request" in broken(deployed).cause


def test_a_namenode_that_does_not_exist_is_to_be_created(deployed: Deployed) -> None:
    register(deployed, number=2)
    deployed.whisk.store.delete("namenode1")
    found = broken(deployed)
    assert found.cause.startswith("namenode1: ")
    assert found.fix == "run python whisk_helper.py --sync -n 2"


def no_container(_: Invocation) -> NameNode:
    raise NoContainerError(NOT_PROVISIONED)


NO_CPU = "0/8 nodes are available: 8 Insufficient cpu."


def cluster_of(*, pods: list[Any], events: list[Any]) -> Any:
    """Return the API server of a cluster that has these pods of actions, and events."""

    def listed(kind: ResourceType, _: str, *, labels: str = "") -> list[Any]:
        return events if kind is EVENT else pods if labels == "user-action-pod=true" else []

    return lambda _: SimpleNamespace(list=listed)


def action_pod(action: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"wskowdev-invoker-00-1-guest-{action}"}, "status": status}


UNSCHEDULED = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_CPU}
    ],
}
IMAGE = {
    "phase": "Pending",
    "containerStatuses": [
        {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    ],
}


def event(action: str, minute: int, message: str, **more: str) -> dict[str, Any]:
    about = {"kind": "Pod", "name": action_pod(action)["metadata"]["name"]} | more
    return {
        "type": "Warning",
        "reason": "FailedScheduling",
        "message": message,
        "involvedObject": about,
        "lastTimestamp": f"2026-11-01T00:{minute:02}:00Z",
        "metadata": {},
    }


@pytest.mark.parametrize(
    ("pods", "events", "cause", "fix"),
    [
        ([action_pod("namenode0", **UNSCHEDULED)], [], NO_CPU, "openwhisk_invoker_instance_type"),
        (
            [action_pod("other", **UNSCHEDULED), action_pod("namenode0", **IMAGE)],
            [],
            "ImagePullBackOff no such image",
            "describe pods -l user-action-pod=true",
        ),
        (
            [],
            [event("namenode0", 2, NO_CPU), event("namenode0", 1, "old"), event("x", 3, "other")],
            NO_CPU,
            "num_openwhisk_invoker_vms",
        ),
    ],
)
def test_a_namenode_without_a_container_names_its_pod_and_why_it_waits(
    deployed: Deployed,
    monkeypatch: pytest.MonkeyPatch,
    pods: list[Any],
    events: list[Any],
    cause: str,
    fix: str,
) -> None:
    for name in ("waiting_pod", "last_failure"):
        monkeypatch.setattr(namenode_checks, name, getattr(action_pods, name))
    monkeypatch.setattr(action_pods, "kube_client", cluster_of(pods=pods, events=events))
    register(deployed)
    deployed.whisk.namenodes = no_container
    found = broken(deployed)
    assert "namenode0: it gets no container: pod wskowdev-invoker-00-1-guest-namenode0: " in (
        found.cause
    )
    assert cause in found.cause
    assert fix in found.fix


def test_the_pods_of_others_that_run_are_no_cause(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("waiting_pod", "last_failure"):
        monkeypatch.setattr(namenode_checks, name, getattr(action_pods, name))
    runs = [action_pod("namenode0", phase="Running")]
    others = [event("x", 1, NO_CPU, name="owdev-kafka-0"), event("x", 1, NO_CPU, kind="Node")]
    monkeypatch.setattr(action_pods, "kube_client", cluster_of(pods=runs, events=others))
    register(deployed)
    deployed.whisk.namenodes = no_container
    assert "no container" not in broken(deployed).cause
