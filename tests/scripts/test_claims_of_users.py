"""destroy of configure, and the volumes of users' claims, which stay with the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, tagged
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)

OWNED = {"lambda-fs:deployment": "lambda-fs", "kubernetes.io/created-for/pvc/name": "notes"}
"""What the StorageClass of the deployment and the EBS CSI driver give the volume of a claim."""


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def volume(zoo: Lab, *, phase: str = "", policy: str = "Delete") -> str:
    """Make an unattached volume; with a phase the cluster has a PersistentVolume of it."""
    made = client("ec2").create_volume(
        AvailabilityZone="us-east-1a", Size=8, TagSpecifications=tagged("volume", **OWNED)
    )
    name, claim = str(made["VolumeId"]), {"name": f"notes-{phase}-{policy}".lower()}
    if phase == "Bound":
        own = {**claim, "namespace": "default", "uid": claim["name"]}
        bound: Any = {"metadata": own, "spec": {}, "status": {"phase": "Bound"}}
        zoo.api.state.put("persistentvolumeclaims", bound)
    if phase:
        spec: Any = {
            "capacity": {"storage": "8Gi"},
            "claimRef": {**claim, "namespace": "default", "uid": claim["name"]},
            "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": name},
            "persistentVolumeReclaimPolicy": policy,
        }
        meta = {"name": f"pv-{claim['name']}"}
        held = {"metadata": meta, "spec": spec, "status": {"phase": phase}}
        zoo.api.state.put("persistentvolumes", held)
    return name


def test_a_volume_that_the_cluster_has_is_kept_and_named_with_its_claim(zoo: Lab) -> None:
    zoo.run("configure", "--only", "gp3 storage class")
    bound, retained = volume(zoo, phase="Bound"), volume(zoo, phase="Released", policy="Retain")
    for _ in range(2):
        result = zoo.run("destroy")
        assert (result["result"], result["leftovers"]) == ("ok", [])
        (kept,) = [one for one in result["warnings"] if one["what"].startswith("kept: vol-")]
        assert {bound, retained} == set(kept["what"].removeprefix("kept: ").split(", "))
        assert f"{bound} of claim default/notes-bound-delete" in kept["why"]
    assert zoo.destroy_everything()["leftovers"] == []
    assert client("ec2").describe_volumes()["Volumes"] == []


def test_a_volume_that_no_claim_needs_is_named_with_its_command(zoo: Lab) -> None:
    zoo.run("configure", "--only", "gp3 storage class")
    lost, released = volume(zoo), volume(zoo, phase="Released")
    result = zoo.run("destroy", code=3)
    assert {one["id"] for one in result["leftovers"]} == {lost, released}
    assert all(one["hourly_usd"] > 0 for one in result["leftovers"])
