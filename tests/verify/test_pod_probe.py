"""The Job of verify: its answers, its failures, and what becomes of it when a run ends early."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import GROUP_LABEL, ROLE_LABEL
from aws_setup.errors import Interrupted, SetupError
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify.chain import Address
from aws_setup.verify.pod_polls import _unplaced
from aws_setup.verify.pod_probe import IMAGE, is_leftover, parse, probe_from_pod
from tests.support.kube import StillClock, pass_time, slow_kube

__all__ = ["slow_kube"]

NOW = datetime(2026, 11, 1, tzinfo=UTC)
INVOKERS = ("invoker-0", "invoker-1")
MYSQLD, MANAGER = Address("10.0.1.1", 3306), Address("10.0.1.1", 1186)


def stamp(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def a_job(created: float, ended: float | None, kind: str = "Complete") -> dict[str, Any]:
    condition = {"type": kind, "status": "True", "lastTransitionTime": stamp(ended or 0)}
    return {
        "metadata": {"name": "j", "creationTimestamp": stamp(created)},
        "status": {} if ended is None else {"conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("found", "leftover"),
    [
        (a_job(30, 20), False),
        (a_job(100, 90), True),
        (a_job(100, 90, "Failed"), True),
        (a_job(100, None), False),
        (a_job(1000, None), True),
    ],
)
def test_a_job_is_left_over_when_no_run_can_still_read_it(
    found: dict[str, Any], leftover: bool
) -> None:
    assert is_leftover(found, NOW) == leftover


def test_the_answers_of_nc() -> None:
    line = "10.0.1.1:3306=1,5 10.0.1.1:1186=1,0 "
    states = {MYSQLD: PortState.TIMED_OUT, MANAGER: PortState.REFUSED}
    assert parse(line, [MYSQLD, MANAGER]) == states
    with pytest.raises(SetupError, match="did not report every address"):
        parse("", [MYSQLD])


class NoAws:
    """Nothing of AWS is needed where a kubeconfig is configured, but what a session keeps."""

    def __init__(self) -> None:
        self.shared: dict[Any, Any] = {}


@dataclass
class Session:
    """A run against an emulated API server; its clock passes in sleeps only."""

    ctx: Any
    api: KubeApiServer
    clock: StillClock
    notes: list[str]

    def jobs(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.api.state.all("jobs")]


@pytest.fixture
def session(slow_kube: KubeApiServer, tmp_path: Path) -> Session:
    kube, path = slow_kube, tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kube.kubeconfig(token="any")))
    path.chmod(0o600)
    config = Config(
        ssh_keypair_name="key",
        ssh_key_path="key",
        kubeconfig_path=str(path),
        num_openwhisk_core_vms=1,
        num_openwhisk_invoker_vms=len(INVOKERS),
    )
    for node in kube.state.all("nodes"):
        labels = node["metadata"]["labels"]
        grouped = labels | {GROUP_LABEL: f"{labels[ROLE_LABEL]}-nodes"}
        kube.state.put("nodes", node | {"metadata": node["metadata"] | {"labels": grouped}})
    authority = base64.b64encode(kube.ca_pem.encode()).decode()
    cluster = {
        "name": "zoo",
        "status": "ACTIVE",
        "endpoint": kube.url,
        "certificateAuthority": {"data": authority},
    }
    notes: list[str] = []
    clock = StillClock()
    clock.on_sleep = lambda: pass_time(kube, 2)
    aws: Any = NoAws()
    inventory: Any = SimpleNamespace(all=lambda *_, **__: [cluster])
    ctx = Context(config=config, aws=aws, clock=clock, inventory=inventory, note=notes.append)
    kube.state.put("namespaces", {"metadata": {"name": config.openwhisk_namespace}})
    return Session(ctx, kube, clock, notes)


def test_the_job_answers_and_is_deleted(session: Session) -> None:
    found = probe_from_pod(session.ctx, [MYSQLD, MANAGER])
    assert session.notes
    assert all(note.startswith("the pod: ") for note in session.notes), session.notes
    assert set(found) == {MYSQLD, MANAGER}
    assert session.jobs() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted])
def test_ctrl_c_deletes_the_job(session: Session, error: type[BaseException]) -> None:
    session.api.faults.add({"fault": "image-pull", "pod": "lambda-fs-verify*"})
    existed: list[list[str]] = []

    def press() -> None:
        existed.append(session.jobs())
        raise error

    session.clock.on_sleep = press
    with pytest.raises(error):
        probe_from_pod(session.ctx, [MYSQLD])
    assert [len(jobs) for jobs in existed] == [1]
    assert session.jobs() == []


def test_an_image_that_cannot_be_pulled_is_named_long_before_the_deadline(
    session: Session,
) -> None:
    session.api.faults.add({"fault": "image-pull", "pod": "lambda-fs-verify*", "message": "no way"})
    with pytest.raises(SetupError) as caught:
        probe_from_pod(session.ctx, [MYSQLD])
    [problem] = caught.value.problems
    assert problem.what == f"the node cannot pull the image {IMAGE}"
    assert "no way" in problem.why
    assert "\n" not in problem.why
    assert "public.ecr.aws" in problem.hint
    assert session.clock.seconds < 60
    assert session.jobs() == []


def no_invoker_nodes(api: KubeApiServer) -> None:
    for name in INVOKERS:
        api.state.remove("nodes", api.state.require("nodes", name))


def unready_nodes(api: KubeApiServer) -> None:
    for name in INVOKERS:
        api.faults.add({"fault": "node-not-ready", "node": name, "message": "cni broke"})


def quota(api: KubeApiServer) -> None:
    metadata = {"name": "small", "namespace": "openwhisk"}
    api.state.put("resourcequotas", {"metadata": metadata, "spec": {"hard": {"pods": "0"}}})


DAMAGES: dict[str, tuple[Callable[[KubeApiServer], None], str, str, str]] = {
    "no invoker node": (
        no_invoker_nodes,
        "no node runs the pod on an invoker node",
        "Pod's node affinity/selector.; invoker-nodes has 0 nodes, not 2",
        "configure_eks_cluster.py",
    ),
    "nodes that are not ready": (
        unready_nodes,
        "the pod on an invoker node does not start",
        "cni broke",
        "check `kubectl describe node`",
    ),
    "a quota": (
        quota,
        "Kubernetes does not create the pod on an invoker node",
        "exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0",
        "raise the namespace's ResourceQuota",
    ),
}


@pytest.mark.kind("A12")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_pod_that_never_starts_ends_with_cause_and_fix(session: Session, damage: str) -> None:
    act, what, why, fix = DAMAGES[damage]
    act(session.api)
    pass_time(session.api, 60)
    with pytest.raises(SetupError) as caught:
        probe_from_pod(session.ctx, [MYSQLD])
    [problem] = caught.value.problems
    assert problem.what == what
    assert why in problem.why
    assert fix in problem.hint
    assert session.clock.seconds < 90
    assert session.jobs() == []


def test_a_cordon_does_not_keep_the_pod_from_the_nodes(session: Session) -> None:
    for name in INVOKERS:
        node = session.api.state.require("nodes", name)
        session.api.state.put("nodes", node | {"spec": node["spec"] | {"unschedulable": True}})
    assert set(probe_from_pod(session.ctx, [MYSQLD])) == {MYSQLD}


def test_a_pod_for_which_there_is_no_room_now_is_waited_for(session: Session) -> None:
    """A container of an action ends at any time; at the deadline the fix is that of its state."""
    for _ in range(3):
        pass_time(session.api, 60)
    reason = "0/3 nodes are available: 3 Too many pods."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    pod = {"status": {"conditions": [condition | {"message": reason}]}}
    found = _unplaced(session.ctx, pod, session.api.state.all("nodes"))
    assert found
    assert (found.why, found.lasting) == (f"Unschedulable {reason}", False)
    assert found.fix.startswith("free or add an invoker node")
    assert _unplaced(session.ctx, {"status": {}}, []) is None, "the scheduler has not looked yet"


@pytest.mark.parametrize(
    ("verb", "resource", "what"),
    [("create", "jobs", "POST jobs"), ("list", "pods", "GET pods")],
)
def test_a_missing_permission_is_named_with_its_fix(
    session: Session, verb: str, resource: str, what: str
) -> None:
    session.api.faults.add({"fault": "status", "status": 403, "verb": verb, "resource": resource})
    with pytest.raises(SetupError) as caught:
        probe_from_pod(session.ctx, [MYSQLD])
    [problem] = caught.value.problems
    assert problem.what == f"Kubernetes refused {what} (403)"
    assert problem.hint
    assert session.jobs() == []


def test_a_job_that_cannot_be_deleted_does_not_hide_the_cause(session: Session) -> None:
    for verb in ("create", "delete"):
        session.api.faults.add({"fault": "status", "status": 403, "verb": verb, "resource": "jobs"})
    with pytest.raises(SetupError, match="POST jobs"):
        probe_from_pod(session.ctx, [MYSQLD])
    assert any("is left to Kubernetes" in note for note in session.notes)
