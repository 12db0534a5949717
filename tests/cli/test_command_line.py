"""Mistakes at the command line, and the messages about them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from aws_setup.cli.app import script_command
from aws_setup.cli.doctor import main as doctor
from aws_setup.cli.script import Script
from aws_setup.cli.usage import OPTIONS_OF
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from configure_eks_cluster import SCRIPT as CONFIGURE_SCRIPT
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run
from whisk_helper import main as whisk

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


def fix_of(script: Script | click.Command, folder: Path, *words: str) -> str:
    """Return the fix of a refused command line, which the terminal and --json say alike."""
    command = script_command(script, folder=folder) if isinstance(script, Script) else script
    ended = CliRunner().invoke(command, words)
    assert ended.exit_code == 2
    said = " ".join(ended.stderr.split())
    ended = CliRunner().invoke(command, ["--json", *words])
    (problem,) = json.loads(ended.stdout)["problems"]
    what = ": ".join(filter(None, (problem["what"], problem["why"])))
    assert said == f"error: {what} Fix: {problem['hint']}"
    return str(problem["hint"])


def test_an_unknown_verb(tmp_path: Path) -> None:
    ended = run(SCRIPT, tmp_path, "demolish")
    assert ended.exit_code == 2
    assert "demolish" in ended.stderr
    assert "  Fix: see python create_aws_infrastructure.py --help" in ended.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("plann", "write plan"),
        ("Destroy", "write destroy"),
        ("delete", "write destroy"),
        ("apply", "write create"),
        ("allow_my_ip", "write allow-my-ip"),
        ("doctor", "run python -m aws_setup doctor"),
        ("configure", "run python configure_eks_cluster.py"),
        ("help", "write --help"),
        ("\N{EN DASH}yes", "write --yes"),
        ("--create", "write create, without hyphens"),
        ("--delete", "write destroy, without hyphens"),
        ("--reformt", "write --reformat"),
        ("--prune", "leave it out: it is an option of whisk_helper.py"),
        ("--configure", "run python configure_eks_cluster.py"),
        ("--yaml", "write --yaml FILE: Configuration file"),
        ("--deep", "leave --deep out, or change the verb"),
    ],
)
def test_a_mistake_is_answered_with_what_is_meant(tmp_path: Path, typed: str, meant: str) -> None:
    assert fix_of(SCRIPT, tmp_path, typed) == meant


@pytest.mark.parametrize(
    ("script", "typed", "meant"),
    [
        (CONFIGURE_SCRIPT, "create", "run python create_aws_infrastructure.py"),
        (CONFIGURE_SCRIPT, "pause", "run python create_aws_infrastructure.py pause"),
        (CONFIGURE_SCRIPT, "apply", "write configure"),
        (whisk, "delete", "write --delete"),
        (whisk, "creat", "write --create"),
        (whisk, "status", "write --list"),
        (whisk, "--destroy", "write --delete"),
        (whisk, "pause", "run python create_aws_infrastructure.py pause"),
        (whisk, "--jobs=0", "write --jobs N: Uploads at a time (4)"),
        (doctor, "doctr", "write doctor"),
    ],
)
def test_a_mistake_is_answered_with_the_command_that_is_meant(
    tmp_path: Path, script: Script | click.Command, typed: str, meant: str
) -> None:
    assert fix_of(script, tmp_path, typed) == meant


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--keep"),
        ("destroy", "--no-wait"),
        ("status", "--reformat"),
        ("create", "--quick"),
        ("plan", "--images"),
        ("resume", "--deep"),
        ("status", "--diff"),
        ("plan", "6h"),
    ],
)
def test_what_the_verb_would_ignore_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    assert fix_of(SCRIPT, tmp_path, *words) in {
        "remove it",
        f"leave {words[1]} out, or change the verb",
    }


def test_the_options_of_each_script_are_known_to_the_others(tmp_path: Path) -> None:
    """What one script alone has is answered by the others with that script's name."""
    commands = [script_command(s, folder=tmp_path) for s in (SCRIPT, CONFIGURE_SCRIPT)]
    of = {
        str(command.name): {name for p in command.params for name in p.opts if name[0] == "-"}
        for command in (*commands, whisk)
    }
    for name, options in of.items():
        others = set().union(*(o for other, o in of.items() if other != name))
        assert OPTIONS_OF[name] == options - others


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"ssh_key_path": "none.pem", "configure_clients": True}, "the private key"),
        ({"create_vpc": False, "vpc_name": "mine"}, "the VPC mine does not exist in us-east-1"),
    ],
)
def test_what_a_step_and_a_check_find_is_said_once(
    cloud: RehearsalCloud, tmp_path: Path, keys: dict[str, Any], what: str
) -> None:
    """A VPC that does not exist was six errors: its own twice, and one for each subnet."""
    folder = prepare(tmp_path / "work", **keys)
    ended = run(SCRIPT, folder, "plan", "--json")
    assert ended.exit_code == 2
    (problem,) = ended.document["problems"]
    assert problem["what"].startswith(what)


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
