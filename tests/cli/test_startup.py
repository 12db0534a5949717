"""What commands import: --help and a refused configuration load no library without use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("create_aws_infrastructure.py", "configure_eks_cluster.py", "whisk_helper.py")

SLOW = {
    "boto3", "botocore", "cryptography", "jinja2", "kubernetes", "paramiko", "pydantic", "requests",
    "rich", "unittest", "urllib3", "yaml",
}  # fmt: skip
"""Packages that take more than 20 ms to import."""

FOR_A_REFUSAL = {"pydantic", "rich", "yaml"}
"""What reads a configuration and shows its errors."""

LISTING = """\
import atexit, runpy, sys
def packages():
    return sorted({name.split(".")[0] for name in sys.modules})
atexit.register(lambda: print(*packages(), file=sys.stderr))
script, *arguments = sys.argv[1:]
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
"""


def imported(folder: Path, script: str, *arguments: str) -> tuple[int, set[str]]:
    """Run a script; return its exit code and the packages that it imported."""
    command = [sys.executable, "-c", LISTING, str(ROOT / script), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, set(ended.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("arguments", [("--help",), ("--no-such-option",)])
def test_help_and_a_usage_error_import_click_alone(
    tmp_path: Path, script: str, arguments: tuple[str, ...]
) -> None:
    code, packages = imported(tmp_path, script, *arguments)
    assert code == (0 if arguments == ("--help",) else 2)
    assert "click" in packages
    assert not packages & SLOW


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("text", ["deployment_nam: x\n", "[1, 2\n", None])
def test_a_refused_configuration_imports_no_client(
    tmp_path: Path, script: str, text: str | None
) -> None:
    path = tmp_path / "config_aws.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    verb = ("--create", "-n", "1") if script == "whisk_helper.py" else ()
    code, packages = imported(tmp_path, script, *verb, "-y", str(path))
    assert code == 2
    assert packages & SLOW <= FOR_A_REFUSAL


def test_what_most_commands_do_not_need_is_imported_where_it_is_used(tmp_path: Path) -> None:
    """Among it what reads the OpenSSH configuration, of a user who has none."""
    code = """\
import pathlib, runpy, sys
story = runpy.run_path("create_aws_infrastructure.py")["story"]()
import aws_setup.cli.aws_commands
from aws_setup.config import Config
from aws_setup.config.ssh_switches import SSH_SWITCHES
off = dict.fromkeys(SSH_SWITCHES, False)
assert story.table(Config(ssh_keypair_name="k", ssh_key_path="/k", **off))
from aws_setup.ssh.ssh_config import SshSettings
assert SshSettings(pathlib.Path(sys.argv[1], "none")).route("192.0.2.1").port == 22
print(*sys.modules)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(ended.stdout.split())
    unused = {"boto3", "cryptography", "jinja2", "kubernetes", "paramiko", "requests", "s3transfer"}
    unused |= {"unittest"}
    assert not modules & (unused | {"rich.progress"})
    assert not modules & {
        "aws_setup.eks.addons",
        "aws_setup.kube.client",
        "aws_setup.lockfile.document",
        "aws_setup.openwhisk.release",
        "aws_setup.pause.groups",
        "aws_setup.pause.vms",
        "aws_setup.preflight.checks",
        "aws_setup.preflight.iam_policy",
        "aws_setup.preflight.quotas",
        "aws_setup.software.machines",
        "aws_setup.ssh.pool",
        "aws_setup.verify.table",
    }


def test_a_program_ends_without_a_search_for_garbage(tmp_path: Path) -> None:
    code = """\
import atexit, gc, runpy, sys
atexit.register(lambda: print("frozen", gc.get_freeze_count() > 0))  # the last one that is called
sys.argv = [sys.argv[1], "--help"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    command = [sys.executable, "-c", code, str(ROOT / SCRIPTS[0])]
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "frozen True"
