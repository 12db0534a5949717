"""The plan that the README shows is the plan that the script prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.cloud import cloud, settings
from tests.scripts import prepare, run

__all__ = ["cloud", "settings"]

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_plan_of_the_readme(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = run(SCRIPT, prepare(tmp_path / "work"), "plan")
    assert ended.exit_code == 0, ended.stderr
    printed = "\n".join(line.rstrip() for line in ended.stdout.strip().splitlines())
    shown = README.read_text(encoding="utf-8").split("<!-- plan -->\n```\n")[1].split("\n```")[0]
    assert shown == printed
