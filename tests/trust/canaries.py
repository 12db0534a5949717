"""Canaries in every secret, and where they may not be: what a whole story showed and stored."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.rehearsal.environment import Environment

VARIABLES = {
    "LAMBDA_FS_NDB_USER": "canary_user",
    "LAMBDA_FS_NDB_PASSWORD": "canary-ndb-password",
    "LAMBDA_FS_NDB_ROOT_PASSWORD": "canary-root-password",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret",
    "AWS_SESSION_TOKEN": "canary-session-token",
    "GITHUB_TOKEN": "canary-git-token",
    "KUBE_TOKEN": "canary-kube-token",
}
"""Secrets that the user has in the environment, each with a value of its own."""

HELM = """#!/bin/sh
{ env; tr '\\0' '\\n' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$PPID/cmdline; } >> @FOLDER@/seen
for word in "$@"; do
  case $word in
    */lambda-fs-*) stat -c '%a %n' "$word" >> @FOLDER@/modes; cat "$word" >> @FOLDER@/private ;;
  esac
done
exec @HELM@ "$@"
"""
"""helm, which records its environment, its command line and its parent's, and its files."""

PRIVATE = re.compile(r"key\.pem|\.tls\.pem|\.wskprops|whisk|\.hosts|kubeconfig|ndb-password")
"""Names of the files that are there to hold a secret; nobody else may read them."""


@dataclass
class Seen:
    """What the runs showed and stored, and the secrets that it may not contain."""

    folder: Path
    """The folder of the runs."""
    environment: Environment | None
    helm: Path
    """The folder of the recording helm."""
    commands: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def learn(self) -> None:
        """Add the secrets that exist by now: keys of the operator, of TLS, of OpenWhisk, tokens."""
        for name, value in VARIABLES.items():
            if "USER" not in name:
                self.secrets[name] = value
        for path in self.folder.rglob("*.pem"):
            if b"PRIVATE KEY" in path.read_bytes():
                self.secrets[path.name] = path.read_text().splitlines()[1]
        private = self.helm / "private"
        if private.exists():
            for number, token in enumerate(
                set(re.findall(r"k8s-aws-v1\.([\w-]+)", text_of(private)))
            ):
                self.secrets[f"token {number}"] = token
        for api in self.environment.hooks.apis.values() if self.environment else ():
            for (plural, _, name), item in list(api.state.objects.items()):
                if plural == "secrets" and name == "owdev-whisk.auth":
                    for key, value in item["data"].items():
                        decoded = base64.b64decode(value).decode()
                        self.secrets[f"OpenWhisk {key}"] = decoded.partition(":")[2]

    def leaks(self) -> list[str]:
        """Return where a secret is that it may not be."""
        self.learn()
        shown = {f"{path}": text_of(path) for path in self._texts()}
        shown["commands on machines"] = "\n".join(self.commands)
        return [
            f"{secret} in {place}"
            for place, text in shown.items()
            for secret, value in self.secrets.items()
            if value in text
        ] + [f"{path} has mode {path.stat().st_mode & 0o777:o}" for path in self._open_files()]

    def _texts(self) -> Iterator[Path]:
        yield self.helm / "seen"
        for path in self._files():
            if not PRIVATE.search(path.name):
                yield path

    def _open_files(self) -> Iterator[Path]:
        """Yield the files with a secret that others may read."""
        for path in self._files():
            text = text_of(path)
            held = any(value in text for value in self.secrets.values())
            if held and path.stat().st_mode & 0o077:
                yield path

    def _files(self) -> Iterator[Path]:
        for root, folders, names in os.walk(self.folder):
            # The disks of the emulated machines, and charts.
            folders[:] = [name for name in folders if name not in ("machines", "cache")]
            yield from (Path(root) / name for name in names if name != "namenode.jar")


def text_of(path: Path) -> str:
    """Return the content of a file; '' where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def stand_in(folder: Path, helm: Path) -> Path:
    """Put a helm that records what it is given into a folder; return that folder."""
    folder.mkdir(mode=0o700)
    text = HELM.replace("@FOLDER@", str(folder)).replace("@HELM@", str(helm))
    (folder / "helm").write_text(text)
    (folder / "helm").chmod(0o700)
    return folder
