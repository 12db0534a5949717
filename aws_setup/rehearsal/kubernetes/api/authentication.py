"""EKS bearer tokens: a presigned GetCallerIdentity that names the cluster in a signed header.

https://docs.aws.amazon.com/eks/latest/userguide/cluster-auth.html
https://github.com/kubernetes-sigs/aws-iam-authenticator (README, API authorization)
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.http_requests import ADMINS, User

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
LIFETIME = timedelta(minutes=15)
"""Lifetime of a token after its signing, regardless of X-Amz-Expires."""

PARAMETERS = {
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
}
"""The allowed query parameters; any other makes the token invalid."""

HOST = re.compile(r"^(sts(-fips)?(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?|127\.0\.0\.1|localhost)$")
"""AWS's own hosts of STS, and the rehearsal's, for which `aws eks get-token` signs.

A VPC endpoint's is refused as EKS does: kubernetes-sigs/aws-iam-authenticator, verifyHost.
"""


class InvalidToken(Exception):
    """The token is invalid; the text has the reason, for the log of the test."""


@dataclass(frozen=True)
class SignedToken:
    """A valid token: the access key of its signer, and its time."""

    access_key: str
    at: datetime


def check_token(
    token: str, *, cluster: str, secrets: Iterable[str], now: Callable[[], datetime] | None = None
) -> SignedToken:
    """Return the signer of a token for this cluster.

    Args:
        token: the text after "Bearer ".
        cluster: the cluster's name, which the signature must cover.
        secrets: the valid secret keys.
        now: returns the time; by default the computer's clock, which signers use too.

    Raises:
        InvalidToken: it is malformed, expired, or signed for another cluster or with another key.
    """
    url = _url(token)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    _check_request(url, query)
    signed = _when(query)
    age = (now or _now)() - signed
    if age > LIFETIME:
        raise InvalidToken(f"expired: signed {age} ago")
    if age < -LIFETIME:
        raise InvalidToken("signed in the future")
    if not any(
        hmac.compare_digest(_signature(url, query, cluster, secret), query["X-Amz-Signature"])
        for secret in secrets
    ):
        raise InvalidToken(f"the signature is not one for cluster {cluster!r} by a known key")
    return SignedToken(query["X-Amz-Credential"].partition("/")[0], signed)


def _now() -> datetime:
    return datetime.now(UTC)


def _url(token: str) -> SplitResult:
    if not token.startswith(PREFIX):
        raise InvalidToken(f"it does not begin with {PREFIX}")
    text = token.removeprefix(PREFIX)
    if "=" in text:
        raise InvalidToken("its base64 is padded")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return urlsplit(raw.decode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise InvalidToken(f"it is not base64 of a URL: {error}") from error


def _check_request(url: SplitResult, query: dict[str, str]) -> None:
    if not HOST.match(url.hostname or "") or url.path not in {"", "/"}:
        raise InvalidToken(f"it is not a URL of STS: {url.hostname}{url.path}")
    if unknown := sorted(query.keys() - PARAMETERS):
        raise InvalidToken(f"non-whitelisted query parameter {unknown[0]!r}")
    if missing := sorted(PARAMETERS - query.keys() - {"X-Amz-Security-Token"}):
        raise InvalidToken(f"the query parameter {missing[0]} is missing")
    if query["Action"] != "GetCallerIdentity" or query["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
        raise InvalidToken("it is not a signed GetCallerIdentity")
    scope = query["X-Amz-Credential"].split("/")
    if len(scope) != 5 or scope[3:] != ["sts", "aws4_request"]:
        raise InvalidToken("its credential scope is not one of STS")
    if not query["X-Amz-Expires"].isdigit() or not 0 < int(query["X-Amz-Expires"]) <= 900:
        raise InvalidToken("X-Amz-Expires is not from 1 to 900 seconds")
    headers = query["X-Amz-SignedHeaders"].split(";")
    if CLUSTER_HEADER not in headers or "host" not in headers:
        raise InvalidToken(f"{CLUSTER_HEADER} is not among the signed headers")


def _when(query: dict[str, str]) -> datetime:
    try:
        return datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidToken(f"X-Amz-Date: {error}") from error


def _signature(url: SplitResult, query: dict[str, str], cluster: str, secret: str) -> str:
    """Return the signature of a request for `cluster` by `secret`."""
    values = {"host": url.netloc, CLUSTER_HEADER: cluster}
    headers = query["X-Amz-SignedHeaders"].split(";")
    pairs = sorted((k, v) for k, v in query.items() if k != "X-Amz-Signature")
    canonical = "\n".join(
        [
            "GET",
            url.path or "/",
            "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs),
            *(f"{name}:{values.get(name, '')}" for name in headers),
            "",
            ";".join(headers),
            hashlib.sha256(b"").hexdigest(),
        ]
    )
    scope = query["X-Amz-Credential"].split("/", 1)[1]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def bearer_token(header: str) -> str:
    """Return the token of an Authorization header; raises ApiError 401 without one."""
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise unauthorized()
    return token.strip()


def unauthorized() -> ApiError:
    """Return the error for a caller without access to the cluster."""
    return ApiError(401, "Unauthorized", "Unauthorized")


ADMIN_POLICIES = ("AmazonEKSClusterAdminPolicy",)
_SESSION = re.compile(r"^arn:(aws[\w-]*):sts::(\d+):assumed-role/([^/]+)/[^/]+$")


def principal_of_session(arn: str) -> str:
    """Return the ARN of an access entry: for a session of an assumed role, the role's."""
    found = _SESSION.match(arn)
    return f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}" if found else arn


