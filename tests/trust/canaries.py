"""Canaries in every secret of a run, and the search for them where none may be.

Every run of the harness has them. After each run all files of the operator and all temporary files
of the runs are searched; while it works, requests to AWS, commands on machines, and, when helm
works, the command lines and environments of all processes of this world.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aws_setup.rehearsal.environment import Environment
from tests.support.signals import family

VARIABLES = {
    "LAMBDA_FS_NDB_USER": "canary_user",
    "LAMBDA_FS_NDB_PASSWORD": "canary-ndb-password",
    "LAMBDA_FS_NDB_ROOT_PASSWORD": "canary-root-password",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret",
    "AWS_SESSION_TOKEN": "canary-session-token",
    "GITHUB_TOKEN": "canary-git-token",
    "KUBE_TOKEN": "canary-kube-token",
}
"""Secrets that the user has in the environment, each with a value of its own (a user's name is
none)."""

PRIVATE = re.compile(r"\.pem\b|wskprops|kubeconfig|^lambda-fs-[0-9a-f]{16}-")
"""Names of the files that are there to hold a secret, temporary ones of a run too; nobody else may
read them."""

OPENWHISK = ("owdev-whisk.auth", "owdev-lambda-fs", "owdev-db.auth")
"""The Secrets with OpenWhisk's keys and the password of its database."""

SENT = {"the request iam.UploadServerCertificate": {"lambda-fs.tls.pem"}}
"""Where a secret has to be sent: place -> its name."""

SHORTEST = 20
"""Characters of a generated secret; shorter values of those Secrets, such as names, are none."""

_CANARY = re.compile(rb"canary-[a-z-]+")


def _encoded(text: bytes) -> list[bytes]:
    """Return what base64 shows of a text, at each of the three places where it can begin."""
    return [
        base64.b64encode(bytes(skipped) + text)[first : (skipped + len(text)) * 8 // 6]
        for skipped, first in enumerate((0, 2, 3))
    ]


_ENCODED = _encoded(b"canary-")


@dataclass
class Search:
    """Searches a world for secrets: canaries, private keys, and OpenWhisk's keys."""

    folder: Path
    """The folder of the operator."""
    temporary: Path
    """The folder for temporary files of the runs."""
    environment: Environment | None = None
    root: int = field(default_factory=os.getpid)
    """The process whose descendants are the runs, and what they have started."""
    holders: set[str] = field(default_factory=set)
    """Names of the private files in which a secret was."""
    processes: int = 0
    """How many processes were looked at."""
    _learned: dict[bytes, str] = field(default_factory=dict)
    _found: list[str] = field(default_factory=list)
    _clean: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """File without a secret -> its time and size."""

    def see(self, place: str, content: bytes) -> None:
        """Search what a run has sent somewhere; a form has its values encoded."""
        plain = unquote_to_bytes(content.replace(b"+", b" ")) if b"%" in content else content
        secrets = {*self._secrets(content), *self._secrets(plain)} - SENT.get(place, set())
        self._found += [f"{secret} in {place}" for secret in sorted(secrets)]

    def look(self) -> None:
        """Search the processes of this world, and the temporary files that they use."""
        for pid in family(self.root):
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    content = Path(f"/proc/{pid}/{name}").read_bytes()
                    self.see(f"the {name} of a process", content)
            self.processes += 1
        self._found += self._in_files(self.temporary)

    def leaks(self) -> list[str]:
        """Return where a secret was that it may not be, since the last call."""
        self._learn()
        found = [*self._found, *self._in_files(self.folder), *self._in_files(self.temporary)]
        self._found.clear()
        return sorted(set(found))

    def _learn(self) -> None:
        """Add the secrets that exist by now: keys of the operator, of TLS, and of OpenWhisk."""
        known = dict(self._learned)
        for path in (*self.folder.glob("*.pem"), *self.folder.glob("infrastructure_json/*.pem")):
            _, _, key = path.read_bytes().partition(b"PRIVATE KEY-----\n")
            if key:
                self._learn_one(key.splitlines()[0], path.name)
        for api in self.environment.hooks.apis.values() if self.environment else ():
            for (plural, _, name), item in list(api.state.objects.items()):
                if plural == "secrets" and name in OPENWHISK:
                    for key, value in item["data"].items():
                        _, _, secret = base64.b64decode(value).rpartition(b":")
                        if len(secret) >= SHORTEST and key != "chart":
                            self._learn_one(secret, f"OpenWhisk {key}")
        if known != self._learned:
            self._clean.clear()

    def _learn_one(self, secret: bytes, name: str) -> None:
        for text in (secret, *_encoded(secret)):
            self._learned[text] = name

    def _secrets(self, content: bytes) -> list[str]:
        """Return the names of the secrets in a text."""
        found = sorted({name for secret, name in self._learned.items() if secret in content})
        if b"canary-" in content:
            found += sorted({match.decode() for match in _CANARY.findall(content)})
        if any(part in content for part in _ENCODED):
            found.append("canary in base64")
        return found

    def _in_files(self, folder: Path) -> Iterator[str]:
        """Yield the files with a secret that are not there to hold it, or that others may read."""
        for path in _files(folder):
            # A run that works deletes its temporary files meanwhile.
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                version = (status.st_mtime_ns, status.st_size)
                if self._clean.get(path) == version:
                    continue
                secrets = self._secrets(path.read_bytes())
                if not secrets:
                    self._clean[path] = version
                elif not PRIVATE.search(path.name):
                    yield from (f"{secret} in {path}" for secret in secrets)
                elif status.st_mode & 0o077:
                    yield f"{path} has mode {status.st_mode & 0o777:o}"
                else:
                    self.holders.add(path.name)


SKIPPED: Sequence[str] = ("machines",)
"""Folders that are not the operator's: the disks of the emulated machines."""


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        yield from (Path(root) / name for name in names if not Path(root, name).is_socket())
