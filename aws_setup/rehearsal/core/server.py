"""The HTTP server: loopback only, threaded, connections kept open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from aws_setup.rehearsal.core import admin_api
from aws_setup.rehearsal.core.clock import CloudClock
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.faults import ConnectionDropped
from aws_setup.rehearsal.core.loopback import LOOPBACK, LoopbackServer, read_body
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.settings import Settings

LOOPBACK_HOST_NAMES = {"127.0.0.1", "localhost", "[::1]"}
"""Accepted Host headers; any other may be a web page with a rebound DNS name."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    cloud: ClassVar[Cloud]

    def answer(self) -> None:
        """Answer one request, or drop the connection for a fault."""
        request = HttpRequest(
            method=self.command,
            target=self.path,
            headers={key.lower(): value for key, value in self.headers.items()},
            body=read_body(self),
        )
        try:
            self._send(self._route(request))
        except ConnectionDropped:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _route(self, request: HttpRequest) -> HttpAnswer:
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        if host not in LOOPBACK_HOST_NAMES:
            return HttpAnswer(403, b"the rehearsal cloud answers on loopback only\n")
        if request.target.startswith(admin_api.PREFIX):
            return admin_api.answer(self.cloud, request)
        return self.cloud.handle(request)

    def _send(self, answer: HttpAnswer) -> None:
        self.send_response_only(answer.status)
        # Each of AWS's answers has one (RFC 9110, 6.6.1); clients compare their clock with it.
        self.send_header("Date", self.date_time_string())
        for key, value in answer.headers.items():
            if key.lower() not in ("content-length", "connection", "date", "status"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = answer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the call log has every request."""


class RehearsalCloud(Cloud):
    """A cloud with an HTTP server; `url` is the value of AWS_ENDPOINT_URL."""

    url: str = ""


@contextmanager
def serve(
    settings: Settings | None = None, *, port: int = 0, clock: CloudClock | None = None
) -> Iterator[RehearsalCloud]:
    """Run a cloud on a port of loopback (0: any free port) until the block ends.

    Raises:
        OSError: the port is in use.
    """
    handler = type("Handler", (_Handler,), {})
    server = LoopbackServer(port, handler)
    cloud = RehearsalCloud(settings, clock=clock)
    cloud.url = f"http://{LOOPBACK}:{server.server_port}"
    handler.cloud = cloud  # type: ignore[attr-defined]  # set on the class created above
    server.start()
    try:
        yield cloud
    finally:
        server.stop()
