"""An error of a file or folder is a sentence with a fix, wherever it was raised."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aws_setup.engine.file_errors import file_problem
from aws_setup.engine.plan import to_problem
from aws_setup.engine.private_files import write_private
from aws_setup.engine.result import Result


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


def test_a_folder_without_permission_has_its_own_fix() -> None:
    found = file_problem(PermissionError(errno.EACCES, "Permission denied", "/home/me/.wskprops"))
    assert found
    assert found.what == "/home/me/.wskprops cannot be used"
    assert found.hint.startswith("make it one that you may read and write")


def test_an_error_of_a_connection_names_no_file() -> None:
    assert file_problem(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")) is None
    assert file_problem(OSError("Socket is closed")) is None
