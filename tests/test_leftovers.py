"""What tests leave is reported at the end of their session, and fails it in CI."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LEAVES = """
import socket, subprocess, sys, tempfile, threading

def test_clean():
    subprocess.run(["true"], check=True)
    with tempfile.TemporaryDirectory(prefix="deleted-"):
        pass

def test_process():
    subprocess.Popen(["sleep", "600"], start_new_session=True)

def test_file():
    tempfile.mkdtemp(prefix="forgotten-")

def test_killed():
    first = "from aws_setup.engine import temporary_files; import os"
    then = "with temporary_files.temporary_folder(): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", f"{first}; exec({then!r})"])

def test_thread():
    threading.Thread(target=threading.Event().wait, args=(3,), name="stays").start()

def test_port():
    global kept
    kept = socket.create_server(("127.0.0.1", 0))

def test_daemon():
    threading.Thread(target=threading.Event().wait, name="waits", daemon=True).start()

def test_late_thread():
    threading.Thread(target=threading.Event().wait, args=(0.2,)).start()
"""


def session(folder: Path, *words: str, test: str, ci: bool) -> tuple[int, str]:
    """Run one of the tests above in a session of its own; return its exit code and output."""
    (folder / "test_leaves.py").write_text(LEAVES)
    command = [sys.executable, "-m", "pytest", *words, "-k", test, str(folder / "test_leaves.py")]
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CI": "1" if ci else "",
        "TESTS_PATIENCE": "1",
    }
    done = subprocess.run(
        [
            *command,
            "-p",
            "tests.support.leftovers",
            "-p",
            "no:randomly",
            "--rootdir",
            str(folder),
            "-c",
            os.devnull,
            "-p",
            "no:cacheprovider",
        ],
        check=False,
        env=variables,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found in /proc")
@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("test", "left"),
    [
        ("clean", ""),
        ("late", ""),
        ("killed", ""),
        ("process", r"process \d+ sleep 600"),
        ("file", r"file forgotten-\w+"),
        ("test_thread", "thread stays"),
    ],
)
def test_what_a_session_leaves_fails_it_in_ci(
    tmp_path: Path, words: tuple[str, ...], test: str, left: str
) -> None:
    code, output = session(tmp_path, *words, test=test, ci=True)
    found = re.findall("left by the tests: (.*)", output)
    for pid in re.findall(r"process (\d+) sleep 600", output):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    assert "1 passed" in output, output
    assert (code, len(found)) == (int(bool(left)), int(bool(left))), output
    assert re.fullmatch(left, "".join(found)), found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ports are found in /proc")
@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("test", "left"),
    [("clean", ""), ("port", r"port \d+"), ("daemon", "daemon thread waits")],
)
def test_what_ends_with_its_process_is_told(
    tmp_path: Path, words: tuple[str, ...], test: str, left: str
) -> None:
    code, output = session(tmp_path, *words, test=test, ci=True)
    assert code == 0, output
    assert re.fullmatch(left, "".join(re.findall("still open after the tests: (.*)", output)))


def test_elsewhere_it_is_only_told(tmp_path: Path) -> None:
    code, output = session(tmp_path, test="test_file", ci=False)
    assert code == 0
    assert "left by the tests: file forgotten-" in output


MAKERS = {"mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryDirectory"}


@pytest.mark.parametrize(
    "path",
    [*(ROOT / "aws_setup").rglob("*.py"), *(ROOT / "tests").rglob("*.py")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_temporary_name_says_whose_it_is(path: Path) -> None:
    """Else nobody can say who left it, and no later run can delete it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in MAKERS:
            assert "prefix" in {word.arg for word in node.keywords}, f"{path}:{node.lineno}"
