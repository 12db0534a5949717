"""An error of a file or folder is a sentence with a fix, wherever it was raised."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aws_setup.engine.file_errors import file_problem
from aws_setup.engine.plan import to_problem
from aws_setup.engine.private_files import append_private, keep_copy, write_private
from aws_setup.engine.result import Result
from aws_setup.errors import SetupError
from aws_setup.ssh.known_hosts import HostKey, KnownHosts


def raised(path: Path) -> OSError:
    with pytest.raises(OSError) as caught:
        write_private(path, "text")
    return caught.value


def test_the_path_the_cause_and_the_fix_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = raised(tmp_path / "file" / "page")
    result = Result(command="create")
    result.fail(error)
    (problem,) = result.problems
    assert str(tmp_path / "file") in problem.what
    assert problem.why == os.strerror(errno.EEXIST) or problem.why == os.strerror(errno.ENOTDIR)
    assert problem.hint == "correct that path, then run the same command again"
    assert to_problem(error, step="receipt").what == f"receipt: {problem.what}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_told_without_a_path() -> None:
    with pytest.raises(OSError) as caught, Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"text")
    problem = to_problem(caught.value)
    assert (problem.what, problem.why) == ("a file cannot be written", os.strerror(errno.ENOSPC))
    assert "free space" in problem.hint


class FullDisk(io.BytesIO):
    """A file on a full disk."""

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full(*_: object) -> FullDisk:
    return FullDisk()


def full_disk(*_: object) -> int:
    return FullDisk().write(b"")


@pytest.mark.parametrize("write", [write_private, append_private, keep_copy])
def test_a_file_that_a_full_disk_refuses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, str], object]
) -> None:
    monkeypatch.setattr(os, "fdopen", full)
    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(OSError) as caught:
        write(tmp_path / "receipt", "text")
    found = file_problem(caught.value)
    assert found
    assert found.what == f"{tmp_path / 'receipt'} cannot be used"
    assert found.hint.startswith("free space")


def test_host_keys_on_a_full_disk_want_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(SetupError) as caught:
        KnownHosts(tmp_path / "hosts").add("i-0", [HostKey("ssh-ed25519", b"key")])
    assert caught.value.problems[0].hint.startswith("free space")


def test_a_folder_without_permission_has_its_own_fix() -> None:
    found = file_problem(PermissionError(errno.EACCES, "Permission denied", "/home/me/.wskprops"))
    assert found
    assert found.what == "/home/me/.wskprops cannot be used"
    assert found.hint.startswith("make it one that you may read and write")


def test_an_error_of_a_connection_names_no_file() -> None:
    assert file_problem(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")) is None
    assert file_problem(OSError("Socket is closed")) is None
