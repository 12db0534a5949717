"""A run against a cloud with random faults succeeds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

SPEED = 200.0
LATENCIES = {"cluster active": 100, "nat available": 20}

pytestmark = pytest.mark.timeout(240)


def kinds(cloud: RehearsalCloud) -> Counter[tuple[str, str]]:
    return Counter(
        (resource.kind, resource.tags.get("lambda-fs:step", "")) for resource in cloud.snapshot()
    )


def quiet(cloud: RehearsalCloud) -> Any:
    """Return the random faults, switched off for the calls of the test itself."""
    held, cloud.faults.random_faults = cloud.faults.random_faults, None
    return held


def test_create_and_destroy_end_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SETUP_PACE", f"{1 / SPEED:g}")
    with serve(Settings(speed=SPEED, lag=True, chaos=3, latencies=LATENCIES)) as cloud:
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
        faults = quiet(cloud)
        folder = prepare(tmp_path / "work")
        cloud.faults.random_faults = faults
        empty = kinds(cloud)
        made = run(SCRIPT, folder, "--yes", "--json")
        assert made.exit_code == 0, made.document["problems"]
        writes = len(cloud.calls.writes())
        again = run(SCRIPT, folder, "--yes", "--json")
        assert {step["action"] for step in again.document["steps"]} == {"exists"}
        assert len(cloud.calls.writes()) == writes
        gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
        assert gone.exit_code == 0, (gone.document["problems"], gone.document["leftovers"])
        assert kinds(cloud) == empty
        assert faults is cloud.random_faults
        assert {"throttled", "lost answers", "stale reads"} <= cloud.random_faults.counts().keys()
