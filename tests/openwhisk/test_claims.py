"""Volume claims of the release that are lost, being deleted or missing."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.engine.step import Drift
from aws_setup.openwhisk.claims import _drift, claims_of

pytestmark = pytest.mark.kind("D2")


def claim(name: str, *, phase: str = "Bound", **metadata: Any) -> dict[str, Any]:
    spec = {"volumeName": "pvc-1"}
    return {"metadata": {"name": name, **metadata}, "spec": spec, "status": {"phase": phase}}


def only(drifts: list[Drift]) -> Drift:
    (drift,) = drifts
    return drift


@pytest.mark.parametrize("phase", ["Bound", "Pending"])
def test_a_claim_with_a_volume_or_that_waits_for_one_is_no_drift(phase: str) -> None:
    assert _drift("owdev-couchdb-pvc", claim("owdev-couchdb-pvc", phase=phase), "openwhisk") == []


@pytest.mark.parametrize(
    ("live", "has"),
    [
        (None, "missing, and its data"),
        (claim("c", phase="Lost"), "its volume pvc-1 is gone"),
        (claim("c", deletionTimestamp="2026-11-27T10:00:00Z"), "being deleted"),
    ],
)
def test_the_databases_claim_is_never_replaced_by_itself(live: Any, has: str) -> None:
    drift = only(_drift("owdev-couchdb-pvc", live, "openwhisk"))
    assert has in drift.has
    assert "snapshot" in drift.fix
    assert "whisk_helper.py --create" in drift.fix


def test_another_claim_is_made_again_or_named_with_the_command() -> None:
    assert only(_drift("owdev-redis-pvc", None, "openwhisk")).fix == ""
    lost = only(_drift("owdev-redis-pvc", claim("owdev-redis-pvc", phase="Lost"), "openwhisk"))
    assert "kubectl -n openwhisk delete pvc owdev-redis-pvc" in lost.fix


def test_claims_of_the_release_are_those_of_its_manifest_in_its_namespace() -> None:
    kind = "PersistentVolumeClaim"
    manifest: Any = [
        {"kind": kind, "metadata": {"name": "a"}},
        {"kind": kind, "metadata": {"name": "b", "namespace": "other"}},
        {"kind": "Secret", "metadata": {"name": "c"}},
    ]
    assert claims_of(manifest, "openwhisk") == {"a"}
