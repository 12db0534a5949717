"""Files that a run will write: refused before the first write where they cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aws_setup.preflight.local_files import check, unwritable

pytestmark = pytest.mark.kind("B6")


def test_files_that_can_be_written_are_fine_and_nothing_is_created(tmp_path: Path) -> None:
    tmp_path = tmp_path / "empty"
    tmp_path.mkdir()
    (tmp_path / "old").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "old")
    for name in ("old", "link", "new", "a/b/c/new"):
        assert unwritable(tmp_path / name) == "", name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "old"]


def test_each_kind_of_obstacle_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for name, why in (
        ("file/config", "is not a folder"),
        ("file/a/b/config", "is not a folder"),
        ("folder", "it is a folder"),
        ("pipe", "not a regular file"),
        ("x" * 300, "too long"),
        ("loop/config", ""),
    ):
        assert why in unwritable(tmp_path / name), name
        assert unwritable(tmp_path / name), name


def test_a_folder_without_permission_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.geteuid() == 0:  # root may write everywhere: os.access answers as for another user
        monkeypatch.setattr(os, "access", lambda path, _: Path(path).stat().st_mode & 0o200 != 0)
    assert "you may not write" in unwritable(tmp_path / "closed" / "new")


def test_a_refusal_has_the_fix(tmp_path: Path) -> None:
    (finding,) = check({tmp_path: "set KEY", tmp_path / "new": "unused"})
    assert finding.what == f"cannot write {tmp_path}"
    assert finding.hint == "set KEY"
