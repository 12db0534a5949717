"""Own values that lose data, or with which OpenWhisk cannot work, are named before an upgrade."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.eks.storage import BETA_DEFAULT, DEFAULT, is_default
from aws_setup.openwhisk.value_checks import (
    KEEP,
    invoker_hosts,
    lost_claims,
    replica_problems,
    service_problems,
    volatile_database,
)
from aws_setup.openwhisk.values import ELB


def made(kind: str, name: str, spec: Any = None) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec or {}}


CLAIM = made("PersistentVolumeClaim", "owdev-couchdb-pvc")
LIVE = {("PersistentVolumeClaim", "owdev-couchdb-pvc"): CLAIM}


@pytest.mark.kind("B1", "B3")
def test_a_claim_that_helm_would_delete_is_refused() -> None:
    (problem,) = lost_claims([[CLAIM]], [], LIVE)
    assert "owdev-couchdb-pvc" in problem.what
    assert "k8s.persistence.enabled" in problem.hint
    assert not lost_claims([[CLAIM]], [CLAIM], LIVE)
    assert not lost_claims([[CLAIM]], [], {})
    # Of several manifests after an interrupted upgrade, each may be the one that is applied.
    assert lost_claims([[], [CLAIM]], [], LIVE)
    kept = CLAIM | {"metadata": {"name": "owdev-couchdb-pvc", "annotations": dict([KEEP])}}
    assert not lost_claims([[kept]], [], LIVE)
    assert not lost_claims([[CLAIM]], [], dict.fromkeys(LIVE, kept))


@pytest.mark.kind("B1", "B9")
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_database_without_a_volume_is_warned_about(kind: str) -> None:
    def database(*volumes: Any, **more: Any) -> dict[str, Any]:
        pod = {"template": {"spec": {"volumes": list(volumes)}}}
        return made(kind, "owdev-couchdb", pod | more)

    assert volatile_database([database({"name": "data", "emptyDir": {}})], "owdev")
    assert volatile_database([database()], "owdev")
    held = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}
    assert not volatile_database([database(held)], "owdev")
    assert not volatile_database([database(volumeClaimTemplates=[CLAIM])], "owdev")
    assert not volatile_database([], "owdev")


@pytest.mark.kind("B3", "B9")
def test_parts_without_pods_are_refused_and_too_many_invokers_warned_about() -> None:
    rule = "requiredDuringSchedulingIgnoredDuringExecution"
    spread = {"podAntiAffinity": {rule: [{"topologyKey": "kubernetes.io/hostname"}]}}

    def part(name: str, replicas: int | None, affinity: Any = None) -> dict[str, Any]:
        template = {"spec": {"affinity": affinity or {}}}
        return made("StatefulSet", f"owdev-{name}", {"replicas": replicas, "template": template})

    def found(*parts: dict[str, Any]) -> tuple[int, int]:
        refused, warned = replica_problems(parts, "owdev", hosts=3, configured=2)
        return len(refused), len(warned)

    assert found(part("invoker", 2, spread), part("controller", None)) == (0, 0)
    assert found(part("invoker", 3, spread)) == (0, 0)
    assert found(part("invoker", 4, spread)) == (0, 1)
    assert found(part("invoker", 4)) == (0, 0)
    assert found(part("invoker", 1, spread)) == (0, 1)
    _, (idle,) = replica_problems([part("invoker", 2, spread)], "owdev", hosts=8, configured=8)
    assert idle.what == "the chart renders 2 invokers for 8 invoker nodes"
    assert "on 6 nodes" in idle.why
    assert "num_openwhisk_invoker_vms to 2" in idle.hint
    (none,), _ = replica_problems([part("invoker", 0)], "owdev", hosts=0, configured=0)
    assert none.hint == "set num_openwhisk_invoker_vms to at least 1"
    assert found(part("invoker", 0), part("nginx", 0)) == (2, 0)
    # A provider of events may be switched off.
    assert found(part("alarmprovider", 0)) == (0, 0)
    nodes = [{"metadata": {"labels": {"role": "invoker"}}}] * 3 + [{"metadata": {}}]
    assert (invoker_hosts(nodes, "role", 2), invoker_hosts([], "role", 2)) == (3, 2)


@pytest.mark.kind("B9", "C1")
@pytest.mark.parametrize(
    ("kind", "internal", "problems"),
    [
        ("LoadBalancer", "true", 0),
        ("LoadBalancer", "0.0.0.0/0", 0),
        ("LoadBalancer", "false", 1),
        ("LoadBalancer", "", 1),
        ("LoadBalancer", None, 1),
        ("NodePort", "true", 1),
        (None, None, 2),
    ],
)
def test_a_service_that_is_no_internal_load_balancer_is_refused(
    kind: str | None, internal: str | None, problems: int
) -> None:
    service = made("Service", "owdev-nginx", {"type": kind} if kind else {})
    if internal is not None:
        service["metadata"]["annotations"] = {f"{ELB}-internal": internal}
    found = service_problems(service)
    assert len(found) == problems
    assert all("openwhisk_values" in problem.hint for problem in found)


@pytest.mark.kind("B5")
def test_both_annotations_of_a_default_class_count() -> None:
    for key in (DEFAULT, BETA_DEFAULT):
        assert is_default({"metadata": {"annotations": {key: "true"}}})
        assert not is_default({"metadata": {"annotations": {key: "false"}}})
