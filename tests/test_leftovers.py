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

def test_library():
    program = "import os, tempfile; os.write(tempfile.mkstemp()[0], b'-----BEGIN'); os.kill(0, 9)"
    subprocess.run([sys.executable, "-c", program], start_new_session=True)

def test_killed():
    first = "from aws_setup.engine import temporary_files; import os"
    then = "with temporary_files.temporary_folder(): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", f"{first}; exec({then!r})"])

def test_thread():
    threading.Thread(target=threading.main_thread().join, name="stays").start()

def test_port():
    global kept
    kept = socket.create_server(("127.0.0.1", 0))

def test_world():
    global world
    from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer
    world = OpenWhiskServer()

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


LEFT = (
    r"process \d+ sleep 600",
    r"file forgotten-\w+ with nothing",
    r"file tmp\w+ with b'-----BEGIN'",
    "thread stays, since test_leaves.py::test_thread",
    "thread waits, since test_leaves.py::test_daemon",
    r"port \d+",
    "world OpenWhiskServer",
)
"""What is told of the tests above that leave something, in any order."""

NOTHING_LEFT = "clean or killed or late"
"""The tests that leave nothing, or what ends by itself, or what a later run of a script deletes."""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes and ports are found in /proc"
)
@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("test", "left"),
    [(NOTHING_LEFT, ()), (f"not ({NOTHING_LEFT})", LEFT)],
    ids=["nothing", "everything"],
)
def test_what_a_session_leaves_fails_it_in_ci(
    tmp_path: Path, words: tuple[str, ...], test: str, left: tuple[str, ...]
) -> None:
    code, output = session(tmp_path, *words, test=test, ci=True)
    found = re.findall("left by the tests: (.*)", output)
    for pid in re.findall(r"process (\d+) sleep 600", output):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    assert f"{len(left) or 3} passed" in output, output
    assert code == int(bool(left)), output
    told = [[line for line in found if re.fullmatch(what, line)] for what in left]
    assert [len(lines) for lines in told] == [1] * len(left), output
    assert len(found) == len(left), output


def test_elsewhere_it_is_only_told(tmp_path: Path) -> None:
    code, output = session(tmp_path, test="test_file", ci=False)
    assert code == 0
    assert "left by the tests: file forgotten-" in output


PREFIXED = ("mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryDirectory")
KUBECONFIG = (
    "load_kube_config",
    "load_kube_config_from_dict",
    "new_client_from_config",
    "new_client_from_config_dict",
)
"""What writes the certificates of a kubeconfig to temporary files, until the process exits: a
killed one keeps them, and a fork (kubernetes 37, config/kube_config.py)."""

SAYING_WHOSE = dict.fromkeys(PREFIXED, "prefix") | dict.fromkeys(KUBECONFIG, "temp_file_path")
"""The argument by which a function's temporary names, or their folder's, say whose they are."""


def test_every_temporary_name_says_whose_it_is() -> None:
    """Else nobody can say who left it, and no later run can delete it."""
    parts = ("aws_setup", "benchmarks", "tests")
    paths = [path for part in parts for path in (ROOT / part).rglob("*.py")]
    assert len(paths) > 500
    assert [line for path in paths for line in _unnamed(path)] == []


def _unnamed(path: Path) -> list[str]:
    """Return the calls of a module that make temporary names which say nothing."""
    text = path.read_text(encoding="utf-8")
    if not any(name in text for name in SAYING_WHOSE):
        return []
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            needed = SAYING_WHOSE.get(ast.unparse(node.func).rpartition(".")[2])
            given = {word.arg for word in node.keywords}
            if needed is not None and needed not in given:
                found.append(f"{path}:{node.lineno}")
    return found
