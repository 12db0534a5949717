"""What blocks OpenWhisk: the first thing in the order of dependence."""

from __future__ import annotations

from typing import Any

from aws_setup.openwhisk.diagnosis import Blocker, ReleaseStatus, first_blocker, unready_reason


def pod(name: str, *, phase: str = "Running", waiting: str = "", job: str = "") -> dict[str, Any]:
    labels = {"job-name": job} if job else {}
    state = {"waiting": {"reason": waiting, "message": "why"}} if waiting else {"running": {}}
    status = {"phase": phase, "containerStatuses": [{"state": state}]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def job(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def claim(name: str, phase: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase}}


DONE = job("owdev-install-packages", succeeded=1)


def test_a_volume_goes_before_everything() -> None:
    sight = ReleaseStatus(
        claims=[claim("a", "Bound"), claim("b", "Pending")],
        pods=[pod("owdev-couchdb-0", phase="Pending")],
        jobs=[DONE],
    )
    assert first_blocker(sight, release="owdev") == Blocker("claim", "b", "volume Pending")


def test_pods_are_judged_in_the_order_of_dependence() -> None:
    broken = [pod(f"owdev-{name}-0", phase="Pending") for name in ("invoker", "kafka", "couchdb")]
    blocked = []
    while broken:
        found = first_blocker(ReleaseStatus(pods=broken, jobs=[DONE]), release="owdev")
        assert found
        blocked.append(found.name)
        broken = [one for one in broken if one["metadata"]["name"] != found.name]
    assert blocked == ["owdev-couchdb-0", "owdev-kafka-0", "owdev-invoker-0"]


def test_a_pod_says_why_in_kubernetes_words() -> None:
    assert unready_reason(pod("p", waiting="ImagePullBackOff")) == "ImagePullBackOff why"
    assert unready_reason(pod("p", phase="Succeeded")) == ""
    assert unready_reason(pod("p")) == ""
    unplaced = {
        "metadata": {"name": "p"},
        "status": {
            "phase": "Pending",
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/3 nodes are available",
                }
            ],
        },
    }
    assert unready_reason(unplaced) == "Unschedulable 0/3 nodes are available"


def test_a_job_that_gave_up_is_hopeless_and_one_that_runs_is_not() -> None:
    failed = [{"type": "Failed", "status": "True", "message": "backoff limit"}]
    given_up = ReleaseStatus(jobs=[job("owdev-install-packages", conditions=failed)])
    found = first_blocker(given_up, release="owdev")
    assert found
    assert found.hopeless
    assert "backoff limit" in found.state
    running = first_blocker(ReleaseStatus(jobs=[job("owdev-install-packages")]), release="owdev")
    assert running == Blocker("job", "owdev-install-packages", "running")


def test_nothing_is_ready_before_the_charts_last_job_exists() -> None:
    assert first_blocker(ReleaseStatus(), release="owdev") == Blocker(
        "job", "owdev-install-packages", "not there yet"
    )
    assert first_blocker(ReleaseStatus(jobs=[DONE]), release="owdev") is None


def test_missing_replicas_block() -> None:
    few = {
        "metadata": {"name": "owdev-invoker"},
        "spec": {"replicas": 3},
        "status": {"readyReplicas": 2},
    }
    found = first_blocker(ReleaseStatus(jobs=[DONE], sets=[few]), release="owdev")
    assert found == Blocker("StatefulSet", "owdev-invoker", "2 of 3 ready")
