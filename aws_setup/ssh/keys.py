"""The private keys that are offered to machines: configured, of the user, of the agent."""

from __future__ import annotations

import base64
import hashlib
import logging
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aws_setup.config.paths import expanded
from aws_setup.config.regular_files import read_file
from aws_setup.errors import Problem, SetupError

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

log = logging.getLogger(__name__)

MAX_OFFERED = 5
"""Keys offered to one machine; sshd disconnects after 6 (MaxAuthTries)."""

Ask = Callable[[str], str]
"""Asks the user a question on a terminal and returns the secret entered."""


class KeyRing:
    """The private keys of one run; only `unlock` asks for a passphrase, and only once."""

    def __init__(self, path: Path, *, ask: Ask | None = None) -> None:
        """Read nothing yet.

        Args:
            path: the configured key.
            ask: asks for its passphrase on a terminal; None when there is no terminal.
        """
        self.path = path
        self._refusal: SetupError | None = None
        self._ask = ask
        self._lock = threading.RLock()
        self._loaded: dict[Path, paramiko.PKey] = {}
        self._agent: tuple[paramiko.AgentKey, ...] | None = None

    @property
    def locked(self) -> bool:
        """Whether the configured key cannot be used before `unlock`."""
        try:
            file = inspect_key(self.path)
        except SetupError:
            return False
        with self._lock:
            return file.locked and self.path not in self._loaded and not self._in_agent(file)

    def unlock(self) -> None:
        """Ask for the passphrase of the configured key, where it is needed; in the main thread.

        It is asked for once in a run, also where the answer is wrong.

        Raises:
            SetupError: the key cannot be used, as `check` says.
        """
        if self.locked and self._refusal is None:
            try:
                file = inspect_key(self.path)
                self._loaded[self.path] = _read(file, self._passphrase(file))
            except SetupError as error:
                self._refusal = error
        self.check()

    def check(self) -> None:
        """Load the configured key, which `unlock` has decrypted if that was needed.

        Raises:
            SetupError: no such key, not an RSA key, or one that is still encrypted.
        """
        self._configured()

    def keys_to_offer(self, extra: tuple[Path, ...] = ()) -> Iterator[paramiko.PKey]:
        """Yield the keys to offer: configured, then the usable ones of `extra`, then the agent's.

        Raises:
            SetupError: the configured key cannot be used.
        """
        seen = set()
        for key in self._candidates(extra):
            if key.asbytes() not in seen:
                seen.add(key.asbytes())
                yield key
            if len(seen) >= MAX_OFFERED:
                return

    def _candidates(self, extra: tuple[Path, ...]) -> Iterator[paramiko.PKey]:
        yield self._configured()
        for path in extra:
            if key := self._identity(path):
                yield key
        yield from self._agent_keys()

    def _identity(self, path: Path) -> paramiko.PKey | None:
        """Return the key of an IdentityFile; None for one that cannot be used, as ssh skips it.

        A public key, in the file or beside it, chooses the agent's key:
        https://man.openbsd.org/ssh_config#IdentityFile
        """
        try:
            if public := _public_in(path) or (not path.is_file() and _public_beside(path)):
                return next((key for key in self._agent_keys() if key.asbytes() == public), None)
            file = inspect_key(path)
            return None if file.locked else self._load(file)
        except (SetupError, OSError, ValueError) as error:
            log.debug("the IdentityFile %s is not used: %s", path, error)
            return None

    def _configured(self) -> paramiko.PKey:
        file = inspect_key(self.path)
        if file.kind not in {"RSA", ""}:
            raise _not_rsa(file)
        with self._lock:
            if file.locked and self.path not in self._loaded and (held := self._in_agent(file)):
                return held
            key = self._load(file)
        if key.get_name() != "ssh-rsa":
            raise _not_rsa(file)
        return key

    def _load(self, file: KeyFile) -> paramiko.PKey:
        with self._lock:
            if file.path not in self._loaded:
                if file.locked:
                    raise self._refusal or _encrypted(file, "its passphrase was not asked for")
                self._loaded[file.path] = _read(file, None)
            return self._loaded[file.path]

    def _passphrase(self, file: KeyFile) -> bytes:
        if self._ask is None:
            raise _encrypted(file, "there is no terminal to ask for it")
        return self._ask(f"Passphrase of {file.path}").encode()

    def _in_agent(self, file: KeyFile) -> paramiko.AgentKey | None:
        """Return the agent's key that is the one of a file; None where the agent has none."""
        same = (key for key in self._agent_keys() if file.public and key.asbytes() == file.public)
        return next(same, None)

    def _agent_keys(self) -> tuple[paramiko.AgentKey, ...]:
        with self._lock:
            if self._agent is None:
                try:
                    self._agent = paramiko.Agent().get_keys()
                except (paramiko.SSHException, OSError, ValueError, struct.error) as error:
                    # Of a comment that is not UTF-8 it is UnicodeDecodeError (5.1, AgentSSH).
                    log.warning("the keys of your SSH agent cannot be read: %s", error)
                    self._agent = ()
            return self._agent


def _encrypted(file: KeyFile, why: str) -> SetupError:
    return SetupError(
        f"the private key {file.path} is encrypted with a passphrase",
        why,
        f"add it to your SSH agent first: ssh-add {file.path}",
    )


