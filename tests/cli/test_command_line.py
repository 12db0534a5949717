"""Mistakes at the command line, and the messages about them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aws_setup.cli.script import Script
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from configure_eks_cluster import SCRIPT as CONFIGURE_SCRIPT
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

ROOT = Path(__file__).resolve().parents[2]
CREATE, WHISK = ROOT / "create_aws_infrastructure.py", ROOT / "whisk_helper.py"


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def test_no_configuration_says_how_to_create_one(tmp_path: Path) -> None:
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


def test_an_unknown_verb(tmp_path: Path) -> None:
    ended = run(SCRIPT, tmp_path, "demolish")
    assert ended.exit_code == 2
    assert "demolish" in ended.stderr
    assert "Did you mean" not in ended.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("plann", "plan"),
        ("Destroy", "destroy"),
        ("delete", "destroy"),
        ("apply", "create"),
        ("allow_my_ip", "allow-my-ip"),
        ("doctor", "`python -m aws_setup doctor`"),
        ("configure", "`python configure_eks_cluster.py`"),
    ],
)
def test_a_mistyped_verb_is_named_with_the_one_that_is_meant(
    tmp_path: Path, typed: str, meant: str
) -> None:
    ended = run(SCRIPT, tmp_path, typed)
    assert ended.exit_code == 2
    assert f"Did you mean {meant}?" in " ".join(ended.stderr.split())
    document = json.loads(run(SCRIPT, tmp_path, typed, "--json").stdout)
    assert f"Did you mean {meant}?" in document["problems"][0]["what"]


@pytest.mark.parametrize(
    ("script", "typed", "meant"),
    [
        (CONFIGURE_SCRIPT, "create", "`python create_aws_infrastructure.py`"),
        (CONFIGURE_SCRIPT, "pause", "`python create_aws_infrastructure.py pause`"),
        (CONFIGURE_SCRIPT, "apply", "configure"),
    ],
)
def test_a_verb_of_another_command_is_answered_with_that_command(
    tmp_path: Path, script: Script, typed: str, meant: str
) -> None:
    assert f"Did you mean {meant}?" in " ".join(run(script, tmp_path, typed).stderr.split())


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
    ended = run(SCRIPT, folder, "--yes", "--profile", "missing")
    assert ended.exit_code == 2
    assert "missing" in ended.stderr


def test_another_account_than_the_configured_one(cloud: RehearsalCloud, folder: Path) -> None:
    with (folder / "config_aws.yaml").open("a", encoding="utf-8") as file:
        file.write('aws_account_id: "210987654321"\n')
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 2
    assert ended.document["result"] == "refused"
    assert "account" in ended.document["problems"][0]["what"]


def test_a_revoked_permission_is_named(cloud: RehearsalCloud, folder: Path) -> None:
    cloud.settings.deny.append(DeniedPermission(action="ec2:CreateNatGateway"))
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code in (1, 2)
    message = " ".join(problem["what"] + problem["why"] for problem in ended.document["problems"])
    assert "CreateNatGateway" in message
    cloud.settings.deny.clear()
    assert run(SCRIPT, folder, "--yes").exit_code == 0


def test_a_denied_read_is_not_absence(cloud: RehearsalCloud, folder: Path) -> None:
    cloud.settings.deny.append(DeniedPermission(action="ec2:DescribeVpcs"))
    ended = run(SCRIPT, folder, "plan", "--json")
    rows = {step["name"]: step["action"] for step in ended.document["steps"]}
    assert rows["vpc"] == "unknown"
    gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert gone.exit_code != 0
    assert "All resources of" not in gone.stdout


def test_json_is_one_document_also_on_failure(tmp_path: Path) -> None:
    ended = run(SCRIPT, tmp_path, "plan", "--json")
    assert ended.document["command"] == "plan"
    assert ended.document["result"] == "refused"
    assert ended.document["problems"][0]["hint"]


@pytest.mark.parametrize("words", [["--moon"], ["demolish"], ["--yaml"]])
def test_json_is_one_document_also_for_a_wrong_command_line(
    tmp_path: Path, words: list[str]
) -> None:
    for script in (CREATE, WHISK):
        ended = subprocess.run(
            [sys.executable, str(script), "--json", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 2, ended.stderr
        document = json.loads(ended.stdout)
        assert document["result"] == "refused"
        assert document["problems"][0]["what"]
        assert ended.stderr == ""


def test_the_debug_log_is_the_owners_and_names_no_account(
    cloud: RehearsalCloud, folder: Path
) -> None:
    log = folder / "receipts" / "lambda-fs.log"
    log.parent.mkdir(parents=True)
    log.write_text("from before\n")
    log.chmod(0o644)
    cloud.settings.deny.append(DeniedPermission(action="ec2:DescribeVpcs"))
    run(SCRIPT, folder, "plan")
    text = log.read_text()
    assert "ec2.DescribeVpcs 403 request" in text
    assert "not authorized" in text
    assert "123456789012" not in text
    assert log.stat().st_mode & 0o077 == 0
