"""Private keys as files: of which kind, locked by a passphrase or not, and fingerprints."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from aws_setup.errors import SetupError

_MAGIC = b"openssh-key-v1\0"
_NAMES = {"ssh-rsa": "RSA", "ssh-ed25519": "ED25519", "ssh-dss": "DSA"}
_PEM_KINDS = {"RSA PRIVATE KEY": "RSA", "EC PRIVATE KEY": "ECDSA", "DSA PRIVATE KEY": "DSA"}


@dataclass(frozen=True)
class KeyFile:
    """What a private key file tells without its passphrase.

    `kind` is '' and `public` is empty where the file keeps that inside its encrypted part.
    """

    path: Path
    kind: str
    locked: bool
    public: bytes


def inspect_key(path: Path) -> KeyFile:
    """Return what a private key file is.

    Raises:
        SetupError: there is no such file, it cannot be read, or it holds no private key.
    """
    try:
        text = path.expanduser().read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SetupError(
            f"the private key {path} cannot be read",
            error.strerror or str(error),
            "set ssh_key_path to the private key of your EC2 key pair",
        ) from None
    title = _title(text)
    if title == "OPENSSH PRIVATE KEY":
        return _openssh(path, text)
    if title.endswith("PRIVATE KEY"):
        locked = "ENCRYPTED" in text
        return KeyFile(path, _PEM_KINDS.get(title, ""), locked, _public_beside(path))
    raise SetupError(
        f"{path} holds no private key",
        "it is a public key" if text.startswith("ssh-") else "it is not in PEM or OpenSSH format",
        "set ssh_key_path to the private key; convert a PuTTY key with puttygen",
    )


def _title(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("-----BEGIN ") and line.rstrip().endswith("-----"):
            return line.rstrip()[11:-5]
    return ""


def _openssh(path: Path, text: str) -> KeyFile:
    """Read the head of OpenSSH's own format (PROTOCOL.key in OpenSSH's sources)."""
    body = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    try:
        data = base64.b64decode(body)
        if not data.startswith(_MAGIC):
            raise ValueError
        cipher, rest = _field(data[len(_MAGIC) :])
        _, rest = _field(rest)
        _, rest = _field(rest)
        public, _ = _field(rest[4:])
        kind, _ = _field(public)
    except (ValueError, struct.error):
        raise SetupError(
            f"the private key {path} is damaged",
            "its head is not what OpenSSH writes",
            "copy the file anew, or set ssh_key_path to another key",
        ) from None
    return KeyFile(path, kind_name(kind.decode()), cipher != b"none", public)


def _field(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + length:
        raise ValueError
    return data[4 : 4 + length], data[4 + length :]


def _public_beside(path: Path) -> bytes:
    """Return the public half of a PEM key when its .pub file lies beside it."""
    try:
        fields = path.with_name(path.name + ".pub").expanduser().read_text().split()
        return base64.b64decode(fields[1])
    except (OSError, IndexError, ValueError):
        return b""


def kind_name(algorithm: str) -> str:
    """Return an SSH key algorithm as people call it: RSA, ED25519, ECDSA."""
    return _NAMES.get(algorithm, "ECDSA" if algorithm.startswith("ecdsa") else algorithm)


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a public key as OpenSSH shows it, as in SHA256:abc."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"