def _unreadable() -> tuple[type[Exception], ...]:
    """Return what paramiko and cryptography raise for damaged keys and types they do not know."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from paramiko.pkey import UnknownKeyType

    plain = (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, OSError)
    return (*plain, struct.error, UnsupportedAlgorithm, paramiko.SSHException, UnknownKeyType)


def _read(file: KeyFile, secret: bytes | None) -> paramiko.PKey:
    try:
        return _parse(file, secret)
    except _unreadable() as error:
        why = "the passphrase is wrong" if secret is not None else str(error) or "it is damaged"
        raise SetupError(
            f"the private key {file.path} cannot be loaded",
            why,
            "run the same command with the right passphrase, or set ssh_key_path to another key",
        ) from None


def _parse(file: KeyFile, secret: bytes | None) -> paramiko.PKey:
    """Read RSA keys in every format, including PKCS #8, which paramiko itself cannot read."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    content = read_file(expanded(file.path))
    openssh = b"OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    loaded = load(content, secret)
    if isinstance(loaded, rsa.RSAPrivateKey):
        return paramiko.RSAKey(key=loaded)
    return paramiko.PKey.from_path(expanded(file.path), secret)  # type: ignore[arg-type] # the stubs lack Path and bytes


def readable_by_java(text: str) -> str:
    """Return a private key in OpenSSH's own format as PEM, which JSch 0.1.55 reads, too.

    Other formats stay as they are, and keys with a passphrase, which nobody can ask for there.
    """
    from cryptography.hazmat.primitives import serialization

    if "OPENSSH PRIVATE KEY" not in text:
        return text
    pem, classic = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    try:
        key = serialization.load_ssh_private_key(text.encode(), None)
        return key.private_bytes(pem, classic, serialization.NoEncryption()).decode()
    except _unreadable():
        return text


def _not_rsa(file: KeyFile) -> SetupError:
    return SetupError(
        f"the private key {file.path} cannot be used: it is {file.kind or 'not RSA'}",
        "the λFS machines need an RSA key: the Hadoop code on them reads no other type",
        "create an RSA key pair in EC2, and set ssh_keypair_name and ssh_key_path to it",
    )


_MAGIC = b"openssh-key-v1\0"
_NAMES = {"ssh-rsa": "RSA", "ssh-ed25519": "ED25519", "ssh-dss": "DSA"}
_PEM_KINDS = {"RSA PRIVATE KEY": "RSA", "EC PRIVATE KEY": "ECDSA", "DSA PRIVATE KEY": "DSA"}


@dataclass(frozen=True)
class KeyFile:
    """What can be read from a private key file without its passphrase.

    `kind` is '' and `public` is empty if they are in the encrypted part of the file.
    """

    path: Path
    kind: str
    locked: bool
    public: bytes


def unreadable_key(path: Path, error: OSError) -> Problem:
    """Return the problem of a private key that is missing or cannot be read."""
    hint = "set ssh_key_path to the private key that you saved when you created the key pair"
    why = error.strerror or str(error)
    return Problem(f"the private key {path} cannot be read", why, hint)


def inspect_key(path: Path) -> KeyFile:
    """Return what a private key file contains.

    Raises:
        SetupError: the file does not exist, cannot be read, or contains no private key.
    """
    try:
        text = read_file(expanded(path)).decode("ascii", "replace")
    except OSError as error:
        raise SetupError.all([unreadable_key(path, error)]) from None
    title = _title(text)
    if title == "OPENSSH PRIVATE KEY":
        return _openssh(path, text)
    if title.endswith("PRIVATE KEY"):
        locked = "ENCRYPTED" in text
        return KeyFile(path, _PEM_KINDS.get(title, ""), locked, _public_beside(path))
    raise SetupError(
        f"{path} contains no private key",
        "it is a public key" if text.startswith("ssh-") else "it is not in PEM or OpenSSH format",
        "set ssh_key_path to the private key (puttygen converts a PuTTY key)",
    )


def _title(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("-----BEGIN ") and line.rstrip().endswith("-----"):
            return line.rstrip()[11:-5]
    return ""


def _openssh(path: Path, text: str) -> KeyFile:
    """Read the header of OpenSSH's format (PROTOCOL.key in OpenSSH's sources)."""
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
        name = kind.decode("ascii")
    except (ValueError, struct.error):
        raise SetupError(
            f"the private key {path} is damaged",
            "its header is not in OpenSSH's format",
            "copy the file again, or set ssh_key_path to another key",
        ) from None
    return KeyFile(path, kind_name(name), cipher != b"none", public)


def _field(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + length:
        raise ValueError
    return data[4 : 4 + length], data[4 + length :]


def _public_beside(path: Path) -> bytes:
    """Return the public key from the .pub file beside a key; empty without one."""
    return _public_in(path.with_name(path.name + ".pub"))


def _public_in(path: Path) -> bytes:
    """Return the public key in a file; empty where there is none."""
    try:
        kind, text = read_file(expanded(path)).decode("utf-8", "replace").split()[:2]
        blob = base64.b64decode(text, validate=True)
        return blob if _field(blob)[0] == kind.encode() else b""
    except (OSError, ValueError, struct.error):
        return b""


def kind_name(algorithm: str) -> str:
    """Return the common name of an SSH key algorithm: RSA, ED25519, ECDSA."""
    return _NAMES.get(algorithm, "ECDSA" if algorithm.startswith("ecdsa") else algorithm)


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a public key in OpenSSH's format, as in SHA256:abc."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"
