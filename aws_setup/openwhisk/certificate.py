"""Certificates as data: created self-signed, read and compared, without any network access."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from aws_setup.config.regular_files import read_file
from aws_setup.engine.lazy_import import LazyModule
from aws_setup.errors import Refused

if TYPE_CHECKING:
    from cryptography import exceptions, x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificatePublicKeyTypes,
        PublicKeyTypes,
    )
    from cryptography.x509 import oid
else:  # 40 ms, which only runs that look at a certificate need
    exceptions = LazyModule("cryptography.exceptions")
    x509, oid = LazyModule("cryptography.x509"), LazyModule("cryptography.x509.oid")
    hashes = LazyModule("cryptography.hazmat.primitives.hashes")
    serialization = LazyModule("cryptography.hazmat.primitives.serialization")
    ec = LazyModule("cryptography.hazmat.primitives.asymmetric.ec")
    rsa = LazyModule("cryptography.hazmat.primitives.asymmetric.rsa")

CURVES = frozenset({"secp256r1", "secp384r1"})
"""Elliptic curves that Elastic Load Balancing accepts, as the TLS standards name them."""

ServerKey: TypeAlias = "rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey"
"""The types of private key that a load balancer accepts."""

RENEW = timedelta(days=30)
"""Time before its expiry at which a certificate is renewed."""


BEFORE = timedelta(hours=1)
"""How long before its creation a self-signed certificate begins, for clocks that differ."""

HINT_ORDER = "put the server's certificate first, then its issuer, then the issuer's issuer"


@dataclass(frozen=True)
class KeyPair:
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


@functools.lru_cache(maxsize=8)
def is_usable(pair: KeyPair) -> bool:
    """Say whether both parts can be read, belong together, and suit a load balancer.

    Steps ask again and again for the same pair, and checking an RSA key takes 25 ms.
    """
    try:
        key = serialization.load_pem_private_key(pair.key.encode(), password=None)
        names_of(pair.certificate)
        return _is_accepted(key) and _public(key.public_key()) == _public(pair.leaf.public_key())
    except (ValueError, TypeError, exceptions.UnsupportedAlgorithm, x509.DuplicateExtension):
        return False


def _is_accepted(key: object) -> TypeGuard[ServerKey]:
    """Whether a load balancer accepts a private key: RSA, or EC on P-256 or P-384."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.curve.name in CURVES
    return isinstance(key, rsa.RSAPrivateKey)


def _public(key: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_bytes(*form)


def self_signed(name: str, others: Sequence[str], *, days: int, now: datetime) -> KeyPair:
    """Return a new RSA key and a self-signed certificate.

    Args:
        name: the common name, at most 64 characters (X.509, ub-common-name); the host names of
            load balancers are longer.
        others: further host names or addresses, for the subject alternative name; of any length.
        days: its lifetime in days.
        now: the time in UTC; the certificate is valid from `BEFORE` that.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, name)])
    names = [_general(item) for item in dict.fromkeys([name, *others])]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return KeyPair(public.decode(), _plain(key))


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


def requested(pem: str) -> tuple[str, int] | None:
    """Return the common name and the days of a self-signed certificate; None for any other."""
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    names = leaf.subject.get_attributes_for_oid(oid.NameOID.COMMON_NAME)
    if leaf.issuer != leaf.subject or not names:
        return None
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc - BEFORE
    return str(names[0].value), lifetime.days


def fingerprint(pem: str) -> str:
    """Return the SHA-256 of the first certificate of a PEM text, in hex."""
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    return leaf.fingerprint(hashes.SHA256()).hex()


def expires(pem: str) -> datetime:
    """Return when a certificate expires, in UTC."""
    return x509.load_pem_x509_certificates(pem.encode())[0].not_valid_after_utc


def split_chain(pem: str) -> tuple[str, str]:
    """Return a certificate and its chain, which IAM takes separately; the chain may be ''."""
    parts = x509.load_pem_x509_certificates(pem.encode())
    texts = [part.public_bytes(serialization.Encoding.PEM).decode() for part in parts]
    return texts[0], "".join(texts[1:])


def load_user_pair(certificate: Path, key: Path, *, now: datetime) -> KeyPair:
    """Return the user's certificate and key, normalised as IAM and Kubernetes accept them.

    Raises:
        Refused: a file cannot be read, key and certificate do not match, or it is not valid now.
    """
    try:
        chain = x509.load_pem_x509_certificates(_bytes(certificate, "openwhisk_tls_cert"))
    except ValueError as error:
        raise _invalid(
            "openwhisk_tls_cert", certificate, "it is not a certificate in PEM"
        ) from error
    private = _private_key(key)
    _check_match(chain, certificate, private, key)
    _check_chain(chain, certificate)
    leaf = chain[0]
    if leaf.not_valid_after_utc <= now:
        why = f"it expired on {leaf.not_valid_after_utc:%Y-%m-%d}"
        raise _invalid("openwhisk_tls_cert", certificate, why)
    if leaf.not_valid_before_utc > now:
        why = f"it is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise _invalid("openwhisk_tls_cert", certificate, why)
    public = b"".join(item.public_bytes(serialization.Encoding.PEM) for item in chain)
    return KeyPair(public.decode(), _plain(private))


def _plain(key: ServerKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def _private_key(path: Path) -> ServerKey:
    """Return a private key that a load balancer accepts: RSA, or EC on P-256 or P-384."""
    text = _bytes(path, "openwhisk_tls_key")
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except TypeError as error:
        why = "it is encrypted, and its passphrase cannot be entered in an unattended run"
        hint = f"decrypt it (openssl pkey -in {path} -out plain.pem) and name that file"
        raise _invalid("openwhisk_tls_key", path, why, hint) from error
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise _invalid("openwhisk_tls_key", path, "it is not a private key in PEM") from error
    if _is_accepted(key):
        return key
    why = "a load balancer accepts only RSA, and EC on P-256 or P-384"
    raise _invalid("openwhisk_tls_key", path, why)


def _check_match(
    chain: Sequence[x509.Certificate], certificate: Path, private: ServerKey, key: Path
) -> None:
    public = _public(private.public_key())
    matches = [_public(item.public_key()) == public for item in chain]
    if matches[0]:
        return
    if any(matches):
        why = f"the key belongs to its certificate {matches.index(True) + 1}, not to its first"
        raise _invalid("openwhisk_tls_cert", certificate, why, HINT_ORDER)
    raise _invalid("openwhisk_tls_key", key, f"it is not the key of {certificate}")


def _check_chain(chain: Sequence[x509.Certificate], certificate: Path) -> None:
    for number, (item, issuer) in enumerate(pairwise(chain), start=1):
        if item.issuer != issuer.subject:
            why = f"certificate {number + 1} is not the issuer of certificate {number}"
            raise _invalid("openwhisk_tls_cert", certificate, why, HINT_ORDER)


def _bytes(path: Path, key: str) -> bytes:
    try:
        text = read_file(path)
    except OSError as error:
        raise _invalid(key, path, error.strerror or str(error)) from error
    if b"-----BEGIN " not in text:
        raise _invalid(key, path, "it is not PEM, the text format that starts with -----BEGIN")
    return text


def _invalid(key: str, path: Path, why: str, hint: str = "") -> Refused:
    return Refused(
        f"{key}: {path} cannot be used", why, hint or f"correct {key}, or remove both keys"
    )
