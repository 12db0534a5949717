"""Certificates for tests: an authority, the certificates that it issues, and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
NOW = datetime.now(UTC)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Return a new EC key, on P-256 unless another curve is set."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def issued(
    name: str,
    key: Key,
    *,
    by: tuple[str, Key] | None = None,
    begins: datetime = NOW - timedelta(days=1),
    days: int = 90,
    addresses: Sequence[str] = (),
    authority: bool = False,
) -> str:
    """Return the certificate of a key as PEM, signed by an authority or by itself.

    With `authority` it is one that says so, and has no other extension.
    """
    issuer, signer = by or (name, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
    )
    if addresses:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(it)) for it in addresses])
        builder = builder.add_extension(names, critical=False)
    if authority:
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(signer, digest)
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem(key: Key, *, secret: bytes = b"") -> str:
    """Return a private key as PKCS #8 in PEM, locked with the passphrase, if any."""
    lock = serialization.BestAvailableEncryption(secret) if secret else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    ).decode()


def write(folder: Path, certificate: str, key: str) -> tuple[Path, Path]:
    """Write both into files and return their paths."""
    both = folder / "own.pem", folder / "own.key"
    both[0].write_text(certificate)
    both[1].write_text(key)
    return both
