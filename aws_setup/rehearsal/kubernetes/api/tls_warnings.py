"""The warnings about Secrets with a certificate and key that do not fit.

The real server stores such a Secret, and tells its writer in a `Warning:` header
(https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets).
"""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind

TLS = "kubernetes.io/tls"


def warnings(kind: ResourceKind, obj: KubeObject) -> list[str]:
    """Return the warnings about an object that is stored."""
    if kind.name != "Secret" or obj.get("type") != TLS:
        return []
    data = obj.get("data") or {}
    certificate, key = (base64.b64decode(data.get(name) or "") for name in ("tls.crt", "tls.key"))
    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError:
        return ["tls: failed to find any PEM data in certificate input"]
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return ["tls: failed to find any PEM data in key input"]
    same = [
        item.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for item in (public, private.public_key())
    ]
    return [] if same[0] == same[1] else ["tls: private key does not match public key"]
