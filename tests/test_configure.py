"""Whole runs of the second script: configure, again, upgrade, destroy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.rehearsal.server import RehearsalCloud
from tests.cloud import cloud, settings
from tests.cluster_world import Lab, lab, private

__all__ = ["cloud", "settings"]


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def test_configure_ends_with_openwhisk_answering(zoo: Lab) -> None:
    told = zoo.run("configure")
    steps = {step["name"]: step for step in told["steps"]}
    assert steps["openwhisk api"]["id"].startswith("http://localhost:")
    file = zoo.folder / "infrastructure_json" / "lambda-fs.wskprops"
    assert private(file)
