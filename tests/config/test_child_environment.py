"""Programs that are started get no secret that they do not need, and none in a command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aws_setup.aws.credential_process import BoundedProcess
from aws_setup.config.child_environment import calls_aws, child_environment
from aws_setup.errors import SetupError
from aws_setup.kube.user_kubeconfig import open_kubeconfig
from aws_setup.openwhisk import chart, helm, local_program
from aws_setup.ssh.proxy_command import ProxyCommand
from tests.openwhisk.test_chart import config

SECRETS = {
    "LAMBDA_FS_NDB_PASSWORD": "own",
    "LAMBDA_FS_NDB_ROOT_PASSWORD": "own",
    "WHISK_AUTH": "own",
    "AWS_SECRET_ACCESS_KEY": "aws",
    "AWS_ACCESS_KEY_ID": "aws",
    "AWS_SESSION_TOKEN": "aws",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "aws",
    "GITHUB_TOKEN": "user",
    "MY_SECRET": "user",
}
REDIRECTING = {"HELM_KUBETOKEN": "t", "HELM_KUBEAPISERVER": "https://other", "GIT_DIR": "/other"}
PRINT = (
    "import json, os, sys; "
    'print(json.dumps({**os.environ, "COMMAND_LINE": " ".join(sys.orig_argv)}))'
)
"""Prints the environment and the command line of a program."""

pytestmark = pytest.mark.kind("C12")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REDIRECTING.items():
        monkeypatch.setenv(name, value)
    for name in SECRETS:
        monkeypatch.setenv(name, f"canary-{name}")


def seen(environment: dict[str, str]) -> set[str]:
    """Return whose secrets a program saw."""
    assert not REDIRECTING.keys() & environment.keys()
    assert environment["PATH"] == os.environ["PATH"]
    assert "canary" not in environment["COMMAND_LINE"]
    return {SECRETS[name] for name in SECRETS if name in environment}


def test_helm_with_our_kubeconfig_gets_no_secret() -> None:
    assert seen(json.loads(local_program.run([sys.executable, "-c", PRINT]))) == set()


def test_helm_with_the_users_kubeconfig_gets_what_its_token_program_needs(tmp_path: Path) -> None:
    program = tmp_path / "helm"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PRINT}' \"$@\"\n")
    program.chmod(0o700)
    user = helm.Helm(str(program), "owdev", "openwhisk", arguments=("--kube-context=a",))
    assert seen(user.rendered(tmp_path, {})[0]) == {"aws", "user"}
    own = helm.Helm(str(program), "owdev", "openwhisk", kubeconfig=lambda: "")
    assert seen(own.rendered(tmp_path, {})[0]) == set()


def test_git_gets_the_users_tokens_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, record = tmp_path / "git", tmp_path / "environment.json"
    program.write_text(f"#!/bin/sh\n{sys.executable} -c '{PRINT}' \"$@\" > {record}\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SetupError):
        chart.resolve(config(openwhisk_chart="https://example.invalid/a"))
    environment = json.loads(record.read_text())
    assert seen(environment) == {"user"}
    assert environment["GIT_ALLOW_PROTOCOL"] == "https:ssh:file"


def printed(command: str) -> dict[str, str]:
    proxy = ProxyCommand(command)
    assert isinstance(proxy.process, subprocess.Popen)
    output, _ = proxy.process.communicate(timeout=240)
    return dict(json.loads(output))


def test_a_proxy_command_gets_aws_credentials_only_if_it_calls_aws(tmp_path: Path) -> None:
    for name in ("aws", "connect"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PRINT}' \"$@\"\n")
        program.chmod(0o700)
    assert seen(printed(f"{tmp_path}/connect host 22")) == {"user"}
    assert seen(printed(f"{tmp_path}/aws ssm start-session")) == {"user", "aws"}


@pytest.mark.parametrize(
    ("command", "yes"),
    [
        ('sh -c "aws ssm start-session --target %h"', True),
        ("/usr/local/bin/aws ec2-instance-connect open-tunnel", True),
        ("nc %h %p", False),
        ("ssh -W %h:%p jump.aws.example.com", False),
    ],
)
def test_which_proxy_commands_call_aws(command: str, yes: bool) -> None:
    assert calls_aws(command) is yes


def test_the_token_program_of_a_kubeconfig_gets_aws_credentials_and_not_ours(
    tmp_path: Path,
) -> None:
    record = tmp_path / "environment.json"
    script = f"{PRINT.replace('print', f'open({str(record)!r}, chr(119)).write')}"
    token = '{"apiVersion": "v1", "kind": "ExecCredential", "status": {"token": "t"}}'
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": sys.executable,
        "args": ["-c", f"{script}; print({token!r})"],
    }
    document = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": command}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    open_kubeconfig(str(path), None)
    assert seen(json.loads(record.read_text())) == {"user", "aws"}


def test_a_credential_process_gets_aws_variables_and_not_ours() -> None:
    output, _ = BoundedProcess([sys.executable, "-c", PRINT]).communicate()
    assert seen(json.loads(output)) == {"user", "aws"}


def test_more_variables_are_set_last() -> None:
    assert child_environment({"A": "1", "WSK_B": "2"}, more={"A": "3"}) == {"A": "3"}
