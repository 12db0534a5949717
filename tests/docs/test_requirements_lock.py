"""requirements.lock: what is installed is exactly what the requirements ask for, by hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)( ; [^\\]+)? \\\n((?:    --hash=.*\n)+)", re.M)

pytestmark = pytest.mark.kind("C10")


def requirements() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.partition("#")[0].strip() for line in lines]
    return [Requirement(text) for text in texts if text]


def locked() -> dict[str, tuple[str, str]]:
    """Return name -> version and hashes."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {name.lower(): (version, hashes) for name, version, _, hashes in LOCKED.findall(text)}


def test_every_version_is_within_its_range() -> None:
    versions = locked()
    for requirement in requirements():
        version, _ = versions[requirement.name.lower()]
        assert version in requirement.specifier, requirement


def test_everything_is_locked_by_hash() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert len(pins) == len(locked()) > len(requirements())
    for name, (_, hashes) in locked().items():
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}\b", hashes), name


def test_readme_and_ci_install_the_locked_versions() -> None:
    command = "pip install --require-hashes -r requirements.lock"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements.lock" in ci
