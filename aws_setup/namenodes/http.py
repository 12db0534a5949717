"""One HTTP request to OpenWhisk: connection, certificate, streamed body, limited response."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions as http
from urllib3.util import make_headers

from aws_setup.config.version import USER_AGENT
from aws_setup.engine.deadline import remaining
from aws_setup.engine.decoding import Undecodable, json_of
from aws_setup.engine.http_deadline import (
    PIECE,
    AnswerTooLong,
    clock_hint,
    guarded,
    read_answer,
    why_broken,
)
from aws_setup.engine.proxies import HINT_LOGIN, pools_for, proxy_hint, refused_by_proxy
from aws_setup.engine.wait import format_duration
from aws_setup.engine.write_guard import before_write
from aws_setup.errors import SetupError
from aws_setup.namenodes.action import Body
from aws_setup.namenodes.endpoint import Endpoint

log = logging.getLogger(__name__)

MIB = 1024 * 1024

ANSWER_KEPT = 8 * MIB
"""Bytes kept of a response; the rest (the code, echoed) is read and discarded."""

ANSWER_LIMIT = 128 * MIB
"""Bytes read of a response; a PUT's response has the code, whose base64 is at most 64 MB."""

ANSWER_SECONDS = 300.0
"""Seconds for a request without a body and its whole response; invoking may take 60 s."""

UPLOAD_SECONDS = 3600.0
"""Seconds for a request with a body; the user's --timeout is shorter."""

CONNECT_SECONDS = 20.0
"""Seconds to open a connection."""

PROXY_LOGIN = 407
"""A status of proxies alone, which they answer with themselves where nothing is encrypted."""


UNCONNECTED = (
    http.NewConnectionError,
    http.ConnectTimeoutError,
    http.NameResolutionError,
    http.ProxyError,
)


class TransientError(Exception):
    """A failure after which the request can be sent again.

    `after` is the pause in seconds that the server asked for. `unreachable` is True when there was
    no connection at all: the host is starting, or the address is wrong. `upload_seconds` are those
    that the whole body would take, where the time was over before it was sent; 0 else.
    """

    def __init__(
        self,
        why: str,
        *,
        after: float | None = None,
        unreachable: bool = False,
        upload_seconds: float = 0.0,
    ) -> None:
        super().__init__(why)
        self.after = after
        self.unreachable = unreachable
        self.upload_seconds = upload_seconds


@dataclass
class _Progress:
    """How much of a body was given to the connection, and when the last of it was."""

    length: int
    listener: Callable[[int], None]
    began: float = field(default_factory=time.monotonic)
    bytes: int = 0
    seconds: float = 0.0

    def count(self, size: int) -> None:
        """Note that a piece was sent."""
        self.bytes += size
        self.seconds = time.monotonic() - self.began
        self.listener(size)

    def late(self, url: str, seconds: float) -> TransientError:
        """Return the error of a request that was not answered within some seconds.

        The last bytes wait in the system's buffer, so a body that took most of the time was slow,
        too.
        """
        limit = format_duration(seconds)
        if not self.bytes or (self.bytes >= self.length and self.seconds < seconds / 2):
            return TransientError(f"{url} sent no complete answer within {limit}")
        sent, size = (math.ceil(10 * count / MIB) / 10 for count in (self.bytes, self.length))
        return TransientError(
            f"{sent:g} of {size:g} MiB were sent to {url} in {limit}",
            upload_seconds=seconds * self.length / self.bytes,
        )


@dataclass(frozen=True)
class HttpResponse:
    """Status, headers and JSON of a response; `document` is None when it is not JSON."""

    status: int
    headers: Mapping[str, str]
    document: Any

    @property
    def reason(self) -> str:
        """OpenWhisk's error message, else the status alone."""
        if isinstance(self.document, dict) and self.document.get("error"):
            return f"{self.document['error']} (HTTP {self.status})"
        return f"HTTP {self.status}"


