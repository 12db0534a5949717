"""What a tired person does at the command line, and what they read."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.server import RehearsalCloud
from aws_setup.rehearsal.settings import Deny
from create_aws_infrastructure import SCRIPT
from tests.cloud import cloud, settings
from tests.scripts import prepare, run

__all__ = ["cloud", "settings"]


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def test_no_configuration_says_how_to_make_one(tmp_path: Path) -> None:
    ended = run(SCRIPT, tmp_path, "--yes")
    assert ended.exit_code == 2
    assert "copy sample_config_aws.yaml" in ended.stderr


def test_a_wrong_key_is_named_with_its_neighbour(cloud: RehearsalCloud, folder: Path) -> None:
    with (folder / "config_aws.yaml").open("a", encoding="utf-8") as file:
        file.write("num_ndb_datanode: 2\n")
    ended = run(SCRIPT, folder, "--yes")
    assert ended.exit_code == 2
    assert "num_ndb_datanodes" in ended.stderr
    assert not cloud.calls.writes()[1:], "nothing but the key pair was ever written"


def test_a_verb_nobody_knows(tmp_path: Path) -> None:
    ended = run(SCRIPT, tmp_path, "demolish")
    assert ended.exit_code == 2
    assert "demolish" in ended.stderr


def test_no_credentials(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ended = run(SCRIPT, folder, "--yes")
    assert ended.exit_code == 2
    assert "credentials" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_profile_that_does_not_exist(cloud: RehearsalCloud, folder: Path) -> None:
    ended = run(SCRIPT, folder, "--yes", "--profile", "nobody")
    assert ended.exit_code == 2
    assert "nobody" in ended.stderr


def test_another_account_than_the_configured_one(cloud: RehearsalCloud, folder: Path) -> None:
    with (folder / "config_aws.yaml").open("a", encoding="utf-8") as file:
        file.write('aws_account_id: "210987654321"\n')
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 2
    assert ended.document["result"] == "refused"
    assert "account" in ended.document["problems"][0]["what"]


def test_a_permission_taken_away_is_named(cloud: RehearsalCloud, folder: Path) -> None:
    cloud.settings.deny.append(Deny(action="ec2:CreateNatGateway"))
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code in (1, 2)
    said = " ".join(problem["what"] + problem["why"] for problem in ended.document["problems"])
    assert "CreateNatGateway" in said
    cloud.settings.deny.clear()
    assert run(SCRIPT, folder, "--yes").exit_code == 0


def test_a_denied_look_never_reads_as_absent(cloud: RehearsalCloud, folder: Path) -> None:
    cloud.settings.deny.append(Deny(action="ec2:DescribeVpcs"))
    ended = run(SCRIPT, folder, "plan", "--json")
    rows = {step["name"]: step["action"] for step in ended.document["steps"]}
    assert rows["vpc"] == "unknown"
    gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert gone.exit_code != 0
    assert "Nothing of" not in gone.stdout


def test_json_is_one_document_also_on_failure(tmp_path: Path) -> None:
    ended = run(SCRIPT, tmp_path, "plan", "--json")
    assert ended.document["command"] == "plan"
    assert ended.document["result"] == "refused"
    assert ended.document["problems"][0]["hint"]
