"""Certificates as data: made self-signed, read, compared; nothing here talks to anybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aws_setup.errors import Refused

LONGEST_NAME = 64
"""Characters of a common name (X.509, ub-common-name); ELB names are longer."""

RENEW = timedelta(days=30)
"""Time before its end at which a certificate is renewed."""


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain and its private key, as PEM text."""

    certificate: str
    key: str = field(repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself, without its chain."""
        return x509.load_pem_x509_certificates(self.certificate.encode())[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hex."""
        return fingerprint(self.certificate)


def self_signed(name: str, others: Sequence[str], *, days: int, now: datetime) -> Pair:
    """Return a fresh RSA key and a self-signed certificate.

    Args:
        name: the common name, 64 characters at most.
        others: further host names or addresses, for the subject alternative name; of any length.
        days: its lifetime.
        now: the time in UTC; the certificate is valid an hour before, for clocks that differ.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [_general(one) for one in dict.fromkeys([name, *others])]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return Pair(public.decode(), private.decode())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def names_of(pem: str) -> set[str]:
    """Return every host name and address in a certificate's subject alternative name."""
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*names.get_values_for_type(x509.DNSName)} | {
        str(address) for address in names.get_values_for_type(x509.IPAddress)
    }


def fingerprint(pem: str) -> str:
    """Return the SHA-256 of a certificate's first part, in hex."""
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    return leaf.fingerprint(hashes.SHA256()).hex()


def expires(pem: str) -> datetime:
    """Return when a certificate ends, in UTC."""
    return x509.load_pem_x509_certificates(pem.encode())[0].not_valid_after_utc


def split_chain(pem: str) -> tuple[str, str]:
    """Return a certificate and its chain as IAM wants them: apart; the chain may be ''."""
    parts = x509.load_pem_x509_certificates(pem.encode())
    texts = [part.public_bytes(serialization.Encoding.PEM).decode() for part in parts]
    return texts[0], "".join(texts[1:])


def own_pair(certificate: Path, key: Path, *, now: datetime) -> Pair:
    """Return the user's own certificate and key.

    Raises:
        Refused: a file cannot be read, they do not belong together, or it has expired.
    """
    pair = Pair(_text(certificate, "openwhisk_tls_cert"), _text(key, "openwhisk_tls_key"))
    try:
        leaf = pair.leaf
    except ValueError as error:
        raise _wrong("openwhisk_tls_cert", certificate, "it is no certificate in PEM") from error
    try:
        private = serialization.load_pem_private_key(pair.key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "it is no private key in PEM, or it is encrypted"
        raise _wrong("openwhisk_tls_key", key, why) from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise _wrong("openwhisk_tls_key", key, f"it is not the key of {certificate}")
    if leaf.not_valid_after_utc <= now:
        why = f"it expired on {leaf.not_valid_after_utc:%Y-%m-%d}"
        raise _wrong("openwhisk_tls_cert", certificate, why)
    return pair


def _text(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(key, path, str(error)) from error


def _wrong(key: str, path: Path, why: str) -> Refused:
    return Refused(f"{key}: {path} cannot be used", why, f"correct {key}, or remove it")
