"""The folder in which the scripts run: key pair, configuration, NameNode jar, environment."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from aws_setup.config import load_config
from aws_setup.engine.history import RunRecord, read_events
from aws_setup.errors import SetupError
from aws_setup.preflight.policy_document import deadline_policy, policy
from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.demo.helm import CHART, helm_or_kubectl_path
from aws_setup.rehearsal.demo.scenario import InvalidInput
from aws_setup.rehearsal.environment import Environment, script_environment
from aws_setup.rehearsal.vms.client_files import MAIN_CLASS_FILE

KEY_PAIR_NAME = "rehearsal"
JAR_BYTES = 200_000

REMOVED_ENV_PREFIXES = ("AWS_", "WHISK_", "WSK_", "KUBE", "HELM_", "LAMBDA_FS_", "SSH_A")
"""Prefixes of variables that could point the scripts to something outside the rehearsal."""


@dataclass(frozen=True)
class Workspace:
    """The folder in which the scripts run."""

    folder: Path
    helm: Path

    def prepare(self, environment: Environment, **settings: object) -> None:
        """Write all files, and import the key pair into the cloud; `settings` are more keys."""
        self._create_key_pair(environment)
        self.build_jar(1)
        config = {
            "ssh_keypair_name": KEY_PAIR_NAME,
            "ssh_key_path": str(self.folder / "key.pem"),
            "user_public_ip": "52.94.76.7",
            "infrastructure_json_path": str(self.folder / "infrastructure_json"),
            "set_kube_context": True,
            "zookeeper_jvm_heap_size": 256,
            "openwhisk_chart": str(CHART),
        }
        text = yaml.safe_dump(config | environment.config() | settings, sort_keys=False)
        self.config.write_text(text, encoding="utf-8")
        # The scripts may do what docs/permissions.md publishes, and what it says of the deadline.
        loaded = load_config(self.config)
        environment.cloud.settings.policies = [
            policy(loaded, account=ACCOUNT),
            deadline_policy(loaded, account=ACCOUNT),
        ]

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config_aws.yaml"

    def build_jar(self, number: int) -> None:
        """Write a jar with the main class of NameNode actions; each number is a different build.

        A build has the same bytes always: its entries have zip's first date, not the present one.
        """
        build = random.Random(number).randbytes(JAR_BYTES)
        with zipfile.ZipFile(self.folder / "namenode.jar", "w") as jar:
            for name, content in ((MAIN_CLASS_FILE, b"\xca\xfe\xba\xbe"), ("build", build)):
                jar.writestr(zipfile.ZipInfo(name), content)

    def runs(self) -> list[RunRecord]:
        """Return the runs in the scripts' event log."""
        log = self.folder / "infrastructure_json" / "lambda-fs.events.jsonl"
        return read_events(log) if log.exists() else []

    def _create_key_pair(self, environment: Environment) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        (self.folder / "key.pem").write_bytes(private)
        (self.folder / "key.pem").chmod(0o600)
        environment.cloud.call(
            "ec2", "ImportKeyPair", KeyName=KEY_PAIR_NAME, PublicKeyMaterial=public
        )

    def environment(self, environment: Environment, variables: Mapping[str, str]) -> dict[str, str]:
        """Return variables with a temporary home and the helm of this demo, without real clouds."""
        (self.folder / "home").mkdir(exist_ok=True)
        home = str(self.folder / "home")
        kept = {
            name: value
            for name, value in variables.items()
            if not name.upper().startswith(REMOVED_ENV_PREFIXES)
            and not name.lower().endswith("_proxy")
        }
        path = f"{self.helm.parent}{os.pathsep}{variables.get('PATH', '')}"
        cloud = environment.cloud
        overrides = {"HOME": home, "USERPROFILE": home, "PATH": path}
        return kept | overrides | script_environment(cloud.url, cloud.settings.speed)


def find_helm() -> Path:
    """Return helm from the PATH, else from its package.

    Raises:
        InvalidInput: no helm for this system.
    """
    found = shutil.which("helm")
    if found:
        return Path(found)
    try:
        return helm_or_kubectl_path("helm")
    except SetupError as error:
        first = error.problems[0]
        raise InvalidInput(f"{first.what}: {first.why}; {first.hint}") from error
