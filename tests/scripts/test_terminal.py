"""Questions on a real terminal: which VPC is meant where several have the name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_deployments import users_vpc
from tests.support.scripts import NO_SOFTWARE, prepare

SCRIPT = Path(__file__).resolve().parents[2] / "create_aws_infrastructure.py"

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")


def typed(folder: Path, answer: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a terminal on which a line was typed."""
    keyboard, terminal = os.openpty()
    os.write(keyboard, f"{answer}\n".encode())
    try:
        return subprocess.run(
            [sys.executable, str(SCRIPT), *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=terminal,
            timeout=120,
        )
    finally:
        os.close(terminal)
        os.close(keyboard)


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    off = dict.fromkeys(("create_eks_cluster", "create_ndb_cluster"), False)
    more: dict[str, Any] = {"create_vpc": False, "vpc_name": "mine", **off, **NO_SOFTWARE}
    return prepare(tmp_path / "work", **more)


def test_the_vpc_that_is_typed_is_used(cloud: RehearsalCloud, folder: Path) -> None:
    _, second = users_vpc(), users_vpc()
    ended = typed(folder, second, "--yes", "--json", "--only", "security group")
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
    ended = typed(folder, answer, "--yes", "--json", "--only", "security group")
    assert ended.returncode == 2, ended.stdout
    said = " ".join(problem["why"] for problem in json.loads(ended.stdout)["problems"])
    assert all(vpc in said for vpc in both)
    assert len(cloud.calls.writes()) == writes
