"""The keys that are offered to machines: the configured one, the agent's, the user's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from paramiko.pkey import UnknownKeyType

from aws_setup.errors import SetupError
from aws_setup.hosts.ssh.keys import KeyFile, inspect_key

MOST_KEYS = 5
"""Keys offered to one machine; sshd hangs up after 6 (MaxAuthTries)."""

Ask = Callable[[str], str]
"""Asks the user for a secret on a terminal."""


class Identities:
    """The private keys of one run, each unlocked at most once."""

    def __init__(self, path: Path, *, ask: Ask | None = None) -> None:
        self.path = path
        self._ask = ask
        self._lock = threading.RLock()
        self._loaded: dict[Path, paramiko.PKey] = {}
        self._agent: tuple[paramiko.AgentKey, ...] | None = None

    def check(self) -> None:
        """Load the configured key, asking for its passphrase where there is one.

        Raises:
            SetupError: no such key, not an RSA key, or locked with nobody to ask.
        """
        self._configured()

    def offered(self, more: tuple[Path, ...] = ()) -> Iterator[paramiko.PKey]:
        """Yield the keys to offer: configured, then `more` (those that are not locked), agent."""
        seen = set()
        for key in self._candidates(more):
            if key.asbytes() not in seen:
                seen.add(key.asbytes())
                yield key
            if len(seen) >= MOST_KEYS:
                return

    def _candidates(self, more: tuple[Path, ...]) -> Iterator[paramiko.PKey]:
        yield self._configured()
        for path in more:
            if path.is_file() and not inspect_key(path).locked:
                yield self._load(inspect_key(path))
        yield from self._agent_keys()

    def _configured(self) -> paramiko.PKey:
        file = inspect_key(self.path)
        if file.kind not in {"RSA", ""}:
            raise _not_rsa(file)
        with self._lock:
            if file.locked and self.path not in self._loaded:
                for held in self._agent_keys():
                    if file.public and held.asbytes() == file.public:
                        return held
            key = self._load(file)
        if key.get_name() != "ssh-rsa":
            raise _not_rsa(file)
        return key

    def _load(self, file: KeyFile) -> paramiko.PKey:
        with self._lock:
            if file.path not in self._loaded:
                secret = self._passphrase(file) if file.locked else None
                self._loaded[file.path] = _read(file, secret)
            return self._loaded[file.path]

    def _passphrase(self, file: KeyFile) -> bytes:
        if self._ask is None:
            raise SetupError(
                f"the private key {file.path} is locked with a passphrase",
                "there is no terminal to ask for it",
                f"unlock it first: ssh-add {file.path}",
            )
        return self._ask(f"Passphrase of {file.path}").encode()

    def _agent_keys(self) -> tuple[paramiko.AgentKey, ...]:
        with self._lock:
            if self._agent is None:
                try:
                    self._agent = paramiko.Agent().get_keys()
                except (paramiko.SSHException, OSError):
                    self._agent = ()
            return self._agent


def _read(file: KeyFile, secret: bytes | None) -> paramiko.PKey:
    try:
        return _parse(file, secret)
    except (ValueError, TypeError, paramiko.SSHException, UnknownKeyType) as error:
        why = "the passphrase is not the right one" if secret is not None else str(error)
        raise SetupError(
            f"the private key {file.path} cannot be loaded",
            why,
            "run it again with the right passphrase, or set ssh_key_path to another key",
        ) from None


def _parse(file: KeyFile, secret: bytes | None) -> paramiko.PKey:
    """Read RSA keys in every form, also PKCS #8, which paramiko's own reader lacks."""
    content = file.path.expanduser().read_bytes()
    openssh = b"OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    loaded = load(content, secret)
    if isinstance(loaded, rsa.RSAPrivateKey):
        return paramiko.RSAKey(key=loaded)
    return paramiko.PKey.from_path(file.path.expanduser(), secret)  # type: ignore[arg-type] # the stubs lack Path and bytes


def _not_rsa(file: KeyFile) -> SetupError:
    return SetupError(
        f"the private key {file.path} is of kind {file.kind or 'other than RSA'}",
        "the λFS machines need an RSA key: the Hadoop code on them reads no other",
        "make an RSA key pair in EC2, and set ssh_keypair_name and ssh_key_path to it",
    )
