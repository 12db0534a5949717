"""The user's own known_hosts files, read as OpenSSH reads them: for the hops of a ProxyJump.

Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": optional marker, host names or their hashes, key.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aws_setup.config.paths import expanded
from aws_setup.engine.decoding import read_bytes
from aws_setup.errors import SetupError
from aws_setup.ssh.known_hosts import HostKey, host_key

REVOKED = "@revoked"
SSH_PORT = 22


@dataclass(frozen=True)
class UserKeys:
    """The keys that the user's files have for a host: those to accept, and those never to."""

    known: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()


def user_keys(files: Iterable[Path], host: str, port: int) -> UserKeys:
    """Return the keys of a host; files that are missing or unreadable have none.

    Keys of certificate authorities are left out: no certificate is asked for.
    """
    name = host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"
    found = [entry for path in files for entry in _entries(path, name)]
    return UserKeys(
        tuple(key for marker, key in found if not marker),
        tuple(key for marker, key in found if marker == REVOKED),
    )


def _entries(path: Path, name: str) -> Iterator[tuple[str, HostKey]]:
    hint = "remove what does not belong into it"
    try:
        data = read_bytes(expanded(path), what="the file of host keys", hint=hint)
    except (OSError, SetupError):
        return
    text = data.decode("utf-8", "replace")
    for line in text.splitlines():
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or not _names(fields[0], name):
            continue
        key = host_key(fields[1], fields[2])
        if key:
            yield marker, key


def _names(field: str, name: str) -> bool:
    """Whether the first field of a line names a host: patterns, a leading ! excludes."""
    if field.startswith("|1|"):
        return _hashed(field, name)
    patterns = field.lower().split(",")
    if any(p.startswith("!") and _matches(p[1:], name) for p in patterns):
        return False
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    # Only * and ? are special in OpenSSH; brackets stand around a host with a port.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _hashed(field: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in field.split("|")[2:4])
    except ValueError:
        return False
    # SHA-1 is the format's; it hides names and protects nothing here.
    return hmac.compare_digest(hmac.digest(salt, name.encode(), hashlib.sha1), digest)
