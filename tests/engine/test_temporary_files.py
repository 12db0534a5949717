"""What a killed run has left in temporary files, the next run of any script deletes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from aws_setup.engine.private_files import write_private
from aws_setup.engine.processes import this_process
from aws_setup.engine.temporary_files import (
    OUTLIVING_SECONDS,
    UNKNOWN_SECONDS,
    delete_abandoned,
    temporary_file,
    temporary_folder,
)
from aws_setup.errors import SetupError
from tests.support.script_runs import ROOT, run_script

pytestmark = [
    pytest.mark.kind("C1"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="knows processes by /proc"),
]

RUN = """
import sys, time
from pathlib import Path
from aws_setup.engine import private_files
from aws_setup.engine.temporary_files import temporary_file, temporary_folder, unnamed_folder
folder = Path(sys.argv[1])
def stop(*_):
    print("ready", flush=True)
    time.sleep(600)
private_files._replace = stop
with temporary_file("token", suffix=".for-program"), temporary_folder() as jar:
    (jar / "namenode.jar").write_text("password")
    unnamed_folder(folder, ".fetch-")
    private_files.write_private(folder / "lambda-fs.whisk", "key")
"""
"""A run that is killed while it writes each kind of temporary file."""


def names(folder: Path) -> list[str]:
    """Return the names in a folder without what names the process, and what is not a run's."""
    me = f"{this_process().computer}-"
    found = sorted(path.name.partition(me)[0] for path in folder.iterdir())
    return [name for name in found if not name.startswith("script-runs-")]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the computer's temporary folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    "script", ["create_aws_infrastructure.py", "configure_eks_cluster.py", "whisk_helper.py"]
)
def test_the_files_of_a_killed_run_are_deleted_by_the_next_one(
    temporary: Path, tmp_path: Path, script: str
) -> None:
    kept = tmp_path / "infrastructure_json"
    kept.mkdir()
    command = [sys.executable, "-c", RUN, str(kept)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            left = ["lambda-fs-", "lambda-fs-"]
            (token,) = temporary.glob("*.for-program")
            assert names(temporary) == left
            run_script(script, folder=tmp_path, environment=os.environ)
            write_private(kept / "lambda-fs.whisk", "new key")
            assert names(temporary) == left, "the run still works"
        finally:
            process.kill()
    assert names(kept) == [".fetch-", ".lambda-fs.whisk.", "lambda-fs.whisk"]
    run = run_script(script, folder=tmp_path, environment=os.environ)
    assert run.returncode == 2, "it has no configuration"
    assert list(temporary.glob("lambda-fs-*")) == [token], "a helm of the killed run may read it"
    long_ago = time.time() - OUTLIVING_SECONDS - 1
    os.utime(token, (long_ago, long_ago))
    run_script(script, folder=tmp_path, environment=os.environ)
    assert names(temporary) == []
    write_private(kept / "lambda-fs.json", "{}")
    assert names(kept) == ["lambda-fs.json", "lambda-fs.whisk"], "also what is written no more"


def test_only_what_certainly_nobody_uses_is_deleted(temporary: Path, tmp_path: Path) -> None:
    me, elsewhere = this_process(), "0123456789abcdef"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("the user's")
    stays = [
        f"lambda-fs-{me.computer}-{me.pid}-{me.started}-own",
        f"lambda-fs-{elsewhere}-1-1-new",
        f"lambda-fs-{me.computer}-0-1-no-process",
        "lambda-fs-jar",
        f"other-{me.computer}-{me.pid}-1-x",
    ]
    gone = [
        f"lambda-fs-{me.computer}-{me.pid}-1-same-number",
        f"lambda-fs-{elsewhere}-1-1-old",
    ]
    for name in (*stays, *gone):
        (temporary / name).write_text("secret")
    long_ago = time.time() - UNKNOWN_SECONDS - 60
    os.utime(temporary / gone[1], (long_ago, long_ago))
    link = temporary / f"lambda-fs-{me.computer}-{me.pid}-1-link"
    link.symlink_to(outside)
    (temporary / f"lambda-fs-{me.computer}-{me.pid}-1-folder").mkdir()
    (temporary / f"lambda-fs-{me.computer}-{me.pid}-1-folder" / "link").symlink_to(outside)
    with temporary_file("token", suffix=".x") as mine, temporary_folder() as folder:
        assert mine.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert sorted(path.name for path in temporary.iterdir() if path not in (mine, folder)) == (
            sorted(stays)
        )
    assert not mine.exists()
    assert not folder.exists()
    assert (outside / "file").read_text() == "the user's"
    delete_abandoned(tmp_path / "missing")


def test_a_full_temporary_folder_is_an_error_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", full)
    with pytest.raises(SetupError, match="temporary folder") as none, temporary_folder():
        pass
    assert "TMPDIR" in none.value.problems[0].hint
    folder = tmp_path / "full"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))

    def no_space(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", no_space)
    with pytest.raises(SetupError, match="temporary folder"), temporary_file("x", suffix=""):
        pass
    assert list(folder.iterdir()) == [], "the empty file is deleted"


def test_a_folder_on_a_full_disk_is_an_error_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", no_space)
    with pytest.raises(SetupError, match="No space left"), temporary_folder():
        pass
