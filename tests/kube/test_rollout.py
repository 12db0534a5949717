"""Ready is the new generation's readiness, for every kind."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.kube.rollout import unready

pytestmark = pytest.mark.kind("D2")

UP_TO_DATE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Deployment": ({"replicas": 2}, {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}),
    "StatefulSet": (
        {"replicas": 2},
        {
            "replicas": 2,
            "updatedReplicas": 2,
            "readyReplicas": 2,
            "currentRevision": "b",
            "updateRevision": "b",
        },
    ),
    "DaemonSet": (
        {},
        {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 2},
    ),
}


def check(
    kind: str, *, observed: int = 2, spec: dict[str, Any] | None = None, **status: Any
) -> str:
    """Return why an object of generation 2 is not ready, with another status or spec."""
    plain, ready = UP_TO_DATE[kind]
    item = {
        "metadata": {"name": "x", "generation": 2},
        "spec": plain | (spec or {}),
        "status": ready | {"observedGeneration": observed} | status,
    }
    return unready(kind, item)


@pytest.mark.parametrize("kind", sorted(UP_TO_DATE))
def test_the_status_of_an_earlier_generation_is_not_ready(kind: str) -> None:
    assert check(kind) == ""
    assert check(kind, observed=1) == "its controller has not seen the change yet"
    no_status = {"metadata": {"name": "x", "generation": 1}, "spec": {}}
    assert "not seen" in unready(kind, no_status)


def test_pods_of_the_old_revision_do_not_count() -> None:
    assert check("Deployment", updatedReplicas=1) == "1 of 2 updated"
    assert check("Deployment", replicas=3) == "1 of the old revision still run"
    assert check("StatefulSet", updatedReplicas=0) == "0 of 2 updated"
    assert check("StatefulSet", currentRevision="a") == "pods of the old revision still run"
    assert check("DaemonSet", updatedNumberScheduled=1) == "1 of 2 updated"


def test_updated_pods_have_to_be_ready() -> None:
    assert check("Deployment", readyReplicas=None) == "0 of 2 ready"
    assert check("StatefulSet", readyReplicas=1) == "1 of 2 ready"
    assert check("DaemonSet", numberReady=0) == "0 of 2 ready"
    assert check("Deployment", spec={"replicas": 0}, replicas=0, updatedReplicas=0) == ""


def test_pods_that_only_a_deletion_updates_are_not_waited_for() -> None:
    assert (
        check("StatefulSet", spec={"updateStrategy": {"type": "OnDelete"}}, updatedReplicas=0) == ""
    )
    partition = {"updateStrategy": {"rollingUpdate": {"partition": 1}}}
    assert check("StatefulSet", spec=partition, updatedReplicas=1, currentRevision="a") == ""


def test_a_job_is_ready_when_it_is_complete() -> None:
    def job(**status: Any) -> str:
        return unready("Job", {"metadata": {"generation": 1}, "spec": {}, "status": status})

    assert job() == "running"
    assert job(succeeded=1) == ""
    assert job(conditions=[{"type": "Complete", "status": "True"}]) == ""
    failed = {"type": "Failed", "status": "True", "message": "backoff"}
    assert job(conditions=[failed]) == "failed: backoff"
