"""Checks the key pair: it is registered with EC2, RSA, and matches the local private key."""

from __future__ import annotations

import base64
import codecs
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.session import Aws, error_code
from aws_setup.config import Config
from aws_setup.config.regular_files import read_file
from aws_setup.engine.lazy_import import LazyModule
from aws_setup.engine.plan import shorten
from aws_setup.errors import Problem
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn
from aws_setup.ssh.keys import inspect_key, unreadable_key

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
else:  # only runs that launch VMs compare the keys
    exceptions = LazyModule("cryptography.exceptions")
    serialization = LazyModule("cryptography.hazmat.primitives.serialization")
    rsa = LazyModule("cryptography.hazmat.primitives.asymmetric.rsa")


def check(planned: PlannedResources) -> CheckResult:
    """Check the registered key pair and the local key, and that they match.

    Of machines that AWS launches for a group that is restored no more than the key pair is checked:
    its template names it.
    """
    config, aws = planned.config, planned.ctx.aws
    if planned.launches:
        return CheckResult.of(key_findings(config, aws))
    return CheckResult.of(_registered(config.ssh_keypair_name, aws)[1] if planned.restores else ())


def warn_of_lost_key(ctx: Context) -> None:
    """Warn if EC2 has no key pair any more that the deployment's launch templates name.

    AWS could then replace no machine of their groups. A create that launches nothing does not ask
    for the key pair: it would be one more call of every run, for what no run changes.
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
    """
    config, templates = (
        ctx.config,
        advice(lambda: ctx.inventory.all("launch templates"), lambda _: []),
    )
    if not templates:
        return
    found = advice(lambda: _registered(config.ssh_keypair_name, ctx.aws)[1], lambda _: [])
    named = shorten(sorted(str(item["LaunchTemplateName"]) for item in templates))
    for finding in found:
        why = f"launch templates name it ({named}): AWS launches no machine for their groups"
        ctx.warn(Problem(finding.what, f"{finding.why}; {why}", finding.hint))


def key_findings(config: Config, aws: Aws) -> list[Finding]:
    """Return what is wrong with the registered key pair, the local key, or the two together."""
    local, findings = read_key(Path(config.ssh_key_path))
    registered, more = _registered(config.ssh_keypair_name, aws)
    findings += more + (world_readable(config.ssh_key_path) if local else [])
    if local and registered and same_key(local, registered) is False:
        findings.append(
            refuse(
                "ssh_key_path is not the private key of ssh_keypair_name",
                f"{config.ssh_key_path} does not match the key pair "
                f"{config.ssh_keypair_name} in {aws.region}, "
                "so SSH logins would fail",
                "set ssh_key_path to the file that you saved when you created the key pair, or "
                "import this key under another name: `aws ec2 import-key-pair`",
            )
        )
    return findings


@dataclass(frozen=True)
class LocalKey:
    """The local key; of an encrypted one only the public half may be known, or nothing."""

    private: rsa.RSAPrivateKey | None = None
    blob: bytes = b""


def read_key(path: Path) -> tuple[LocalKey | None, list[Finding]]:
    """Return the RSA key in a file, or what is wrong with the file."""
    try:
        content = read_file(path)
    except OSError as error:
        found = unreadable_key(path, error)
        return None, [refuse(found.what, found.why, found.hint)]
    try:
        return _parse(content, path)
    except TypeError:
        return _encrypted(path)
    except (ValueError, exceptions.UnsupportedAlgorithm):
        return None, [_not_a_private_key(content, path)]


def _encrypted(path: Path) -> tuple[LocalKey, list[Finding]]:
    """Return a key with a passphrase: it may be used, and is compared by its public half."""
    blob = inspect_key(path).public
    why = f"{path}: the script asks for it on a terminal"
    if not blob:
        why += ", and the key could not be compared with ssh_keypair_name"
    hint = f"add it to an SSH agent to run without a terminal: `ssh-add {path}`"
    return LocalKey(blob=blob), [warn("the private key has a passphrase", why, hint)]


def _parse(content: bytes, path: Path) -> tuple[LocalKey | None, list[Finding]]:
    key: object
    if b"BEGIN OPENSSH PRIVATE KEY" in content:
        key = serialization.load_ssh_private_key(content, password=None)
    else:
        key = serialization.load_pem_private_key(
            content, password=None, unsafe_skip_rsa_key_validation=True
        )
    if isinstance(key, rsa.RSAPrivateKey):
        if not is_consistent(key.private_numbers()):
            raise ValueError("the numbers of the RSA key contradict each other")
        return LocalKey(key, _blob(key.public_key())), []
    hint = "create an RSA key pair: `aws ec2 create-key-pair --key-type rsa --key-name NAME`"
    return None, [refuse("the private key is not RSA", str(path), hint)]


