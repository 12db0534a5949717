"""Runs whisk_helper.py in process against the stand-in OpenWhisk; its fixtures are imported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from tests.support.openwhisk import make_jar, openwhisk
from whisk_helper import main

ORIGINAL = ["--memory", "20000", "--concurrency", "4"]
Script = Callable[..., Result]


@pytest.fixture
def whisk(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenWhiskServer]:
    """Serve a stand-in OpenWhisk to which the environment leads."""
    with openwhisk() as running:
        monkeypatch.setenv("WHISK_APIHOST", running.url)
        monkeypatch.setenv("WHISK_AUTH", AUTH)
        monkeypatch.setenv("AWS_SETUP_PACE", "0")
        yield running


@pytest.fixture
def jar(tmp_path: Path) -> str:
    """Return the path of a jar."""
    return str(make_jar(tmp_path / "nn.jar", size=20_000))


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Run the script in an empty folder, without a configuration file."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments))

    return run


def document(result: Result) -> dict[str, Any]:
    """Return the JSON document that a run has printed."""
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded
