"""What others can write into a Secret is drift, or refused with Secret, key and fix."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtensionOID, NameOID

from aws_setup.eks.storage import _is_about
from aws_setup.errors import Refused
from aws_setup.kube.errors import KubeError, KubeForbidden, to_kube_error
from aws_setup.kube.objects import decode_secret
from aws_setup.openwhisk.certificate import KeyPair, is_usable, self_signed

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.kind("D3")
@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\x80abc"])
def test_a_value_that_is_not_utf_8_is_refused_by_name(raw: bytes) -> None:
    secret = {
        "metadata": {"name": "owdev-lambda-fs", "namespace": "openwhisk"},
        "data": {"system": base64.b64encode(raw).decode()},
    }
    with pytest.raises(Refused) as caught:
        decode_secret(secret)
    (problem,) = caught.value.problems
    assert "openwhisk/owdev-lambda-fs" in problem.what
    assert "system" in problem.why
    assert "kubectl -n openwhisk edit secret owdev-lambda-fs" in problem.hint


@pytest.mark.kind("D3")
@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_certificate_that_is_no_pem_is_not_readable(text: str) -> None:
    assert not is_usable(KeyPair(text, text))


def written(key: Any, *, san: x509.ExtensionType) -> KeyPair:
    """Return a certificate of a key with some content as its alternative names."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(san, critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return KeyPair(made.public_bytes(serialization.Encoding.PEM).decode(), private.decode())


@pytest.mark.kind("D3")
def test_a_pair_that_no_load_balancer_takes_is_made_again() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("a")])
    own, other = (self_signed("a", [], days=90, now=NOW) for _ in range(2))
    assert is_usable(own)
    assert not is_usable(KeyPair(own.certificate, other.key))
    for key, usable in (
        (ec.generate_private_key(ec.SECP256R1()), True),
        (ec.generate_private_key(ec.SECP521R1()), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
    ):
        assert is_usable(written(key, san=names)) is usable
    damaged = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x05")
    assert not is_usable(written(ec.generate_private_key(ec.SECP256R1()), san=damaged))


@pytest.mark.kind("D4")
def test_only_a_denial_of_authorisation_asks_for_an_access_entry() -> None:
    def error(message: str) -> KubeError:
        return to_kube_error("POST", "/api/v1/secrets", 403, f'{{"message": "{message}"}}')

    denied = error("secrets is forbidden: User ada cannot create resource secrets in API group")
    assert isinstance(denied, KubeForbidden)
    assert "AmazonEKSClusterAdminPolicy" in str(denied.problems[0].hint)
    for other in (
        "unable to create new content in namespace openwhisk because it is being terminated",
        "exceeded quota: few, requested: pods=1",
    ):
        refused = error(other)
        assert "access entry" not in str(refused.problems[0].hint)


@pytest.mark.kind("D5")
def test_an_event_of_an_earlier_object_of_the_same_name_is_not_about_this_one() -> None:
    assert _is_about({"name": "a", "uid": "1"}, "a", "1")
    assert _is_about({"name": "a"}, "a", "1")
    assert not _is_about({"name": "a", "uid": "0"}, "a", "1")
    assert not _is_about({"name": "b", "uid": "1"}, "a", "1")