def is_consistent(numbers: rsa.RSAPrivateNumbers) -> bool:
    """Return whether the numbers of an RSA key fit together, as those of a damaged file do not.

    OpenSSL would test in addition that both factors are prime, which takes longer than all other
    checks of a run together; it matters for keys that somebody else chose, and this is the user's
    own. https://www.rfc-editor.org/rfc/rfc8017#section-3.2
    """
    public, p, q, d = numbers.public_numbers, numbers.p, numbers.q, numbers.d
    return (
        min(p, q) > 2
        and p * q == public.n
        and (public.e * d) % (p - 1) == 1
        and (public.e * d) % (q - 1) == 1
        and numbers.dmp1 == d % (p - 1)
        and numbers.dmq1 == d % (q - 1)
        and (numbers.iqmp * q) % p == 1
    )


def _not_a_private_key(content: bytes, path: Path) -> Finding:
    hint = "set ssh_key_path to the private key, a PEM or OpenSSH file"
    if content.startswith(b"PuTTY-User-Key-File"):
        hint = f"convert PuTTY's format to OpenSSH's: `puttygen {path} -O private-openssh -o k.pem`"
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        hint = (
            "save it as ASCII: it is UTF-16, which `>` writes in Windows PowerShell; "
            "`| Out-File -Encoding ascii FILE` does not"
        )
    elif content.startswith((b"ssh-", b"ecdsa-")):
        hint = "set ssh_key_path to the private half: the file without .pub"
    return refuse("ssh_key_path is not a private key", str(path), hint)


def windows_remark(path: str, *, windows: bool) -> str:
    """Return what `ssh -i` on Windows demands of the key's file, '' elsewhere.

    https://learn.microsoft.com/windows-server/administration/openssh/openssh_keymanagement
    """
    # The name itself: cmd replaces %USERNAME% and PowerShell does not.
    user = os.environ.get("USERNAME", "YOU")
    command = f'icacls "{path}" /inheritance:r /grant:r "{user}:R"'
    return f"; if ssh says that others can read the key: {command}" if windows else ""


def world_readable(path: str) -> list[Finding]:
    """Warn of a key that others may read: OpenSSH refuses it (not checked on Windows)."""
    if os.name != "posix" or not Path(path).stat().st_mode & 0o077:
        return []
    why = f"{path}: `ssh -i` refuses such a file"
    return [warn("others may read the private key", why, f"run `chmod 600 {path}`")]


def _registered(name: str, aws: Aws) -> tuple[dict[str, Any] | None, list[Finding]]:
    region = aws.region
    try:
        response: Any = aws.ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)
    except ClientError as error:
        if error_code(error) != "InvalidKeyPair.NotFound":
            raise
        hint = (
            "set ssh_keypair_name to one that `aws ec2 describe-key-pairs` lists, or import "
            f"yours: `aws ec2 import-key-pair --key-name {name} --public-key-material "
            "fileb://KEY.pub`"
        )
        why = "each region has its own key pairs"
        return None, [refuse(f"{region} has no key pair {name}", why, hint)]
    pair = response["KeyPairs"][0]
    if pair.get("KeyType", "rsa") != "rsa":
        hint = "create an RSA key pair: `aws ec2 create-key-pair --key-type rsa --key-name NAME`"
        why = f"it is {pair['KeyType']}; the λFS machines require RSA"
        return None, [refuse(f"the key pair {name} is not RSA", why, hint)]
    return pair, []


def same_key(local: LocalKey, registered: dict[str, Any]) -> bool | None:
    """Return whether a key matches a key pair of DescribeKeyPairs; None if that is unknown.

    Compared is the public key if EC2 returns it, else the fingerprint, which has two forms:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html
    """
    public_key = str(registered.get("PublicKey") or "").split()
    if len(public_key) >= 2 and local.blob:
        return base64.b64decode(public_key[1]) == local.blob
    if local.private is None:
        return None
    fingerprint = str(registered.get("KeyFingerprint", "")).replace(":", "").lower()
    return fingerprint in (
        created_key_fingerprint(local.private),
        imported_key_fingerprint(local.private),
    )


def _blob(key: rsa.RSAPublicKey) -> bytes:
    """Return the public key that an OpenSSH public key file contains in base64."""
    return base64.b64decode(
        key.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        ).split()[1]
    )


def created_key_fingerprint(key: rsa.RSAPrivateKey) -> str:
    """Return the fingerprint of a key that EC2 created: SHA-1 of the private key in PKCS #8."""
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def imported_key_fingerprint(key: rsa.RSAPrivateKey) -> str:
    """Return the fingerprint of an imported key: MD5 of the public key."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.md5(der, usedforsecurity=False).hexdigest()