def is_session_of(arn: str, role: str) -> bool:
    """Say whether an ARN is a session of a role; a session's ARN lacks the role's path.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    account, _, name = role.partition(":role/")
    return bool(name) and principal_of_session(arn) == f"{account}:role/{name.rpartition('/')[2]}"


def user_of_access_entry(arn: str, entries: Mapping[str, Mapping[str, Any]]) -> User | None:
    """Return the user of an access entry; an administrator by a cluster-wide policy."""
    held = entries.get(arn) or next(
        (held for key, held in entries.items() if is_session_of(arn, key)), None
    )
    if held is None:
        return None
    entry = held["entry"]
    groups = tuple(entry.get("kubernetesGroups") or ())
    admin = ADMINS in groups or any(
        policy.rpartition("/")[2] in ADMIN_POLICIES and item["accessScope"]["type"] == "cluster"
        for policy, item in held["policies"].items()
    )
    return User(str(entry["username"]), admin=admin, groups=groups)


def user_of_aws_auth(arn: str, config_map: KubeObject | None) -> User | None:
    """Return the user of a principal by aws-auth; None without one or if it is invalid.

    The last of several entries counts; its keys and its ARN are compared without regard to case,
    and groups that are not a list are ignored (aws-iam-authenticator, pkg/mapper/configmap).
    """
    data = (config_map or {}).get("data") or {}
    for key, field in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
        for row in reversed(_rows(data.get(key, ""))):
            lower = {str(name).lower(): value for name, value in row.items()}
            if str(lower.get(field, "")).lower() == principal_of_session(arn).lower():
                listed = lower.get("groups")
                groups = tuple(map(str, listed)) if isinstance(listed, list) else ()
                user = str(lower.get("username") or arn)
                return User(user, admin=ADMINS in groups, groups=groups)
    return None


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(text or "[]")
    except yaml.YAMLError:
        return []
    return [row for row in found or [] if isinstance(row, dict)] if isinstance(found, list) else []


NAMES = ("localhost", "kubernetes", "kubernetes.default.svc")


@dataclass(frozen=True)
class CertificateAuthority:
    """A CA: its certificate, and the TLS context of a server with a certificate by it."""

    pem: str
    context: ssl.SSLContext


@lru_cache(maxsize=1)
def certificate_authority() -> CertificateAuthority:
    """Return this process's CA and a TLS context with a certificate for 127.0.0.1."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = _name("kubernetes")
    ca = (
        _builder(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    served = (
        _builder(_name("kube-apiserver"), ca_name, key)
        .add_extension(
            x509.SubjectAlternativeName([*names, x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return CertificateAuthority(pem=_pem(ca).decode(), context=_context(served, key))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with temporary_folder() as folder:
        path = folder / "both.pem"
        path.write_bytes(_pem(certificate) + secret)
        context.load_cert_chain(path)
    return context
