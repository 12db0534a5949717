"""The shell scripts for files, run by this computer's shell, and the parsers of their output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aws_setup.software.clients import remote_files
from aws_setup.ssh import files
from aws_setup.ssh.errors import script_error


def script(text: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ["sh", "-c", text, files.NAME, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=30)


def write(path: Path, content: bytes, *, digest: str = "") -> int:
    spec = files.FileSpec(content, 0o640)
    return script(
        files.WRITE, str(path), "640", "", digest or spec.digest, stdin=content
    ).returncode


def test_a_written_file_is_read_back_and_matches_its_spec(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a file"
    assert write(path, b"x = 1\n") == 0
    assert script(files.READ, str(path)).stdout == b"x = 1\n"
    digest = script(files.DIGEST, str(path)).stdout.decode()
    assert files.FileSpec(b"x = 1\n", 0o640).matches(digest)
    assert [other.name for other in path.parent.iterdir()] == ["a file"]


def test_incomplete_content_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    assert write(path, b"ne", digest=files.digest_of("new")) == 74
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(".file.*"))


def test_absent_and_unreadable_are_different_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for text in (files.READ, files.DIGEST):
        assert script(text, str(tmp_path / "none")).returncode == files.ABSENT
        assert script(text, str(tmp_path / "file" / "below")).returncode == 1


PLACED: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "named pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}
DIGEST = files.digest_of("x")
SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "read": (files.READ, []),
    "digest": (files.DIGEST, []),
    "facts": (files.FACTS, []),
    "write": (files.WRITE, ["644", "", DIGEST]),
    "read all": (remote_files.READ, []),
    "replace": (remote_files.REPLACE, [DIGEST, DIGEST, remote_files.ORIGINAL]),
}


@pytest.mark.kind("C7")
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("kind", PLACED)
def test_what_is_no_file_is_named_with_the_fix_and_stays(
    tmp_path: Path, name: str, kind: str
) -> None:
    """A pipe is not waited for, and nothing is put into a folder."""
    path = tmp_path / "opt" / "zoo.cfg"
    path.parent.mkdir()
    PLACED[kind](path)
    text, arguments = SCRIPTS[name]
    done = script(text, str(path), *arguments, stdin=b"x")
    assert done.returncode == files.NO_FILE
    error = script_error("zk-0", "read it", code=done.returncode, errors=done.stderr.decode())
    (problem,) = error.problems
    assert problem.why == f"{path} is a {kind}, not a file"
    assert problem.hint.startswith(f"run `sudo mv {path} {path}.old` on that machine")
    assert [*path.parent.rglob("*")] == [path]


@pytest.mark.kind("C7")
def test_a_folder_in_the_place_of_the_copy_is_named_before_the_file_is_replaced(
    tmp_path: Path,
) -> None:
    path, copy = tmp_path / "site.xml", tmp_path / f"site.xml{remote_files.ORIGINAL}"
    path.write_text("old")
    copy.mkdir()
    digests = files.digest_of("x"), files.digest_of("old")
    done = script(remote_files.REPLACE, str(path), *digests, remote_files.ORIGINAL, stdin=b"x")
    assert (done.returncode, path.read_text()) == (files.NO_FILE, "old")
    copy.rmdir()
    for printed in (b"kept\n", b""):
        path.write_text("old")
        done = script(remote_files.REPLACE, str(path), *digests, remote_files.ORIGINAL, stdin=b"x")
        assert (done.returncode, done.stdout) == (0, printed)
    assert (path.read_text(), copy.read_text()) == ("x", "old")


def test_facts_are_parsed_by_path(tmp_path: Path) -> None:
    path = tmp_path / "a b"
    path.write_text("one")
    output = script(files.FACTS, str(path), str(tmp_path / "none")).stdout.decode()
    (found,) = files.parse_facts(output).items()
    assert found[0] == str(path)
    assert found[1].digest == files.digest_of("one")
    assert found[1].changed == pytest.approx(path.stat().st_mtime, abs=0.001)


@pytest.mark.parametrize(
    ("owner", "answer", "matches"),
    [
        ("", "{digest}  -\n644 root root", True),
        ("root", "{digest}  -\n644 root wheel", True),
        ("root:wheel", "{digest}  -\n644 root wheel", True),
        ("root:root", "{digest}  -\n644 root wheel", False),
        ("ubuntu", "{digest}  -\n644 root root", False),
        ("", "{digest}  -\n600 root root", False),
        ("", "0000  -\n644 root root", False),
        ("", "", False),
    ],
)
def test_a_file_matches_by_content_mode_and_owner(owner: str, answer: str, matches: bool) -> None:
    spec = files.FileSpec(b"x", 0o644, owner)
    assert spec.matches(answer.format(digest=spec.digest)) is matches
