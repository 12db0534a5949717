"""`python -m aws_setup doctor`: each thing that it checks is broken once, and named with a fix."""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner

from aws_setup import __version__
from aws_setup.cli import doctor, doctor_checks, installed
from aws_setup.cli import main as frame
from aws_setup.cli.doctor import main, run_groups
from aws_setup.cli.doctor_checks import Computer
from aws_setup.cli.main import Invocation, run_guarded
from aws_setup.cli.options import SharedOptions
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.verify.check import Check, CheckStatus
from tests.support.aws import client
from tests.support.scripts import Ended, prepare, write_config

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "python", "packages", "helm", "kubectl", "editor", "your address", "region", "credentials",
    "clock", "key pair", "quotas",
]  # fmt: skip
ACCOUNT = "123456789012"


@pytest.fixture
def computer(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Yield the folder of a user whose computer is ready."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("helm", "v3.19.0"), ("kubectl", "v1.36")):
        (programs / name).write_text(f"#!/bin/sh\necho {text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("AWS_SETUP_CHECKIP", f"{cloud.url}/_rehearsal/checkip")
    cloud.settings.operator_address = "52.94.76.7"
    folder = prepare(tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    yield folder


def run(*words: str) -> Ended:
    """Run the command in process; no output has an account id or a secret."""
    ended = CliRunner().invoke(main, ["doctor", *words])
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    for secret in (ACCOUNT, "not-a-secret", "AKIA"):
        assert secret not in ended.output
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def checks(ended: Ended) -> dict[str, dict[str, Any]]:
    """Return the checks of a JSON document by name."""
    return {check["name"]: check for check in ended.document["checks"]}


def broken(ended: Ended) -> dict[str, dict[str, Any]]:
    """Return the failed checks; each has a cause and a fix."""
    assert ended.exit_code == 1
    found = {name: item for name, item in checks(ended).items() if item["result"] == "fail"}
    assert all(item["cause"] and item["fix"] for item in found.values())
    return found


def test_a_ready_computer_passes_with_and_without_a_configuration(
    cloud: RehearsalCloud, computer: Path
) -> None:
    before = len(cloud.calls.writes())
    for words in ((), ("-y", str(computer / "config_aws.yaml"))):
        ended = run(*words)
        assert ended.exit_code == 0, ended
        assert "This computer is ready." in ended.stdout
        shown = re.findall(r"^(?:pass|skipped) +(\S.*?)  ", ended.stdout, re.MULTILINE)
        assert shown == NAMES
    assert len(cloud.calls.writes()) == before
    document = run("--json", "-y", str(computer / "config_aws.yaml")).document
    assert [check["name"] for check in document["checks"]] == NAMES
    assert document["result"] == "ok"


def test_it_is_said_whose_credentials_are_used(
    computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = "(user, the keys of AWS_ACCESS_KEY_ID)"
    assert keys in run().stdout
    text = "[profile mine]\naws_access_key_id = AKIAREHEARSAL0000000\naws_secret_access_key = x\n"
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert keys in run().stdout
    assert "(user, profile mine)" in run("--profile", "mine").stdout
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "(user, profile mine)" in run().stdout


def test_it_is_said_if_only_the_creator_will_have_access(
    cloud: RehearsalCloud, computer: Path
) -> None:
    assert "they and cluster_admins" not in run().stdout
    cloud.settings.principal = f"arn:aws:iam::{ACCOUNT}:root"
    assert "(root, the keys of AWS_ACCESS_KEY_ID); a cluster that they create only" in run().stdout
    cloud.settings.principal = f"arn:aws:sts::{ACCOUNT}:assumed-role/analyst/session"
    found = broken(run("--json"))["credentials"]
    assert "the whole ARN of your role analyst is not known" in found["cause"]
    assert "cluster_admins" in found["fix"]
    off = ("-y", str(computer / "config_aws.yaml"), "--json")
    write_config(computer, create_eks_cluster=False)
    assert checks(run(*off))["credentials"]["result"] == "pass"


def test_an_old_or_incomplete_python_is_named(
    computer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "OLDEST_PYTHON", (9, 9))
    required = tmp_path / "requirements.txt"
    required.write_text("# why\nboto3>=99.1,<100  # new\nno-such-package>=1  # x\nclick>=8\n")
    monkeypatch.setattr(
        doctor_checks, "package_problems", lambda: installed.package_problems(required)
    )
    found = broken(run("--json"))
    assert set(found) == {"python", "packages"}
    assert "9.9 or newer" in found["python"]["cause"]
    assert "boto3 is 1." in found["packages"]["cause"]
    assert "no-such-package is not installed" in found["packages"]["cause"]
    assert "click" not in found["packages"]["cause"]


COMMANDS = {
    "doctor": ("-m", "aws_setup", "doctor"),
    "create": ("create_aws_infrastructure.py",),
    "configure": ("configure_eks_cluster.py", "plan"),
    "whisk": ("whisk_helper.py", "--list"),
}
"""Command -> how Python is called."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_without_the_packages_the_command_still_says_so(
    command: str, words: tuple[str, ...]
) -> None:
    """As in a new terminal, in which the virtual environment is not active."""
    done = subprocess.run(
        [sys.executable, "-S", *COMMANDS[command], *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    code, end = (1, "failed") if command == "doctor" else (2, "refused")
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if words:
        document = json.loads(done.stdout)
        assert (document["command"], document["result"]) == (command, end)
        [problem] = document["problems"]
        text = f"{problem['why']} {problem['hint']}"
    else:
        text = done.stderr
    assert "boto3" in text
    assert "requirements.lock" in text
    assert "source .venv/bin/activate" in text


def test_a_package_that_is_needed_later_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(frame, "missing_packages", lambda: ["boto3"])

    def work(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'boto3'")

    call = Invocation(
        "create", SharedOptions(), tmp_path, config_optional=True, without_config=work
    )
    assert run_guarded(call, lambda *_: None) == 2
    assert "boto3: not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "cause"), [("", "no helm on the PATH"), ("v3.7.2", "3.8 or newer is needed")]
)
def test_helm_is_missing_or_too_old(
    computer: Path, tmp_path: Path, version: str, cause: str
) -> None:
    helm = tmp_path / "bin" / "helm"
    helm.write_text(f"#!/bin/sh\necho {version}\n")
    if not version:
        helm.unlink()
    found = broken(run("--json"))
    assert list(found) == ["helm"]
    assert cause in found["helm"]["cause"]


def test_kubectl_is_only_recommended(computer: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "kubectl").unlink()
    ended = run("--json")
    assert ended.exit_code == 0
    assert checks(ended)["kubectl"]["result"] == "skipped"


def test_missing_credentials_and_what_needs_them(
    computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ended = run("--json")
    assert list(broken(ended)) == ["credentials"]
    assert checks(ended)["quotas"]["result"] == "skipped"
    other = run("--json", "--profile", "nobody")
    assert "nobody" in broken(other)["region"]["cause"]


@pytest.mark.parametrize("region", ["", "mars-north-1"])
def test_no_region_or_an_unknown_one(
    computer: Path, monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.delenv("AWS_REGION")
    words = ("--region", region) if region else ()
    found = broken(run("--json", *words))
    assert list(found) == ["region"]
    assert "aws_region" in found["region"]["fix"]


@pytest.mark.parametrize("minutes", [20, -20])
def test_a_wrong_clock(computer: Path, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    def date(*_: object) -> str:
        return format_datetime(datetime.now(UTC) - timedelta(minutes=minutes), usegmt=True)

    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", date)
    found = broken(run("--json"))
    assert list(found) == ["clock"]
    assert f"20 minutes {'ahead of' if minutes > 0 else 'behind'}" in found["clock"]["cause"]


def test_the_key_pair_is_missing_or_another(cloud: RehearsalCloud, computer: Path) -> None:
    config = ("-y", str(computer / "config_aws.yaml"), "--json")
    (computer / "key.pem").chmod(0o644)
    assert "chmod 600" in broken(run(*config))["key pair"]["fix"]
    write_config(computer, ssh_keypair_name="another")
    assert "no key pair another" in broken(run(*config))["key pair"]["cause"]
    client("ec2").delete_key_pair(KeyName="researcher")
    found = broken(run("--json"))
    assert list(found) == ["key pair"]
    assert "create-key-pair" in found["key pair"]["fix"]


def test_a_quota_that_is_too_small(cloud: RehearsalCloud, computer: Path) -> None:
    for _ in range(4):
        client("ec2").create_vpc(CidrBlock="10.9.0.0/16")
    found = broken(run("--json"))
    assert list(found) == ["quotas"]
    assert "VPCs" in found["quotas"]["cause"]
    assert "request-service-quota-increase" in found["quotas"]["fix"]


def test_a_denied_call_is_told_without_the_account(cloud: RehearsalCloud, computer: Path) -> None:
    cloud.settings.deny.append(DeniedPermission(action="ec2:DescribeKeyPairs"))
    found = broken(run("--json"))
    assert list(found) == ["key pair"]
    assert "ec2:DescribeKeyPairs" in found["key pair"]["cause"] + found["key pair"]["fix"]


def test_the_operators_address(
    cloud: RehearsalCloud, computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ("-y", str(computer / "config_aws.yaml"), "--json")
    cloud.settings.operator_address = "52.94.76.8"
    found = broken(run(*config))
    assert list(found) == ["your address"]
    assert "52.94.76.8" in found["your address"]["cause"]
    cloud.settings.operator_address = "10.1.2.3"
    assert "not a public address" in broken(run("--json"))["your address"]["cause"]
    monkeypatch.setenv("AWS_SETUP_CHECKIP", "http://127.0.0.1:9/")
    cause = broken(run("--json"))["your address"]["cause"]
    assert "did not answer" in cause
    assert "urlopen" not in cause
    assert "Errno" not in cause
    assert run(*config).exit_code == 0, "a configured address needs no service"


def test_the_schema_of_a_copied_configuration(computer: Path) -> None:
    config = computer / "config_aws.yaml"
    text = config.read_text()
    config.write_text(f"# yaml-language-server: $schema=docs/config.schema.json\n{text}")
    found = broken(run("-y", str(config), "--json"))
    assert list(found) == ["editor"]
    line = found["editor"]["fix"].split("`")[1]
    config.write_text(f"{line}\n{text}")
    assert run("-y", str(config)).exit_code == 0


def test_the_line_for_the_editor_names_the_schema_from_any_folder(
    computer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name ends at its first space for the editor, so that a folder with one is escaped."""
    clone = tmp_path / "λFS on AWS #1"
    (clone / "docs").mkdir(parents=True)
    schema = clone / "docs" / "config.schema.json"
    schema.write_text("{}")
    monkeypatch.setattr(doctor_checks, "SCHEMA", schema)
    text = (computer / "config_aws.yaml").read_text()
    for folder in (computer, clone, tmp_path / "elsewhere here"):
        folder.mkdir(exist_ok=True)
        config = folder / "config_aws.yaml"
        config.write_text(f"# yaml-language-server: $schema={schema}\n{text}")
        assert run("-y", str(config), "--json").document["result"] == "failed", "cut at the space"
        line = broken(run("-y", str(config), "--json"))["editor"]["fix"].split("`")[1]
        assert re.fullmatch(r"# yaml-language-server: \$schema=file:///\S+", line)
        config.write_text(f"{line}\n{text}")
        assert checks(run("-y", str(config), "--json"))["editor"]["result"] == "pass"
    in_clone = clone / "config_aws.yaml"
    in_clone.write_text(f"# yaml-language-server: $schema=docs/config.schema.json\n{text}")
    assert checks(run("-y", str(in_clone), "--json"))["editor"]["result"] == "pass"


@pytest.mark.parametrize(
    "words", [(), ("diagnose",), ("doctor", "--moon"), ("doctor", "-y", "none.yaml")]
)
def test_bad_input_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aws_setup", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "rror: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_bad_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    path.write_text("deployment_nam: x\n")
    ended = CliRunner().invoke(main, ["doctor", "-y", str(path), "--json"])
    assert ended.exit_code == 2
    assert json.loads(ended.stdout)["result"] == "refused"


def test_the_version() -> None:
    assert __version__ in CliRunner().invoke(main, ["--version"]).stdout


def test_a_check_that_does_not_end_is_named_and_the_others_are_told() -> None:
    never = Event()

    def stuck(_: Computer) -> str:
        never.wait(240)
        return "late"

    def raises(_: Computer) -> str:
        raise RuntimeError(f"account {ACCOUNT} said no")

    groups: tuple[tuple[Check[Computer], ...], ...] = (
        (Check("quick", lambda _: "yes"), Check("odd", raises)),
        (Check("stuck", stuck), Check("after", lambda _: "yes")),
    )
    outcomes = run_groups(groups, Computer(SystemClock()), seconds=0.2)
    never.set()
    assert [(item.name, item.status) for item in outcomes] == [
        ("quick", CheckStatus.PASS),
        ("odd", CheckStatus.FAIL),
        ("stuck", CheckStatus.FAIL),
        ("after", CheckStatus.SKIPPED),
    ]
    assert ACCOUNT not in outcomes[1].cause


def test_a_network_that_never_answers_ends_the_process_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        program = (
            "from aws_setup.cli import doctor\ndoctor.SECONDS = 3\n"
            "import sys; sys.argv = ['x', 'doctor', '--json']\n"
            "from aws_setup.__main__ import main\nmain()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"AWS_ENDPOINT_URL": url, "AWS_SETUP_CHECKIP": url},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    found = {check["name"]: check["result"] for check in json.loads(done.stdout)["checks"]}
    assert "fail" in {found["region"], found["credentials"]}
    assert found["quotas"] == "skipped"


MFA_PROFILE = """
[profile researcher]
role_arn = arn:aws:iam::123456789012:role/researcher
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile base]
aws_access_key_id = AKIAREHEARSAL0000000
aws_secret_access_key = not-a-secret
"""


@pytest.fixture
def person(computer: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the threads that asked a person whose profile needs an MFA code; it takes a while."""
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(MFA_PROFILE, encoding="utf-8")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    asked: list[str] = []
    began = threading.Event()

    def slowly(_: str) -> str:
        asked.append(threading.current_thread().name)
        began.wait(1.5)  # nobody sets it: longer than the checks' time in these tests
        return "123456"

    monkeypatch.setattr(doctor, "SECONDS", 1.0)
    monkeypatch.setattr(getpass, "getpass", slowly)
    monkeypatch.setattr(sys, "stdin", Terminal())
    return asked


class Terminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_the_time_in_which_a_person_finds_an_mfa_code_is_not_the_checks(
    person: list[str],
) -> None:
    computer = Computer(SystemClock(), profile="researcher", region="us-east-1")
    outcomes = doctor.checked(computer)
    found = {outcome.name: outcome for outcome in outcomes}
    assert found["credentials"].status is CheckStatus.PASS, found["credentials"].cause
    assert person == ["MainThread"]


@pytest.mark.usefixtures("person")
def test_a_refused_mfa_code_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda _: "none")
    computer = Computer(SystemClock(), profile="researcher", region="us-east-1")
    found = {outcome.name: outcome for outcome in doctor.checked(computer)}
    assert found["credentials"].status is CheckStatus.FAIL
    assert "no code of six digits was typed" in found["credentials"].cause
    assert found["quotas"].status is CheckStatus.SKIPPED


@pytest.mark.usefixtures("computer")
def test_credentials_that_ask_nobody_are_loaded_within_the_time() -> None:
    assert Computer(SystemClock(), region="us-east-1").refused_login is None
