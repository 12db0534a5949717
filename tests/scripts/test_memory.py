"""A run leaves nothing in memory: a process may run the scripts many times."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.session import Aws
from aws_setup.kube.client import KubeClient
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.cluster import lab


def alive() -> dict[int, Any]:
    """Return the sessions and clients that exist."""
    gc.collect()
    return {id(found): found for found in gc.get_objects() if type(found) in (Aws, KubeClient)}


def test_the_session_and_the_clients_of_an_ended_run_are_freed(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = alive()
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as zoo:
        zoo.run("plan")
        zoo.run("status", code=None)
        assert any(path.startswith("/api") for _, path, _ in zoo.api.requests)
        assert alive().keys() <= before.keys()
