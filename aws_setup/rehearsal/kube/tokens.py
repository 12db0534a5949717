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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from aws_setup.rehearsal.kube.errors import ApiError

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
LIFETIME = timedelta(minutes=15)
"""A token is taken this long after it was signed, whatever X-Amz-Expires says."""

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
"""The query parameters that the authenticator lets through; any other refuses the token."""

HOST = re.compile(r"^(sts(-fips)?(\.[a-z0-9-]+)?\.amazonaws\.com|127\.0\.0\.1|localhost)$")


class InvalidToken(Exception):
    """The token is not one; the text says why, for the log of the test."""


@dataclass(frozen=True)
class SignedToken:
    """What a good token says: who signed it, and when."""

    access_key: str
    at: datetime


def check_token(
    token: str, *, cluster: str, secrets: Iterable[str], now: Callable[[], datetime] | None = None
) -> SignedToken:
    """Return who signed a token for this cluster.

    Args:
        token: what follows "Bearer ".
        cluster: the cluster's name, which the signature must cover.
        secrets: the secret keys with one of which it must have been signed.
        now: the time; the machine's by default, as signers have no other.

    Raises:
        BadToken: it is malformed, expired, or signed for another cluster or with another key.
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
    """Return the signature that this request has when `secret` signs it for `cluster`."""
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
    """Return the token of an Authorization header; raises ApiError 401 when it has none."""
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise unauthorized()
    return token.strip()


def unauthorized() -> ApiError:
    """Return the refusal of a caller who is nobody to the cluster."""
    return ApiError(401, "Unauthorized", "Unauthorized")
