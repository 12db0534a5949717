"""What `status` says of the run lock, and what a refused run of each script says, for any clock."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import configure_eks_cluster
import create_aws_infrastructure
import whisk_helper
from aws_setup.cli.app import script_command
from aws_setup.cli.script import Script
from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from tests.support.aws import client
from tests.support.scripts import prepare, run

NAME = "/lambda-fs/lambda-fs/lock/7"
SINCE = "2026-11-27 10:12 UTC"
WHISK = ("--create", "-n", "1", "--yes", "--apihost", "http://127.0.0.1:9", "--auth", "a:b")
HOLDER = f"ada@far has run create since {SINCE}"


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    return prepare(tmp_path / "work", create_eks_cluster=False, create_ndb_cluster=False)


def hold(cloud: RehearsalCloud, *, age: float = 0.0, state: str = "held") -> None:
    """Create the lock of a run of another computer, last renewed `age` seconds ago."""
    text = json.dumps(
        {
            "state": state,
            "owner": "ada@far",
            "verb": "create",
            "since": SINCE,
            "run": "0123456789abcdef",
            "computer": "far",
            "pid": 7,
            "expires_seconds": 180,
        }
    )
    client("ssm").put_parameter(Name=NAME, Value=text, Type="String", Overwrite=True)
    cloud.store_of(Parameters)["us-east-1", NAME].modified -= timedelta(seconds=age)


def status(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """Return what status says of the lock: its JSON, and its line, '' where there is none."""
    document = run(create_aws_infrastructure.SCRIPT, folder, "status", "--json").document
    printed = run(create_aws_infrastructure.SCRIPT, folder, "status").stdout
    lines = [line for line in printed.splitlines() if "Run lock:" in line]
    return document["lock"], " ".join(lines)


def test_status_shows_a_live_lock_elsewhere_and_when_it_expires(
    cloud: RehearsalCloud, folder: Path
) -> None:
    hold(cloud, age=60)
    found, line = status(folder)
    assert found is not None
    ages = found.pop("renewed_seconds_ago"), found.pop("expires_in_seconds")
    assert sum(ages) in (179, 180, 181), "each of both is rounded"
    assert ages[0] >= 59
    assert found == {
        "owner": "ada@far",
        "host": "far",
        "verb": "create",
        "since": SINCE,
        "run": "0123456789abcdef",
        "state": "running",
    }
    assert re.search(rf"{HOLDER}; its lock was renewed .* ago; it is running; .* expires in ", line)


def test_status_shows_an_expired_lock(cloud: RehearsalCloud, folder: Path) -> None:
    hold(cloud, age=400)
    found, line = status(folder)
    assert found is not None
    assert (found["state"], found["expires_in_seconds"]) == ("expired", 0)
    assert HOLDER in line
    assert line.endswith("it has not renewed the lock: the next run takes its place.")


def test_status_shows_no_lock_that_is_free(cloud: RehearsalCloud, folder: Path) -> None:
    assert status(folder) == (None, "")
    hold(cloud, state="free")
    assert status(folder) == (None, "")


def test_status_says_that_it_may_not_read_the_lock(cloud: RehearsalCloud, folder: Path) -> None:
    hold(cloud)
    cloud.settings.deny.append(DeniedPermission(action="ssm:GetParametersByPath"))
    found, line = status(folder)
    assert found == {"state": "unknown"}
    assert "it cannot be read" in line
    assert "ssm:GetParametersByPath" in line


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (create_aws_infrastructure.SCRIPT, ("create", "--yes")),
        (configure_eks_cluster.SCRIPT, ("--yes",)),
        (None, WHISK),
    ],
    ids=["create", "configure", "whisk"],
)
def test_each_script_says_whose_lock_refuses_it(
    cloud: RehearsalCloud, folder: Path, script: Script | None, words: tuple[str, ...]
) -> None:
    hold(cloud, age=5)
    before = len(cloud.calls.writes())
    config = str(folder / "config_aws.yaml")
    command = script_command(script, folder=folder) if script else whisk_helper.main
    ended = CliRunner().invoke(command, [*words, "--json", "-y", config])
    assert ended.exit_code == 2, ended.output
    (problem,) = json.loads(ended.stdout)["problems"]
    assert problem["what"] == "another run is changing lambda-fs"
    assert HOLDER in problem["why"]
    assert "--break-lock" in problem["hint"]
    assert len(cloud.calls.writes()) == before
