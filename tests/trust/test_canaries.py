"""A canary in every secret, and the whole story: it is nowhere but in files of its owner alone."""

from __future__ import annotations

import base64
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.vms.fake_shell import CommandResult, FakeShell
from tests.support.kube import tool
from tests.trust import story
from tests.trust.cliffs import Cliff, Kind
from tests.trust.world import World, world
from tests.trust.zygote import zygote

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")

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

    world: World
    helm: Path
    commands: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def learn(self) -> None:
        """Add the secrets that exist by now: keys of the operator, of TLS, of OpenWhisk, tokens."""
        for name, value in VARIABLES.items():
            if "USER" not in name:
                self.secrets[name] = value
        for path in self.world.folder.rglob("*.pem"):
            if b"PRIVATE KEY" in path.read_bytes():
                self.secrets[path.name] = path.read_text().splitlines()[1]
        private = self.helm / "private"
        if private.exists():
            for number, token in enumerate(
                set(re.findall(r"k8s-aws-v1\.([\w-]+)", _text(private)))
            ):
                self.secrets[f"token {number}"] = token
        for api in self.world.environment.hooks.apis.values():
            for (plural, _, name), item in list(api.state.objects.items()):
                if plural == "secrets" and name == "owdev-whisk.auth":
                    for key, value in item["data"].items():
                        decoded = base64.b64decode(value).decode()
                        self.secrets[f"OpenWhisk {key}"] = decoded.partition(":")[2]

    def leaks(self) -> list[str]:
        """Return where a secret is that it may not be."""
        self.learn()
        shown = {f"{path}": _text(path) for path in self._texts()}
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
            text = _text(path)
            held = any(value in text for value in self.secrets.values())
            if held and path.stat().st_mode & 0o077:
                yield path

    def _files(self) -> Iterator[Path]:
        for root, folders, names in os.walk(self.world.folder):
            # The disks of the emulated machines, and charts.
            folders[:] = [name for name in folders if name not in ("machines", "cache")]
            yield from (Path(root) / name for name in names if name != "namenode.jar")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _stand_in(folder: Path) -> Path:
    """Put the recording helm into a folder and return that folder."""
    folder.mkdir(mode=0o700)
    text = HELM.replace("@FOLDER@", str(folder)).replace("@HELM@", str(tool("helm")))
    (folder / "helm").write_text(text)
    (folder / "helm").chmod(0o700)
    return folder


@linux_only
@pytest.mark.kind("C1")
@pytest.mark.timeout(600)
def test_no_secret_leaves_its_files_in_the_whole_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm = _stand_in(tmp_path / "bin")
    plain = FakeShell.run
    commands: list[str] = []

    def run(self: FakeShell, line: str, stdin: bytes) -> CommandResult:
        commands.append(line)
        return plain(self, line, stdin)

    monkeypatch.setattr(FakeShell, "run", run)
    with zygote(tmp_path) as runs, world(runs, tmp_path / "work") as made:
        path = f"{helm}{os.pathsep}{made.variables['PATH']}"
        made.variables = {**made.variables, **VARIABLES, "PATH": path}
        # The emulated cluster knows this secret key, too: it checks the signature of each token.
        hooks: Any = made.environment.hooks
        hooks._secrets = (*hooks._secrets, VARIABLES["AWS_SECRET_ACCESS_KEY"])
        seen = Seen(made, helm, commands)
        outputs = tmp_path / "work" / "outputs"
        outputs.mkdir(mode=0o700)
        denied = Cliff("create", "aws ec2.CreateNatGateway", 1, Kind.DENIED)
        for number, (phase, cliff) in enumerate(
            [(story.PHASES["create"], denied), *((phase, None) for phase in story.STORY)]
        ):
            words = ("-v",) if phase.name in ("create", "configure") else ()
            code = story.act(
                made, story.Phase(phase.name, phase.script, phase.words + words), cliff
            )
            assert bool(code) is bool(cliff), made.output
            for ending in ("out", "err"):
                shutil.copy(made.folder / f"run.{ending}", outputs / f"{number}.{ending}")
            if phase.name == "register":
                wrong = made.run("whisk_helper", "--list", "-v", WHISK_AUTH="u:canary-whisk-auth")
                assert wrong, made.output
                assert "canary-whisk-auth" not in made.output
            assert seen.leaks() == [], phase.name
        assert {"key.pem", "lambda-fs.tls.pem", "token 0", "OpenWhisk guest"} <= seen.secrets.keys()
        modes = {line.split()[0] for line in _text(helm / "modes").splitlines()}
        assert modes == {"600"}, "what helm is given is readable for its owner only"
        assert "HOME=" in _text(helm / "seen"), "helm was seen"
        assert commands