class HttpConnection:
    """Kept-alive connections to one API host; safe to use from many threads."""

    def __init__(self, endpoint: Endpoint, *, width: int, read_seconds: float) -> None:
        parts = urlsplit(endpoint.url)
        self.endpoint = endpoint
        self.requests = 0
        self._answered = False
        self._read_seconds = read_seconds
        self._headers = make_headers(basic_auth=endpoint.auth, user_agent=USER_AGENT)
        options: dict[str, Any] = {"maxsize": width, "block": True, "retries": False}
        if parts.scheme.lower() == "https":
            options |= _tls(endpoint)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._pools = pools_for(self._base, **options)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        sent: Callable[[int], None] = lambda _: None,
        signed: bool = True,
    ) -> HttpResponse:
        """Send a request and return its response, whatever its status.

        Args:
            method: the HTTP method.
            path: the path and query of the URL.
            body: the request body, with Content-Length; its code is not copied.
            sent: called with the number of bytes after each piece.
            signed: whether to send the key.

        Raises:
            TransientError: the connection failed or timed out.
            SetupError: the host name does not resolve, or the certificate is not the expected one.
        """
        if method != "GET":
            before_write()
        headers = dict(self._headers) if signed else make_headers(user_agent=USER_AGENT)
        if body is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(body.length)}
        self.requests += 1
        seconds = remaining(UPLOAD_SECONDS if body is not None else ANSWER_SECONDS)
        progress, url = _Progress(body.length if body is not None else 0, sent), self.endpoint.url
        with guarded(seconds) as guard:
            try:
                received = self._exchange(method, path, body, progress.count, headers)
            except (http.HTTPError, OSError) as error:
                late = guard.expired
                raise progress.late(url, seconds) if late else self._translate(error) from error
            except AnswerTooLong as error:
                raise SetupError(
                    f"{url} does not answer as OpenWhisk does",
                    str(error),
                    "check that the address is OpenWhisk's API host",
                ) from error
        if guard.expired:
            # A head that was cut off counts as complete in http.client.
            raise progress.late(url, seconds)
        if received.status == PROXY_LOGIN:
            raise SetupError(f"the proxy does not let through requests to {url}", "407", HINT_LOGIN)
        self._answered = True
        log.debug("%s %s: %s", method, path, received.status)
        return received

    def _exchange(
        self,
        method: str,
        path: str,
        body: Body | None,
        sent: Callable[[int], None],
        headers: Mapping[str, str],
    ) -> HttpResponse:
        timeout = urllib3.Timeout(
            connect=remaining(CONNECT_SECONDS), read=remaining(self._read_seconds)
        )
        response = self._pools.urlopen(
            method,
            self._base + path,
            body=_pieces(body, sent) if body is not None else None,
            headers=headers,
            timeout=timeout,
            redirect=False,
            preload_content=False,
        )
        return HttpResponse(response.status, response.headers, _read(response))

    def close(self) -> None:
        """Close every idle connection."""
        self._pools.clear()

    def _translate(self, error: Exception) -> Exception:
        """Return the error of a failed exchange: permanent (SetupError), or transient."""
        url = self.endpoint.url
        text, why = str(error), why_broken(error)
        if refused_by_proxy(why):
            hint = f"{proxy_hint(why)}; or use --tunnel cluster"
            return SetupError(f"{url} cannot be reached from this computer", why, hint)
        # Once it has answered, the name is right: the network has changed, and may come back.
        if isinstance(error, http.NameResolutionError) and not self._answered:
            return SetupError(
                f"the API host {url} cannot be found",
                "its host name does not resolve",
                "correct the name; the name of a new load balancer resolves after some minutes",
            )
        if isinstance(error, http.SSLError) and (permanent := _certificate_error(url, text, why)):
            return permanent
        if isinstance(error, UNCONNECTED):
            return TransientError(f"no connection to {url}: {why}", unreachable=True)
        return TransientError(f"the connection to {url} broke: {why}")


def _certificate_error(url: str, text: str, why: str) -> SetupError | None:
    """Return the permanent error of a TLS handshake; None when the connection only broke."""
    message = text.lower()
    if "wrong_version_number" in message or "record layer" in message:
        plain = url.replace("https://", "http://", 1)
        return SetupError(
            f"{url} does not use TLS", why, f"try {plain}: the port may be plain http"
        )
    if "fingerprint" in message:
        return SetupError(
            f"{url} presents another certificate than this deployment's",
            "OpenWhisk was set up again, or the connection is being intercepted",
            "if OpenWhisk was set up again, run python configure_eks_cluster.py again; -i skips "
            "the check",
        )
    if "certificate" in message and (hint := clock_hint(why)):
        what = f"the certificate of {url} is not valid at the time of this computer's clock"
        return SetupError(
            what, why, f"{hint}; if the clock is right, the certificate needs renewal"
        )
    if "certificate" in message:
        return SetupError(
            f"the certificate of {url} is not trusted",
            f"{why}; OpenWhisk's default certificate is self-signed",
            "use --tunnel cluster, which needs no certificate, or -i, which accepts any",
        )
    return None


def _tls(endpoint: Endpoint) -> dict[str, Any]:
    """Return urllib3's options: the certificate is pinned when it is known, else verified."""
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
    """Yield the body in pieces; the code's pieces are views of the one buffer.

    Progress is updated and a second Ctrl-C is checked after each. The socket's timeout of
    CONNECT_SECONDS applies to each piece, so a piece is small enough for slow lines.
    """
    for part in (memoryview(body.head), body.code, memoryview(body.tail)):
        for at in range(0, len(part), PIECE):
            piece = part[at : at + PIECE]
            yield piece
            sent(len(piece))


def _read(response: urllib3.BaseHTTPResponse) -> Any:
    """Return the response's JSON; None when it is not JSON or too long. Keeps the connection."""
    answer = read_answer(response, most=ANSWER_LIMIT, keep=ANSWER_KEPT)
    try:
        return None if answer is None else json_of(answer)
    except Undecodable:
        return None
