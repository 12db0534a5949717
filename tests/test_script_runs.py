"""The runs of scripts that tests start: what a process has of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.script_runs import run_script

SCRIPT = "create_aws_infrastructure.py"


def test_a_run_has_its_own_arguments_environment_folder_streams_and_exit_code(
    tmp_path: Path,
) -> None:
    environment = dict(os.environ) | {"ONLY": "here"}
    own = (
        "import atexit, os, sys, threading, time\n"
        "print(sys.stdin.read(), os.environ['ONLY'], os.getcwd())\n"
        "sys.stderr.write(f'{sorted(os.environ)}')\n"
        "atexit.register(print, 'last')\n"
        "threading.Thread(target=lambda: time.sleep(0.1) or print('waited for')).start()\n"
    )
    (tmp_path / "typed").write_text("typed")
    with (tmp_path / "typed").open() as typed:
        run = run_script(
            SCRIPT, "--help", folder=tmp_path, environment=environment, stdin=typed, first=own
        )
    assert run.returncode == 0
    lines = run.stdout.splitlines()
    assert lines[0] == f"typed here {tmp_path}"
    assert "Usage" in lines[1] + lines[2]
    assert lines[-2:] == ["waited for", "last"]
    assert run.stderr == str(sorted(environment))
    assert "ONLY" not in os.environ

    wrong = run_script(SCRIPT, "--wrong", folder=tmp_path, environment=environment)
    assert wrong.returncode == 2
    assert "--wrong" in wrong.stderr


@pytest.mark.parametrize(
    ("first", "code", "printed"),
    [
        ("raise SystemExit('why')", 1, "why\n"),
        ("raise SystemExit(7)", 7, ""),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_a_run_ends_as_a_program_ends(tmp_path: Path, first: str, code: int, printed: str) -> None:
    run = run_script(SCRIPT, folder=tmp_path, environment=os.environ, first=first)
    assert (run.returncode, run.stderr) == (code, printed)
