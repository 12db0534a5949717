"""What configure_eks_cluster.py shows during waits, and at their deadlines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config.version import USER_AGENT
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.aws.eks.store import EksStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.api.responses import ApiResponse
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.clock import advance_by_calls
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def cluster_document(zoo: Lab) -> dict[str, Any]:
    """Return the record of the cluster in the emulated EKS."""
    return zoo.cloud.store_of(EksStore).regions["us-east-1"].clusters["zoo"].document


def creating(zoo: Lab, patch: pytest.MonkeyPatch, *, end: dict[str, Any]) -> None:
    """Let the cluster be CREATING for some calls of DescribeCluster, then update it with `end`."""
    document, plain = cluster_document(zoo), zoo.cloud.handle
    known = dict(document)
    for key in ("endpoint", "identity", "certificateAuthority"):
        del document[key]
    document |= {"status": "CREATING", "certificateAuthority": {}}
    before = len(zoo.cloud.calls.named("DescribeCluster"))

    def handle(request: Any) -> Any:
        if len(zoo.cloud.calls.named("DescribeCluster")) - before == 6:
            document.update(known | end)
        return plain(request)

    patch.setattr(zoo.cloud, "handle", handle)


def test_a_cluster_that_is_being_created_is_waited_for(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    creating(zoo, monkeypatch, end={"status": "ACTIVE"})
    assert "openwhisk api" in steps_of(zoo.run("configure"))
    assert "eks cluster: CREATING" in zoo.stderr


def test_a_cluster_that_fails_is_reported_with_the_reason_of_eks(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {"code": "Ec2SubnetNotFound", "message": "subnet-1 is gone", "resourceIds": []}
    creating(zoo, monkeypatch, end={"status": "FAILED", "health": {"issues": [reason]}})
    first = zoo.run("configure", code=1)["problems"][0]
    assert first["what"] == "eks cluster: EKS cluster zoo is FAILED"
    assert first["why"] == "Ec2SubnetNotFound: subnet-1 is gone"
    assert re.search(r'_infrastructure\.py -y \S+ destroy --only "eks cluster"', first["hint"])
    calls = len(zoo.cloud.calls.writes())
    again = zoo.run("configure", code=2)["problems"][0]
    assert (again["what"], again["why"]) == ("EKS cluster zoo is FAILED", first["why"])
    assert len(zoo.cloud.calls.writes()) == calls


def test_a_cluster_that_is_being_deleted_is_refused(zoo: Lab) -> None:
    cluster_document(zoo)["status"] = "DELETING"
    calls = len(zoo.cloud.calls.writes())
    problem = zoo.run("configure", code=2)["problems"][0]
    assert "is being deleted" in problem["what"]
    assert len(zoo.cloud.calls.writes()) == calls


FAULTS = (
    {"fault": "claim-unbound", "claim": "lambda-fs-storage-probe", "message": "no volume: first"},
    {"fault": "balancer-pending", "message": "no balancer: out of addresses"},
    {"fault": "claim-unbound", "claim": "owdev-couchdb*", "message": "no volume: second"},
    {"fault": "image-pull", "pod": "owdev-zookeeper*", "message": "no image: pull limit"},
    {"fault": "pod-not-ready", "pod": "owdev-controller*", "message": "not ready: refused"},
    {"fault": "pod-crashes", "pod": "owdev-nginx*", "log": "nginx: no such host"},
)
TEXTS = {
    "storage probe": r"Pending \(ProvisioningFailed: no volume: first\)",
    "openwhisk address": "the load balancer (SyncLoadBalancerFailed: no balancer:",
    "claim owdev-couchdb-pvc": "no volume: second",
    "pod owdev-zookeeper": "no image: pull limit",
    "pod owdev-controller": "not ready: refused",
    "pod owdev-nginx": "nginx: no such host",
}
"""The step or object that shows a fault, and the text."""


def lift_when_listed(zoo: Lab, patch: pytest.MonkeyPatch) -> list[str]:
    """Remove one fault after the other, each once the API has returned its text three times."""
    plain, seen = zoo.api.answer, list[str]()
    lifted: list[str] = []

    def answer(request: Any) -> Any:
        found, faults = plain(request), zoo.api.faults
        if isinstance(found, ApiResponse) and request.agent == USER_AGENT and faults.rules:
            text = found.body if isinstance(found.body, str) else json.dumps(found.body)
            words = getattr(faults.rules[0], "log", "") or getattr(faults.rules[0], "message", "")
            seen.extend([words] if words in text else [])
            if seen.count(words) >= 3:
                faults.rules.pop(0)
                faults.version += 1
                lifted.append(words)
        return found

    patch.setattr(zoo.api, "answer", answer)
    return lifted


def test_the_first_object_that_is_not_ready_is_shown_with_its_event_or_last_log_line(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.api.faults.add(*FAULTS)
    lifted = lift_when_listed(zoo, monkeypatch)
    zoo.run("configure")
    assert len(lifted) == len(FAULTS), lifted
    for subject, text in TEXTS.items():
        lines = [line for line in zoo.stderr.splitlines() if subject in line]
        assert any(text.replace("\\", "") in line for line in lines), (subject, lines)


def test_a_passed_deadline_is_reported_with_the_reason_and_the_next_run_resumes(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.api.faults.add({"fault": "pod-not-ready", "pod": "owdev-kafka*", "message": "no disk"})
    with monkeypatch.context() as patch:
        plain = SystemClock.now
        patch.setattr(SystemClock, "now", lambda clock: plain(clock) * 600)
        problem = zoo.run("configure", code=1)["problems"][0]
    assert problem["what"] == "openwhisk ready: OpenWhisk becomes ready: not within 40 min"
    assert "pod owdev-kafka" in problem["why"]
    assert "no disk" in problem["why"]
    assert "docs/configure.md" in problem["hint"]
    zoo.api.faults.clear()
    steps = steps_of(zoo.run("configure"))
    assert steps["openwhisk release"]["action"] == "exists"
    assert "openwhisk api" in steps


def test_a_resource_that_is_being_deleted_is_re_created_once_it_is_deleted(zoo: Lab) -> None:
    zoo.run("configure")
    # Deleting the group takes 190 calls now, more than the run makes before it comes to the group.
    advance_by_calls(zoo.cloud, 2)
    eks, names = client("eks"), {"clusterName": "zoo", "nodegroupName": "core-nodes"}
    eks.delete_nodegroup(**names)
    eks.delete_addon(clusterName="zoo", addonName="coredns")
    assert eks.describe_nodegroup(**names)["nodegroup"]["status"] == "DELETING"
    steps = steps_of(zoo.run("configure"))
    assert steps["core-nodes"]["action"] == "update"
    assert "core-nodes: DELETING" in zoo.stderr
    assert eks.describe_nodegroup(**names)["nodegroup"]["status"] == "ACTIVE"
    assert eks.list_addons(clusterName="zoo")["addons"].count("coredns") == 1


@pytest.mark.kind("A2")
def test_claims_nodes_and_invokers_have_each_their_fix_and_the_next_run_goes_on(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SystemClock.now

    def failed() -> dict[str, str]:
        with monkeypatch.context() as patch:
            patch.setattr(SystemClock, "now", lambda clock: plain(clock) * 600)
            problem: dict[str, str] = zoo.run("configure", code=1)["problems"][0]
        return problem

    zoo.save(openwhisk_internal=True)
    claim = {"claim": "owdev-couchdb*", "message": "VolumeLimitExceeded"}
    zoo.api.faults.add({"fault": "claim-unbound", **claim})
    problem = failed()
    assert problem["what"].startswith("openwhisk ready")
    assert "claim owdev-couchdb-pvc: volume Pending" in problem["why"]
    assert "VolumeLimitExceeded" in problem["why"]
    assert "csi-provisioner" in problem["hint"]
    zoo.api.faults.clear()
    zoo.cloud.faults.add({"fault": "out-of-service"})
    for _ in range(2):
        problem = failed()
        assert problem["what"].startswith("openwhisk api")
        assert "0 of 3 nodes in service at the load balancer" in problem["why"]
        assert "UnhealthyThreshold" in problem["why"]
    state = steps_of(zoo.run("status"))["openwhisk api"]["state"]
    assert state.startswith("0 of 3 nodes in service")
    zoo.cloud.faults.clear()
    assert steps_of(zoo.run("configure"))["openwhisk api"]["state"] == "internal: not probed"
    zoo.save(openwhisk_internal=False)
    zoo.whisk.healthy = 1
    problem = failed()
    assert "its last state was '1 of 2 invokers are healthy'" in problem["why"]
    assert "kubectl -n openwhisk logs -l name=owdev-invoker" in problem["hint"]
