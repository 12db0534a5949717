"""Key pairs, with EC2's fingerprints.

EC2 user guide, "Verify the fingerprint of your key pair".
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from aws_setup.rehearsal.aws.ec2.describe import apply_filters, paginate
from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

FILTERS = {"key-name": "KeyName", "key-pair-id": "KeyPairId", "fingerprint": "KeyFingerprint"}


def imported_fingerprint(public_key: bytes) -> str:
    """Return the fingerprint of an imported key.

    RSA: MD5 of the public key in DER; ED25519: SHA-256 of the key as OpenSSH writes it, base64.
    """
    key = load_ssh_public_key(public_key.strip())
    if isinstance(key, Ed25519PublicKey):
        blob = base64.b64decode(public_key.split()[1])
        return base64.b64encode(hashlib.sha256(blob).digest()).decode()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(der, usedforsecurity=False).digest().hex(":")


def created_fingerprint(private_key: bytes) -> str:
    """Return the fingerprint of an RSA key created by EC2: SHA-1 of the private key in PKCS#8."""
    key = load_pem_private_key(private_key, None)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return hashlib.sha1(der, usedforsecurity=False).digest().hex(":")


def _created(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    pair = ec2_backend(cloud, call).key_pairs[answer["KeyName"]]
    if pair.key_type == "ed25519":
        key = load_ssh_private_key(pair.material, None)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        pair.key_fingerprint = imported_fingerprint(public)
    else:
        pair.key_fingerprint = created_fingerprint(pair.material)
    answer["KeyFingerprint"] = pair.key_fingerprint


def _imported(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    pair = ec2_backend(cloud, call).key_pairs[answer["KeyName"]]
    pair.key_fingerprint = imported_fingerprint(pair.material_public)
    answer["KeyFingerprint"] = pair.key_fingerprint


def _describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    params = call.params
    shown = cloud.ask_action(
        call, "DescribeKeyPairs", IncludePublicKey=bool(params.get("IncludePublicKey"))
    )
    items = shown["KeyPairs"]
    for parameter, member in (("KeyNames", "KeyName"), ("KeyPairIds", "KeyPairId")):
        requested = params.get(parameter, [])
        missing = set(requested) - {item[member] for item in items}
        if missing:
            raise _not_found(min(missing))
        items = [item for item in items if not requested or item[member] in requested]
    return paginate(call, apply_filters(items, params.get("Filters", []), FILTERS), "KeyPairs")


def _not_found(name: str) -> AwsError:
    return AwsError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")


def _delete(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """DeleteKeyPair: by name or id; deleting an unknown key pair succeeds."""
    pairs = ec2_backend(cloud, call).key_pairs
    names = {call.params.get("KeyName"), call.params.get("KeyPairId")}
    for name, pair in list(pairs.items()):
        if name in names or pair.id in names:
            del pairs[name]
            return {"Return": True, "KeyPairId": pair.id}
    return {"Return": True}


ANSWERS = {("ec2", "DescribeKeyPairs"): _describe, ("ec2", "DeleteKeyPair"): _delete}
AFTER = {("ec2", "CreateKeyPair"): _created, ("ec2", "ImportKeyPair"): _imported}
