"""Requests to OpenWhisk's API from this computer: name, scheme, certificate, healthy invokers."""

from __future__ import annotations

import hashlib
import socket
import ssl
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import urllib3

from aws_setup.config.version import USER_AGENT
from aws_setup.engine.deadline import remaining
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.http_deadline import AnswerTooLong, guarded, read_answer, why_broken
from aws_setup.engine.proxies import pools_for, proxy_of, tunnel_refusal

TIMEOUT_SECONDS = 10.0
"""Seconds to read, for one request."""

CONNECT_SECONDS = 5.0
"""Seconds to connect: a lost packet is sent again after 1 and after 3 s (RFC 6298, 2.4 and 5.5)."""

NOT_CONNECTED = -1
"""Stands for the status where the host did not accept a connection."""

ANSWER_SECONDS = 20.0
"""Seconds for one request and its whole answer."""

ANSWER_LIMIT = 1024 * 1024
"""Bytes of an answer: what is asked for is a word or a number."""


@dataclass(frozen=True)
class ApiProbe:
    """An API host that answers: its URL, and the SHA-256 of its certificate with https."""

    url: str
    fingerprint: str = ""


def resolves(host: str) -> bool:
    """Say whether this computer's DNS resolves a host name."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except socket.gaierror:
        return False


def find_scheme(host: str, port: int) -> ApiProbe | str:
    """Return how OpenWhisk answers at a host and port, else why it does not.

    Without TLS in the chart its port 443 serves plain http, so https is tried first, then http,
    unless there is no connection for either.
    """
    reason = ""
    for scheme in ("https", "http"):
        url = f"{scheme}://{host}:{port}"
        answer = _get(f"{url}/ping")
        # nginx answers plain http on a TLS port with its own status 400.
        if 0 < answer.status < 500 and answer.status != 400:
            return ApiProbe(url, answer.sha256)
        reason = reason or f"{url}: {answer.text or answer.status}"
        if answer.status == NOT_CONNECTED:
            break
    return reason


def healthy_invokers(url: str) -> int | str:
    """Return how many invokers OpenWhisk reports as healthy, else why it does not report."""
    status, text, _ = _get(f"{url}/invokers/healthy/count")
    body = text.strip()
    count = whole_number(body)
    if status == 200 and count is not None:
        return count
    return f"HTTP {status}: {body[:80]}" if status > 0 else body


UNCONNECTED = (
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ProxyError,
)

_OF_PROXIES = {403: "403 Forbidden", 407: "407 Proxy Authentication Required"}
"""Statuses that OpenWhisk's /ping and /invokers never have: they need no key."""


class _Answer(NamedTuple):
    """Status and text; 0 or NOT_CONNECTED and the reason when there was none.

    `sha256` is the fingerprint of the certificate that was presented, '' without TLS.
    """

    status: int
    text: str
    sha256: str = ""


def _get(url: str) -> _Answer:
    """Return the answer to a GET, through the environment's proxy if it names one.

    The certificate is self-signed and later pinned by its fingerprint, so it is not verified
    here, and nothing secret is sent.
    """
    seconds = remaining(ANSWER_SECONDS)
    late = f"no complete answer within {seconds:.0f} s"
    pools = pools_for(url, ssl_context=_unverified_tls())
    with warnings.catch_warnings(), pools as pool, guarded(seconds) as guard:
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        try:
            answer = pool.request(
                "GET",
                url,
                headers={"User-Agent": USER_AGENT},
                timeout=urllib3.Timeout(
                    min(CONNECT_SECONDS, seconds), min(TIMEOUT_SECONDS, seconds)
                ),
                retries=False,
                preload_content=False,
            )
            body = read_answer(answer, most=ANSWER_LIMIT) or b""
        except (urllib3.exceptions.HTTPError, OSError, AnswerTooLong) as error:
            text = late if guard.expired else why_broken(error)
            return _Answer(NOT_CONNECTED if isinstance(error, UNCONNECTED) else 0, text)
    # A socket that the deadline shuts down ends an answer of unknown length as its end does.
    if guard.expired:
        return _Answer(0, late)
    if not guard.certificate and answer.status in _OF_PROXIES and proxy_of(url):
        # With plain http the proxy itself answers for what it refuses.
        return _Answer(NOT_CONNECTED, tunnel_refusal(_OF_PROXIES[answer.status]))
    text = body[:500].decode("utf-8", "replace")
    return _Answer(answer.status, text, _sha256(guard.certificate))


def _sha256(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _unverified_tls() -> ssl.SSLContext:
    # Not create_default_context: it reads all of the system's CAs, 20 ms for each probe.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
