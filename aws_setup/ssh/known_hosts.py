"""The known_hosts file of a deployment: host keys by instance id, because addresses change.

The file has OpenSSH's format with the instance id instead of the host name; OpenSSH can use it:
`ssh -o UserKnownHostsFile=FILE -o HostKeyAlias=INSTANCE_ID`.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aws_setup.engine.decoding import read_bytes
from aws_setup.engine.file_errors import fix_of
from aws_setup.engine.local_files import delete_file
from aws_setup.engine.private_files import append_private
from aws_setup.errors import SetupError
from aws_setup.ssh.keys import fingerprint, kind_name

_BEGIN = "BEGIN SSH HOST KEY KEYS"
_BLOCK = re.compile(
    r"BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS", re.DOTALL | re.IGNORECASE
)
_KEY = re.compile(r"((?:ssh-|ecdsa-sha2-)[a-z0-9-]+) +(AAAA[A-Za-z0-9+/]+=*)")


@dataclass(frozen=True)
class HostKey:
    """A public host key: its algorithm and its bytes."""

    algorithm: str
    blob: bytes

    def __str__(self) -> str:
        return f"{kind_name(self.algorithm)} {fingerprint(self.blob)}"

    @property
    def line(self) -> str:
        """The key as a line of known_hosts has it, without the host."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()}"


class KnownHosts:
    """The file of known host keys; safe for many threads and for two runs at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def keys(self, alias: str) -> list[HostKey]:
        """Return the keys known for an alias, in the order of the file."""
        hint = "make it a file that you may read, or remove it"
        try:
            data = read_bytes(self.path, what="the host keys", hint=hint)
        except FileNotFoundError:
            return []
        lines = (line.split() for line in data.decode("utf-8", "replace").splitlines())
        found = (host_key(*line[1:3]) for line in lines if len(line) >= 3 and line[0] == alias)
        return [key for key in found if key]

    def add(self, alias: str, keys: Iterable[HostKey]) -> None:
        """Add keys for an alias; known ones are not written again."""
        with self._lock:
            known = self.keys(alias)
            lines = [_line(alias, key) for key in keys if key not in known]
            if lines:
                self._append("".join(lines))

    def remove(self) -> None:
        """Delete the file; already gone is fine. Raises SetupError when it is still there."""
        with self._lock:
            delete_file(self.path)

    def _append(self, text: str) -> None:
        """Append in one write, so that no other thread or run can split a line.

        Raises:
            SetupError: the file cannot be written.
        """
        try:
            append_private(self.path, text)
        except OSError as error:
            raise SetupError(
                f"the host keys cannot be stored in {self.path}",
                error.strerror or str(error),
                fix_of(error, "make that file a regular file that you may write, or remove it"),
            ) from None


def _line(alias: str, key: HostKey) -> str:
    return f"{alias} {key.line}\n"


def host_key(algorithm: str, text: str) -> HostKey | None:
    """Return a host key from its two fields in a file; None when the second is damaged."""
    try:
        return HostKey(algorithm, base64.b64decode(text, validate=True))
    except ValueError:
        return None


def has_key_block(output: str) -> bool:
    """Whether a console output has a block of host keys, readable or not, complete or not."""
    return _BEGIN in output.upper()


def is_being_printed(output: str) -> bool:
    """Whether host keys may still come: EC2 returns what was printed so far, also half a block."""
    return "END SSH HOST KEY KEYS" not in output.upper().rpartition(_BEGIN)[2]


def keys_in_console(output: str) -> list[HostKey]:
    """Return the host keys that cloud-init printed on the console at the first boot.

    cloud-init writes the public keys between BEGIN and END SSH HOST KEY KEYS
    (https://docs.cloud-init.io, module "SSH", ssh.emit_keys_to_console), once for each instance
    (canonical/cloud-init, cloudinit/config/cc_keys_to_console.py: PER_INSTANCE). A machine that was
    stopped and started has none on its console.
    """
    blocks = _BLOCK.findall(output)
    if not blocks:
        return []
    found = (host_key(algorithm, text) for algorithm, text in _KEY.findall(blocks[-1]))
    return [key for key in found if key]
