"""A real terminal: the question which VPC is meant, and tables in 80 columns."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import load_config
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT as TABLE
from tests.support.script_runs import run_script
from tests.support.scripts import NO_SOFTWARE, prepare
from tests.support.users_vpc import users_vpc

SCRIPT = Path(__file__).resolve().parents[2] / "create_aws_infrastructure.py"

pytestmark = pytest.mark.skipif(
    not hasattr(os, "openpty"), reason="no pseudo-terminals on this system"
)


def run_with_input(folder: Path, answer: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a terminal as stdin, on which a line was typed."""
    keyboard, terminal = os.openpty()
    os.write(keyboard, f"{answer}\n".encode())
    try:
        return run_script(
            SCRIPT.name, *words, folder=folder, environment=os.environ, stdin=terminal
        )
    finally:
        os.close(terminal)
        os.close(keyboard)


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    off = dict.fromkeys(("create_eks_cluster", "create_ndb_cluster"), False)
    more: dict[str, Any] = {"create_vpc": False, "vpc_name": "mine", **off, **NO_SOFTWARE}
    return prepare(tmp_path / "work", **more)


def test_the_entered_vpc_is_used(cloud: RehearsalCloud, folder: Path) -> None:
    _, second = users_vpc(), users_vpc()
    ended = run_with_input(folder, second, "--yes", "--json", "--only", "security group")
    assert ended.returncode == 0, ended.stderr
    asked = " ".join(ended.stderr.split())
    assert re.search(r"Several VPCs are named mine: vpc-\w+ \(10\.0\.0\.0/16\), vpc-", asked)
    (group,) = [step for step in json.loads(ended.stdout)["steps"] if "group" in step["name"]]
    held = cloud.call("ec2", "DescribeSecurityGroups", GroupIds=[group["id"]])
    assert held["SecurityGroups"][0]["VpcId"] == second


@pytest.mark.parametrize("answer", ["", "vpc-0123456789abcdef0", "the first one"])
def test_another_answer_refuses_and_lists_them(
    cloud: RehearsalCloud, folder: Path, answer: str
) -> None:
    both = {users_vpc(), users_vpc()}
    writes = len(cloud.calls.writes())
    ended = run_with_input(folder, answer, "--yes", "--json", "--only", "security group")
    assert ended.returncode == 2, ended.stdout
    causes = " ".join(problem["why"] for problem in json.loads(ended.stdout)["problems"])
    assert all(vpc in causes for vpc in both)
    assert len(cloud.calls.writes()) == writes


def on_a_terminal(folder: Path, *words: str, columns: int) -> str:
    """Run the script with stdout and stderr on a terminal and return what it printed there."""
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *words],
        cwd=folder,
        env=environment | {"COLUMNS": str(columns), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    printed = bytearray()
    with contextlib.suppress(
        OSError
    ):  # Linux reports a closed terminal as an error, not as its end
        while chunk := os.read(screen, 65536):
            printed += chunk
    os.close(screen)
    assert process.wait(120) == 0, printed.decode()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed.decode())


def step_names(folder: Path) -> list[str]:
    config = load_config(folder / "config_aws.yaml", overrides={}, environ={})
    return [step.name for step in TABLE.story().table(config)]


def test_names_are_not_cut_in_80_columns(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work")
    names = step_names(folder)
    plan = on_a_terminal(folder, "plan", columns=80)
    assert all(re.search(rf"create +{re.escape(name)}[ \r\n]", plan) for name in names), plan
    created = on_a_terminal(folder, "create", "--yes", columns=80)
    live = created.split("Deployment lambda-fs, account")[1]
    assert all(f"{name} " in live for name in names), live
    status = on_a_terminal(folder, "status", columns=80)
    rows = [line for line in status.splitlines() if line.startswith("= exists")]
    assert len(rows) == len(names), status
    for line, name in zip(rows, names, strict=True):
        assert f"{line.removeprefix('= exists').strip()} ".startswith(f"{name} "), status


def test_in_a_pipe_no_row_is_folded(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work")
    assert run_with_input(folder, "", "create", "--yes").returncode == 0
    ended = run_with_input(folder, "", "status")
    rows = [
        line
        for line in ended.stdout.splitlines()
        if not re.search(r"\$|^\(|so far|^AWS stops", line)
    ]
    assert len(rows) == len(step_names(folder)), ended.stdout
    assert all(row.startswith("= exists") for row in rows), rows
