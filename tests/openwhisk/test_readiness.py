"""What blocks OpenWhisk: the first object that is not ready, in the order of dependence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aws_setup.openwhisk.readiness import Blocker, first_blocker
from aws_setup.openwhisk.release_objects import ReleaseStatus, unready_reason


def pod(name: str, *, phase: str = "Running", waiting: str = "", job: str = "") -> dict[str, Any]:
    labels = {"job-name": job} if job else {}
    state = {"waiting": {"reason": waiting, "message": "why"}} if waiting else {"running": {}}
    status = {"phase": phase, "containerStatuses": [{"state": state}]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def job(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def claim(name: str, phase: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase}}


@pytest.mark.kind("D5")
def test_a_pod_of_an_earlier_job_of_the_same_name_is_not_this_jobs() -> None:
    failing = pod("gen-certs-a", waiting="ImagePullBackOff", job="owdev-gen-certs")
    failing["metadata"]["ownerReferences"] = [{"kind": "Job", "uid": "earlier"}]
    new = job("owdev-gen-certs", active=1)
    new["metadata"]["uid"] = "now"
    found = first_blocker(ReleaseStatus(jobs=[new, DONE], pods=[failing]), release="owdev")
    assert found
    assert "ImagePullBackOff" not in found.state
    failing["metadata"]["ownerReferences"] = [{"kind": "Job", "uid": "now"}]
    found = first_blocker(ReleaseStatus(jobs=[new, DONE], pods=[failing]), release="owdev")
    assert found
    assert "ImagePullBackOff" in found.state


DONE = job("owdev-install-packages", succeeded=1)


def test_an_unbound_volume_is_reported_first() -> None:
    status = ReleaseStatus(
        claims=[claim("a", "Bound"), claim("b", "Pending")],
        pods=[pod("owdev-couchdb-0", phase="Pending")],
        jobs=[DONE],
    )
    assert first_blocker(status, release="owdev") == Blocker("claim", "b", "volume Pending")


def test_pods_are_reported_in_the_order_of_dependence() -> None:
    broken = [pod(f"owdev-{name}-0", phase="Pending") for name in ("invoker", "kafka", "couchdb")]
    blocked = []
    while broken:
        found = first_blocker(ReleaseStatus(pods=broken, jobs=[DONE]), release="owdev")
        assert found
        blocked.append(found.name)
        broken = [item for item in broken if item["metadata"]["name"] != found.name]
    assert blocked == ["owdev-couchdb-0", "owdev-kafka-0", "owdev-invoker-0"]


def test_the_reason_of_a_pod_is_what_kubernetes_reports() -> None:
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


def test_a_failed_job_is_failed_and_a_running_one_is_not() -> None:
    failed = [{"type": "Failed", "status": "True", "message": "backoff limit"}]
    exhausted = ReleaseStatus(jobs=[job("owdev-install-packages", conditions=failed)])
    found = first_blocker(exhausted, release="owdev")
    assert found
    assert found.failed
    assert "backoff limit" in found.state
    running = first_blocker(ReleaseStatus(jobs=[job("owdev-install-packages")]), release="owdev")
    assert running == Blocker("job", "owdev-install-packages", "running")


def test_nothing_is_ready_before_the_charts_last_job_exists() -> None:
    assert first_blocker(ReleaseStatus(), release="owdev") == Blocker(
        "job", "owdev-install-packages", "not created yet"
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


def test_jobs_are_reported_before_replicas_and_the_last_job_of_the_chart_last() -> None:
    few = {"metadata": {"name": "owdev-nginx"}, "spec": {"replicas": 1}, "status": {}}
    running = [job("owdev-install-packages"), job("owdev-zz-init")]
    status = ReleaseStatus(jobs=running, deployments=[few], sets=[few])
    names = []
    while (found := first_blocker(status, release="owdev")) and found.kind == "job":
        names.append(found.name)
        left = [item for item in status.jobs if item["metadata"]["name"] != found.name]
        status = replace(status, jobs=[*left, job(found.name, succeeded=1)])
    assert names == ["owdev-zz-init", "owdev-install-packages"]
    assert found == Blocker("StatefulSet", "owdev-nginx", "0 of 1 ready")
    found = first_blocker(replace(status, sets=[]), release="owdev")
    assert found == Blocker("Deployment", "owdev-nginx", "0 of 1 ready")


def test_a_running_job_shows_the_reason_of_its_newest_pod() -> None:
    name = "owdev-install-packages"
    pods = [pod(f"{name}-1", job=name), pod(f"{name}-2", waiting="ErrImagePull", job=name)]
    found = first_blocker(ReleaseStatus(jobs=[job(name)], pods=pods), release="owdev")
    assert found == Blocker("job", name, "running ErrImagePull why")
