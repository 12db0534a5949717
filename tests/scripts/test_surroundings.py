"""Unusual environments: closed or limited streams, an invalid folder, a proxy, a typo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aws_setup.config import load_config
from aws_setup.engine.plan import only
from aws_setup.errors import Refused
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.environment import script_environment
from create_aws_infrastructure import SCRIPT as TABLE
from tests.support.scripts import prepare, write_config

SCRIPT = Path(__file__).resolve().parents[2] / "create_aws_infrastructure.py"


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def started(
    folder: Path, *words: str, closed: str = "", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the script in a separate process; `closed` is a redirection of the shell."""
    line = f'exec "$@" {closed}'
    return subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, str(SCRIPT), *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_lambda_gets_the_plan_and_json(folder: Path, encoding: str) -> None:
    ended = started(folder, "plan", PYTHONIOENCODING=encoding)
    assert ended.returncode == 0, ended.stderr
    assert b"lambda_fs_clients" in ended.stdout
    document = started(folder, "plan", "--json", PYTHONIOENCODING=encoding)
    assert json.loads(document.stdout.decode("ascii"))["result"] == "ok"


def test_without_a_stdin_there_is_no_prompt(folder: Path) -> None:
    ended = started(folder, "create", closed="<&-")
    assert ended.returncode == 2
    assert b"cannot ask for confirmation" in ended.stderr


def test_an_invalid_folder_is_named_with_its_key(folder: Path) -> None:
    (folder / "file").write_text("")
    write_config(folder, infrastructure_json_path=str(folder / "file" / "receipts"))
    ended = started(folder, "plan")
    assert ended.returncode == 2
    assert b"infrastructure_json_path" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_typo_in_only_is_answered_with_the_closest_name(folder: Path) -> None:
    config = load_config(folder / "config_aws.yaml", overrides={}, environ={})
    with pytest.raises(Refused) as refused:
        only(TABLE.story().table(config), ["nat gatway"])
    assert refused.value.problems[0].hint == 'use --only "nat gateway"'


def test_the_scripts_use_no_proxy_for_the_rehearsal() -> None:
    environment = script_environment("http://127.0.0.1:1", 1)
    assert "127.0.0.1" in environment["NO_PROXY"]
    assert environment["no_proxy"] == environment["NO_PROXY"]
