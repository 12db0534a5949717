"""The key pair: registered with EC2, RSA, and the same as the private key on this computer."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from aws_setup.aws.session import error_code
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn
from aws_setup.ssh.keys import inspect_key

Encoding, Private, Public = (
    serialization.Encoding,
    serialization.PrivateFormat,
    serialization.PublicFormat,
)


def check(needs: PlannedResources) -> CheckResult:
    """Check the registered key pair and the local key, and that they belong together."""
    if not needs.launches:
        return CheckResult()
    local, findings = read_key(Path(needs.config.ssh_key_path))
    registered, more = _registered(needs)
    findings += more + (_open_to_others(needs.config.ssh_key_path) if local else [])
    if local and registered and same_key(local, registered) is False:
        findings.append(
            refuse(
                "ssh_key_path is not the private key of ssh_keypair_name",
                f"{needs.config.ssh_key_path} does not belong to the key pair "
                f"{needs.config.ssh_keypair_name} in {needs.ctx.aws.region}: nobody could log in",
                "name the file that you saved when you made the key pair, or import this key "
                "under another name: `aws ec2 import-key-pair`",
            )
        )
    return CheckResult.of(findings)


@dataclass(frozen=True)
class LocalKey:
    """The key on this computer; a locked one may show its public half only, or nothing."""

    private: RSAPrivateKey | None = None
    blob: bytes = b""


def read_key(path: Path) -> tuple[LocalKey | None, list[Finding]]:
    """Return the RSA key in a file, or what is wrong with the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        why = f"{path}: {error.strerror or error}"
        hint = "set ssh_key_path to the private key that you saved when you made the key pair"
        return None, [refuse("the private key cannot be read", why, hint)]
    try:
        return _parsed(content, path)
    except TypeError:
        return _locked(path)
    except (ValueError, UnsupportedAlgorithm):
        return None, [_no_key(content, path)]


def _locked(path: Path) -> tuple[LocalKey, list[Finding]]:
    """A key with a passphrase may be used; what can be compared without it is compared."""
    blob = inspect_key(path).public
    why = f"{path}: it is asked for on a terminal"
    if not blob:
        why += ", and the key could not be compared with ssh_keypair_name"
    hint = f"without a terminal unlock it first: `ssh-add {path}`"
    return LocalKey(blob=blob), [warn("the private key has a passphrase", why, hint)]


def _parsed(content: bytes, path: Path) -> tuple[LocalKey | None, list[Finding]]:
    load = serialization.load_pem_private_key
    if b"BEGIN OPENSSH PRIVATE KEY" in content:
        load = serialization.load_ssh_private_key
    key = load(content, password=None)
    if isinstance(key, RSAPrivateKey):
        return LocalKey(key, _blob(key.public_key())), []
    hint = "make an RSA key pair: `aws ec2 create-key-pair --key-type rsa --key-name NAME`"
    return None, [refuse("the private key is not RSA", str(path), hint)]


def _no_key(content: bytes, path: Path) -> Finding:
    hint = "set ssh_key_path to the private key, a PEM or OpenSSH file"
    if content.startswith(b"PuTTY-User-Key-File"):
        hint = f"turn PuTTY's format into OpenSSH's: `puttygen {path} -O private-openssh -o k.pem`"
    elif content.startswith((b"ssh-", b"ecdsa-")):
        hint = "that is the public half: set ssh_key_path to the file without .pub"
    return refuse("ssh_key_path names no private key", str(path), hint)


def _open_to_others(path: str) -> list[Finding]:
    """Warn of a key that others may read: OpenSSH does not use it (Windows has other rights)."""
    if os.name != "posix" or not Path(path).stat().st_mode & 0o077:
        return []
    why = f"{path}: `ssh -i` refuses such a key"
    return [warn("others may read the private key", why, f"`chmod 600 {path}`")]


def _registered(needs: PlannedResources) -> tuple[dict[str, Any] | None, list[Finding]]:
    name, region = needs.config.ssh_keypair_name, needs.ctx.aws.region
    try:
        answer: Any = needs.ctx.aws.ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)
    except ClientError as error:
        if error_code(error) != "InvalidKeyPair.NotFound":
            raise
        hint = (
            "set ssh_keypair_name to one that `aws ec2 describe-key-pairs` lists, or register "
            f"yours: `aws ec2 import-key-pair --key-name {name} --public-key-material "
            "fileb://KEY.pub`"
        )
        why = "key pairs belong to one region each"
        return None, [refuse(f"{region} has no key pair {name}", why, hint)]
    pair = answer["KeyPairs"][0]
    if pair.get("KeyType", "rsa") != "rsa":
        hint = "make an RSA key pair: `aws ec2 create-key-pair --key-type rsa --key-name NAME`"
        why = f"it is {pair['KeyType']}; the λFS machines use RSA"
        return None, [refuse(f"the key pair {name} is not RSA", why, hint)]
    return pair, []


def same_key(local: LocalKey, registered: dict[str, Any]) -> bool | None:
    """Say whether a key belongs to a key pair as DescribeKeyPairs shows it; None: no telling.

    The public key decides where EC2 shows it, else the fingerprint, of which there are two forms:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html
    """
    shown = str(registered.get("PublicKey") or "").split()
    if len(shown) >= 2 and local.blob:
        return base64.b64decode(shown[1]) == local.blob
    if local.private is None:
        return None
    plain = str(registered.get("KeyFingerprint", "")).replace(":", "").lower()
    return plain in (made_by_ec2(local.private), imported(local.private))


def _blob(key: RSAPublicKey) -> bytes:
    """Return the public key as it stands, in base64, in an OpenSSH public key file."""
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, Public.OpenSSH).split()[1])


def made_by_ec2(key: RSAPrivateKey) -> str:
    """Return the fingerprint of a key that EC2 made: SHA-1 of the private key in PKCS #8."""
    der = key.private_bytes(Encoding.DER, Private.PKCS8, serialization.NoEncryption())
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def imported(key: RSAPrivateKey) -> str:
    """Return the fingerprint of an imported key: MD5 of the public key."""
    der = key.public_key().public_bytes(Encoding.DER, Public.SubjectPublicKeyInfo)
    return hashlib.md5(der, usedforsecurity=False).hexdigest()
