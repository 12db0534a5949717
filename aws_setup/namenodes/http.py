"""One HTTP request to OpenWhisk: connection, certificate, streamed body, short answer."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions as http
from urllib3.util import make_headers

from aws_setup.errors import SetupError
from aws_setup.namenodes.action import Body
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.retrying import TransientError

log = logging.getLogger(__name__)

PIECE = 64 * 1024
"""Bytes of a body sent at a time: progress moves, and Ctrl-C is heard, after each. One piece must
go out within CONNECT_SECONDS, so that it stays small for slow lines."""

ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes kept of an answer; the rest (the code, echoed) is read and dropped."""

CONNECT_SECONDS = 20.0


@dataclass(frozen=True)
class HttpResponse:
    """Status, headers and JSON of an answer; `document` is None when it is not JSON."""

    status: int
    headers: Mapping[str, str]
    document: Any

    @property
    def reason(self) -> str:
        """OpenWhisk's own words for an error, else the bare status."""
        if isinstance(self.document, dict) and self.document.get("error"):
            return f"{self.document['error']} (HTTP {self.status})"
        return f"HTTP {self.status}"


class HttpConnection:
    """Kept-alive connections to one API host; safe to use from many threads."""

    def __init__(self, endpoint: Endpoint, *, width: int, read_seconds: float) -> None:
        parts = urlsplit(endpoint.url)
        self.endpoint = endpoint
        self.requests = 0
        self._timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
        self._headers = make_headers(basic_auth=endpoint.auth, user_agent="lambda-fs-aws-setup")
        options: dict[str, Any] = {"maxsize": width, "block": True, "retries": False}
        if parts.scheme.lower() == "https":
            options |= _tls(endpoint)
            self._pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
                parts.hostname or "", parts.port, **options
            )
        else:
            self._pool = urllib3.HTTPConnectionPool(parts.hostname or "", parts.port, **options)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        sent: Callable[[int], None] = lambda _: None,
        signed: bool = True,
    ) -> HttpResponse:
        """Send a request and return its answer, whatever its status.

        Args:
            method: the HTTP method.
            path: what stands behind the API host, with its query.
            body: what to send; its length is announced, its code is not copied.
            sent: told how many bytes went out, piece by piece.
            signed: whether to send the key.

        Raises:
            TransientError: the connection failed or timed out.
            SetupError: the host's name is unknown, or its certificate is not the expected one.
        """
        headers = dict(self._headers) if signed else {}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(body.length)}
        self.requests += 1
        try:
            response = self._pool.urlopen(
                method,
                path,
                body=_pieces(body, sent) if body is not None else None,  # type: ignore[arg-type]  # any iterable of bytes will do
                headers=headers,
                timeout=self._timeout,
                redirect=False,
                preload_content=False,
            )
            answer = HttpResponse(response.status, response.headers, _read(response))
        except (http.HTTPError, OSError) as error:
            raise self._fault(error) from error
        log.debug("%s %s: %s", method, path, answer.status)
        return answer

    def close(self) -> None:
        """Close every idle connection."""
        self._pool.close()

    def _fault(self, error: Exception) -> Exception:
        """Return what a failed exchange means: a lasting fault, or one that may pass."""
        url = self.endpoint.url
        text = str(error)
        if isinstance(error, http.NameResolutionError):
            return SetupError(
                f"the API host {url} cannot be found",
                "its name has no address",
                "correct it, or wait some minutes when its load balancer is new",
            )
        if isinstance(error, http.SSLError) and (fault := _certificate_fault(url, text)):
            return fault
        if isinstance(error, http.NewConnectionError | http.ConnectTimeoutError):
            return TransientError(f"no connection to {url}: {_short(text)}", unreachable=True)
        return TransientError(f"the connection to {url} broke: {_short(text)}")


def _certificate_fault(url: str, text: str) -> SetupError | None:
    """Return the lasting fault of a TLS handshake; None when the connection only broke."""
    said = text.lower()
    if "wrong_version_number" in said or "record layer" in said:
        plain = url.replace("https://", "http://", 1)
        return SetupError(
            f"{url} does not speak TLS", _short(text), f"the port may be plain http: try {plain}"
        )
    if "fingerprint" in said:
        return SetupError(
            f"{url} shows another certificate than this deployment's",
            "somebody may stand between, or OpenWhisk was set up again",
            "run configure_eks_cluster.py again if you set it up anew; -i skips the check",
        )
    if "certificate" in said:
        return SetupError(
            f"the certificate of {url} cannot be trusted",
            _short(text),
            "OpenWhisk's own certificate is self-signed: --tunnel cluster needs none, -i takes any",
        )
    return None


def _short(text: str) -> str:
    """Return the heart of one of urllib3's messages."""
    internal = "object at 0x" in text or text.startswith("HTTP")
    return text.rpartition(": ")[2].strip("()' ") if internal else text[:200]


def _tls(endpoint: Endpoint) -> dict[str, Any]:
    """Return urllib3's options: pinned when the certificate is known, checked otherwise."""
    options: dict[str, Any] = {}
    if endpoint.cert:
        options |= {"cert_file": endpoint.cert, "key_file": endpoint.key or None}
    if endpoint.insecure:
        warnings.simplefilter("ignore", http.InsecureRequestWarning)
        return options | {"cert_reqs": "CERT_NONE", "assert_hostname": False}
    if endpoint.fingerprint:
        return options | {"cert_reqs": "CERT_NONE", "assert_fingerprint": endpoint.fingerprint}
    return options | {"cert_reqs": "CERT_REQUIRED"}


def _pieces(body: Body, sent: Callable[[int], None]) -> Iterator[memoryview]:
    """Give the body piece by piece; the code's pieces are views of the one buffer."""
    for part in (memoryview(body.head), body.code, memoryview(body.tail)):
        for at in range(0, len(part), PIECE):
            piece = part[at : at + PIECE]
            yield piece
            sent(len(piece))


def _read(response: urllib3.BaseHTTPResponse) -> Any:
    """Return the answer's JSON, None when it is none or too long; the connection stays usable."""
    kept = bytearray()
    try:
        for block in response.stream(PIECE):
            if len(kept) <= ANSWER_LIMIT:
                kept += block
    finally:
        response.release_conn()
    if len(kept) > ANSWER_LIMIT:
        return None
    try:
        return json.loads(kept)
    except ValueError:
        return None
