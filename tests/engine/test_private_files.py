"""Files of a deployment are for their owner only, and no link leads a write elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from aws_setup.engine.private_files import (
    append_private,
    check_private,
    open_private,
    write_private,
)

pytestmark = [
    pytest.mark.kind("C13"),
    pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX"),
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def opened(path: Path) -> None:
    os.close(open_private(path))


@pytest.mark.parametrize("refuses", [lambda path: append_private(path, "x"), opened, check_private])
def test_a_link_is_not_followed(tmp_path: Path, refuses: Callable[[Path], None]) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("mine")
    link.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        refuses(link)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "new")
    with pytest.raises(OSError, match="symbolic link"):
        refuses(dangling)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_an_atomic_write_replaces_a_link(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("mine")
    link.symlink_to(victim)
    write_private(link, "ours")
    assert (victim.read_text(), link.read_text(), link.is_symlink()) == ("mine", "ours", False)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError):
        append_private(pipe, "x")
    with pytest.raises(OSError, match="regular"):
        check_private(pipe)


def test_folders_and_files_are_for_their_owner(tmp_path: Path) -> None:
    append_private(tmp_path / "a" / "b" / "log", "one\n")
    write_private(tmp_path / "c" / "d" / "receipt", "text")
    for name in ("a", "a/b", "c", "c/d"):
        assert mode(tmp_path / name) == 0o700
    assert mode(tmp_path / "a/b/log") == mode(tmp_path / "c/d/receipt") == 0o600


def test_the_log_of_an_earlier_version_becomes_private(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    log.chmod(0o644)
    append_private(log, "new\n")
    assert mode(log) == 0o600
    assert log.read_text() == "old\nnew\n"


@pytest.mark.parametrize("write", [lambda path: write_private(path, "x"), opened, check_private])
def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """As in KUBECONFIG=/dev/null, which root could replace by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=r"not a regular file|No such device"):
        write(pipe)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
