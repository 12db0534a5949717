"""Fixtures of this folder's tests; `world` is each file's own, with its deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.pause.deployment import forget_clients
from tests.support.aws import cloud, settings
from tests.support.copies import World

__all__ = ["cloud", "settings"]


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> RehearsalCloud:
    """Return the cloud with the deployment of the file."""
    forget_clients()
    return world.enter(monkeypatch)


@pytest.fixture
def folder(world: World, deployed: RehearsalCloud) -> Path:
    """Return the folder of that deployment's runs."""
    return world.folder
