"""Runs create_aws_infrastructure.py against a rehearsal cloud, for the tests of preflight."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from aws_setup.cli.app import script_command
from aws_setup.config.ssh_switches import SSH_SWITCHES
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
"""The operator's key; generating one takes longer than a test."""

OFF = (
    "create_eks_cluster",
    "create_ndb_cluster",
    "create_zookeeper_vms",
    "create_lambda_fs_client_vm",
    "create_hops_fs_client_vm",
    "create_launch_templates",
    "create_autoscaling_groups",
)

NO_SOFTWARE = dict.fromkeys(SSH_SWITCHES, False)
"""The switches with which no machine is contacted."""


def public(key: rsa.RSAPrivateKey) -> bytes:
    """Return the public half as `ssh-keygen -y` prints it."""
    return key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )


def pem(key: rsa.RSAPrivateKey, passphrase: bytes = b"") -> bytes:
    """Return a private key in the format of EC2, encrypted if there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        encryption,
    )


class Operator:
    """A user of the script: a folder with key and configuration, and a rehearsal cloud."""

    def __init__(self, cloud: RehearsalCloud, folder: Path) -> None:
        self.cloud, self.folder, self.output = cloud, folder, ""
        (folder / "k.pem").write_bytes(pem(KEY))
        (folder / "k.pem").chmod(0o600)
        client("ec2").import_key_pair(KeyName="researcher", PublicKeyMaterial=public(KEY))

    def run(self, *arguments: str, **keys: Any) -> dict[str, Any]:
        """Run the script with some configuration keys; return its document and exit code."""
        first = {"ssh_keypair_name": "researcher", "ssh_key_path": "k.pem"}
        lines = {**NO_SOFTWARE, **first, "user_public_ip": "54.10.20.30", **keys}
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())
        (self.folder / "config_aws.yaml").write_text(text, encoding="utf-8")
        self.writes_before = len(self.cloud.calls.writes())
        command = script_command(SCRIPT, folder=self.folder)
        config = str(self.folder / "config_aws.yaml")
        ended = CliRunner().invoke(command, [*arguments, "--json", "-y", config])
        self.output = ended.output
        document: dict[str, Any] = json.loads(ended.stdout)
        return document | {"exit_code": ended.exit_code}

    def refused(self, **keys: Any) -> list[str]:
        """Run `create --yes`, which must be refused without a write; return the problems."""
        ended = self.run("create", "--yes", **keys)
        assert ended["result"] == "refused", ended
        assert ended["exit_code"] == 2
        assert len(self.cloud.calls.writes()) == self.writes_before
        return [one_line(problem) for problem in ended["problems"]]

    def warned(self, **keys: Any) -> list[str]:
        """Run `plan`, which must succeed without a write; return the warnings."""
        ended = self.run("plan", **keys)
        assert ended["exit_code"] == 0, ended
        assert len(self.cloud.calls.writes()) == self.writes_before
        return [one_line(problem) for problem in ended["warnings"]]


def one_line(problem: dict[str, str]) -> str:
    """Return a problem as one line."""
    return f"{problem['what']}: {problem['why']} -> {problem['hint']}"


def only(*parts: str) -> dict[str, bool]:
    """Return the switches that disable everything except the network and some parts."""
    return {key: key in parts for key in OFF}


@pytest.fixture
def settings() -> Settings:
    """The settings of the test's cloud; a test overrides it by parametrizing it."""
    return Settings(speed=0)


@pytest.fixture
def operator(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operator]:
    """An operator with a separate cloud for each test."""
    with serve(settings) as cloud:
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
        monkeypatch.setenv("AWS_SETUP_PACE", "0")
        monkeypatch.setenv("AWS_SETUP_CHECKIP", "http://127.0.0.1:9/")
        yield Operator(cloud, tmp_path)
