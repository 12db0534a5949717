"""Every write of create and of destroy loses its answer in one run.

tests/trust has single writes: killed before and after each, and failing in each way.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run


def shape(cloud: RehearsalCloud) -> Counter[tuple[str, str]]:
    """Return how many resources of each kind and step exist."""
    return Counter(
        (resource.kind, resource.tags.get("lambda-fs:step", "")) for resource in cloud.snapshot()
    )


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to start from; botocore's retries and their pauses are off."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return prepare(tmp_path / "work")


@pytest.mark.parametrize("verb", ["create", "destroy"])
def test_every_write_may_lose_its_answer(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    empty = shape(cloud)
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    expected = shape(cloud)
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    actions = {call.name for call in cloud.calls.writes()}
    if verb == "destroy":
        assert run(SCRIPT, folder, "--yes").exit_code == 0
    cloud.faults.add(
        *({"fault": "lose-answer", "action": name, "calls": [1]} for name in sorted(actions))
    )
    ended = run(SCRIPT, folder, verb, "--yes", "--json")
    assert ended.exit_code == 0, (ended.document["problems"], ended.document.get("leftovers"))
    assert shape(cloud) == (expected if verb == "create" else empty)
