"""Runs a script in process: its command line, its output, its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from aws_setup.cli.app import script_command
from aws_setup.cli.script import Script


@dataclass(frozen=True)
class Ended:
    """How a run of a script ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document that --json prints on stdout."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document


def run(script: Script, folder: Path, *arguments: str, answer: str | None = None) -> Ended:
    """Run a script with the configuration of `folder`; `answer` is typed at the prompt."""
    command = script_command(script, folder=folder)
    config = ["-y", str(folder / "config_aws.yaml")]
    ended = CliRunner().invoke(command, [*arguments, *config], input=answer)
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def operator_key() -> rsa.RSAPrivateKey:
    """Return a new RSA key of the smallest size that AWS accepts."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


KEY = operator_key()
"""One key for all tests of a process: generating one takes longer than most tests."""


def register_key(folder: Path, name: str, region: str = "us-east-1") -> None:
    """Write the key to `folder`, and import it into EC2 unless a key pair is there."""
    private = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = KEY.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "key.pem").chmod(0o600)
    ec2 = boto3.client("ec2", region_name=region)
    if not ec2.describe_key_pairs()["KeyPairs"]:
        ec2.import_key_pair(KeyName=name, PublicKeyMaterial=public)


def prepare(folder: Path, **settings: Any) -> Path:
    """Create a folder for a run: key, registered key pair, configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    register_key(folder, "researcher", str(settings.get("aws_region", "us-east-1")))
    write_config(folder, **settings)
    return folder


NO_SOFTWARE = {
    "start_zookeeper_cluster": False,
    "populate_zookeeper_cluster": False,
    "start_ndb_cluster": False,
    "populate_mysql_ndb_tables": False,
    "format_filesystem": False,
    "sftp_ssh_key": False,
    "configure_clients": False,
}
"""The settings with which no machine is contacted."""


def write_config(folder: Path, **settings: Any) -> None:
    """Write the folder's configuration file."""
    base: Mapping[str, Any] = {
        "ssh_keypair_name": "researcher",
        "ssh_key_path": str(folder / "key.pem"),
        "user_public_ip": "52.94.76.7",
        "infrastructure_json_path": str(folder / "receipts"),
    }
    document = {**base, **NO_SOFTWARE, **settings}
    text = yaml.safe_dump(document, sort_keys=False)
    (folder / "config_aws.yaml").write_text(text, encoding="utf-8")
