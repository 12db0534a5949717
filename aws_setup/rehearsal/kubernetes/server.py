"""The API server: TLS, authentication, faults, and routing."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, TypeVar

from aws_setup.rehearsal.core import internal_errors
from aws_setup.rehearsal.core.clock import CloudClock
from aws_setup.rehearsal.core.faults import ConnectionDropped
from aws_setup.rehearsal.core.loopback import LoopbackServer, hold_port, read_body
from aws_setup.rehearsal.core.random_faults import FaultKind
from aws_setup.rehearsal.kubernetes import watch
from aws_setup.rehearsal.kubernetes.api import discovery, patches, responses, reviews
from aws_setup.rehearsal.kubernetes.api.authentication import certificate_authority
from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject, internal_error
from aws_setup.rehearsal.kubernetes.api.faults import KubernetesFaults
from aws_setup.rehearsal.kubernetes.api.http_requests import (
    ANONYMOUS,
    Request,
    RequestTarget,
    forbidden,
    forbidden_path,
    parse_path,
)
from aws_setup.rehearsal.kubernetes.api.responses import ApiResponse
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore
from aws_setup.rehearsal.kubernetes.api.subresources import Subresources
from aws_setup.rehearsal.kubernetes.api.verbs import ObjectApi
from aws_setup.rehearsal.kubernetes.controllers.context import CloudProvider
from aws_setup.rehearsal.kubernetes.controllers.controller_manager import ControllerManager
from aws_setup.rehearsal.kubernetes.controllers.nodes_and_namespaces import node
from aws_setup.rehearsal.kubernetes.kubeconfig import (
    Authenticate,
    kubeconfig_document,
    token_authenticator,
)

LOG = logging.getLogger(__name__)
T = TypeVar("T")
VERSION = "v1.33.1-eks-1de2ab1"
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class KubeApiServer:
    """One API server on loopback: `with KubeApiServer() as api: api.url, api.ca_pem, api.state`."""

    def __init__(
        self,
        *,
        clock: CloudClock | None = None,
        lock: threading.RLock | None = None,
        authenticate: Authenticate | None = None,
        cloud_provider: CloudProvider | None = None,
        faults: KubernetesFaults | None = None,
        version: str = VERSION,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a cluster without nodes; it listens within the `with` block.

        Args:
            clock: the clock of its controllers; by default without delays.
            lock: the lock of that clock.
            authenticate: the authenticator; by default it accepts the token `any`.
            cloud_provider: creates volumes and load balancers; by default it only names them.
            faults: faults that several clusters share.
            version: the version of /version.
            admit: called for each new connection; raises PacketDropped to never answer it.
        """
        self.clock = clock or CloudClock(speed=0)
        self.lock = lock or threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.authenticate = authenticate or token_authenticator("any")
        self.version = version
        self._admit = admit
        self.state = ObjectStore(self.clock.today)
        self.faults = faults or KubernetesFaults()
        self.controllers = ControllerManager(
            self.state, self.clock, self.faults, cloud_provider or CloudProvider()
        )
        self.api = ObjectApi(self.state)
        self.subresources = Subresources(self.api, log_of=self.controllers.log)
        self.requests: list[tuple[str, str, int]] = []
        self.internal_errors: list[str] = []
        self.ca_pem = certificate_authority().pem
        self.url = ""
        self.closing = self._ended = False
        for name in NAMESPACES:
            self.state.put(
                "namespaces", {"metadata": {"name": name}, "status": {"phase": "Active"}}
            )

    def __enter__(self) -> KubeApiServer:
        """Start listening."""
        self._listen(0)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; open watches end."""
        self._ended = True
        self._stop_listening()

    def _listen(self, port: int) -> None:
        class Bound(_Handler):
            owner = self

        with self.lock:
            if self._ended:
                return
            self._server = LoopbackServer(port, Bound, tls_context=self._accept, keeps_port=True)
            self.closing = False
            # Before another request can stop the server again.
            self._server.start()

    def _accept(self) -> ssl.SSLContext:
        """Return the TLS context of a new connection; raises PacketDropped."""
        self._admit()
        return certificate_authority().context

    def _stop_listening(self) -> bool:
        """Stop unless it does not listen; returns whether it did."""
        with self.changed:
            if self.closing:
                return False
            self.closing = True
            self.changed.notify_all()
        self._server.stop()
        return True

    def restart(self, seconds: float) -> None:
        """Refuse connections for some real seconds; open connections are dropped.

        An outage that begins during another one ends with it.
        """
        held = self._recorded("hold its port", lambda: hold_port(self._server.server_port))
        if not self._stop_listening():
            held.close()
            return
        timer = threading.Timer(seconds, self._listen_again, (held,))
        timer.daemon = True
        timer.start()

    def _listen_again(self, held: socket.socket) -> None:
        with held:
            self._recorded("listen again", lambda: self._listen(held.getsockname()[1]))

    def _recorded(self, what: str, act: Callable[[], T]) -> T:
        """Return what `act` returns; its error is recorded: it would end only a thread."""
        try:
            return act()
        except OSError as error:
            LOG.exception("the emulated API server cannot %s", what)
            self.internal_errors.append(f"{what}: {error!r}")
            internal_errors.record(what, error)
            raise

    def kubeconfig(self, *, token: str = "any", namespace: str = "default") -> KubeObject:
        """Return a kubeconfig for this server."""
        return kubeconfig_document(self.url, self.ca_pem, token=token, namespace=namespace)

    def add_node(self, name: str, *, zone: str = "us-east-1a", **labels: str) -> None:
        """Add a node; `openwhisk_role="core"` becomes the label openwhisk-role."""
        named = {key.replace("_", "-"): value for key, value in labels.items()}
        with self.lock:
            made = node(name, labels=named, zone=zone, taints=[], version=self.version)
            self.state.put("nodes", made)

    def tick(self) -> None:
        """Apply due transitions; called at every request, and by tests."""
        with self.changed:
            before = self.state.version
            self.clock.apply_due()
            self.controllers.run()
            self.clock.apply_due()
            if self.state.version != before:
                self.changed.notify_all()

    def answer(self, request: Request) -> ApiResponse | Iterator[KubeObject]:
        """Answer a request; the answer to a watch is an iterator of its events.

        Raises:
            ApiError: the request is rejected.
        """
        if fixed := discovery.answer(request, version=self.version):
            return fixed
        if (reviewed := reviews.review(request)) is not None:
            return ApiResponse(201, reviewed)
        try:
            target = parse_path(request.path)
        except ApiError as error:
            raise error if request.user.admin else forbidden_path(request) from error
        if fault := self.faults.status(request.verb, target.kind.plural):
            raise ApiError(
                fault.status,
                "InternalError",
                "the server is currently unable to handle the request",
                details={"retryAfterSeconds": fault.retry_after} if fault.retry_after else None,
            )
        if not request.user.admin:
            raise forbidden(request, target)
        if request.method == "GET" and request.watches:
            return watch.watch(self, request, target)
        with self.changed:
            self.tick()
            if request.method in {"PUT", "PATCH"}:
                self._inject_concurrent_write(target, concurrent_write=request.concurrent_write)
            work = self.subresources if target.subresource else self.api
            answer = work.answer(request, target)
            self.tick()
            self.changed.notify_all()
        return answer

    def _inject_concurrent_write(self, target: RequestTarget, *, concurrent_write: bool) -> None:
        plural = target.kind.plural
        held = self.state.get(plural, target.name, target.namespace)
        change = self.faults.second_writer(plural, target.name) if held else {}
        if concurrent_write:
            change = {"metadata": {"annotations": {"second-writer": str(self.state.version)}}}
        if held and change:
            self.state.put(plural, patches.json_merge(held, change))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: ClassVar[KubeApiServer]

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: `requests` has every request."""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        body = read_body(self)
        api = self.owner
        try:
            fault = self._random_fault()
            if api.closing or api.faults.breaks_connection() or fault is FaultKind.DROPPED:
                self._break_connection()
                return
            request = self._request(body, concurrent_write=fault is FaultKind.CONFLICT)
            if seconds := api.faults.outage_seconds(*request.fault_key):
                api.restart(seconds)
                self._break_connection()
                return
            answer = self._answer(request)
        except ApiError as error:
            self._send(error.code, error.status(), retry=error.details.get("retryAfterSeconds"))
            return
        except (ConnectionDropped, ConnectionError):
            self._break_connection()
            return
        if fault is FaultKind.LOST:
            self._break_connection()
        elif isinstance(answer, ApiResponse):
            self._send(answer.status, answer.body, kind=answer.kind, warnings=request.warnings)
        else:
            self._stream(itertools.islice(answer, 1) if fault is FaultKind.WATCH else answer)

    do_PUT = do_POST = do_PATCH = do_DELETE = do_GET

    def _answer(self, request: Request) -> ApiResponse | Iterator[KubeObject]:
        """Answer a request; an error of the emulator itself is logged, and answered with 500.

        Raises:
            ApiError: the request is rejected, or the emulator cannot handle it.
            ConnectionDropped, ConnectionError: the request gets no answer.
        """
        try:
            return self.owner.answer(request)
        except (ApiError, ConnectionDropped, ConnectionError):
            raise
        except Exception as error:
            LOG.exception("the emulated API server cannot answer %s %s", self.command, self.path)
            self.owner.internal_errors.append(f"{self.command} {self.path}: {error!r}")
            internal_errors.record(f"the answer to {self.command} {self.path}", error)
            raise internal_error(error) from error

    def _random_fault(self) -> FaultKind | None:
        """Return the random fault of this request, if any."""
        random_faults = self.owner.faults.random_faults
        agent = self.headers.get("User-Agent") or ""
        return random_faults.before(self.command, self.path, agent) if random_faults else None

    def _break_connection(self) -> None:
        self._record(0)
        self.close_connection = True
        self.connection.close()

    def _request(self, body: bytes, *, concurrent_write: bool) -> Request:
        header = self.headers.get("Authorization") or ""
        # Without a bearer token no authenticator has an opinion, and the caller is anonymous.
        is_bearer = header.lower().startswith("bearer ") and header[7:].strip()
        user = self.owner.authenticate(header) if is_bearer else ANONYMOUS
        return Request(
            method=self.command,
            target=self.path,
            body=body,
            content_type=self.headers.get("Content-Type") or "",
            agent=self.headers.get("User-Agent") or "",
            accept=self.headers.get("Accept") or "",
            user=user,
            concurrent_write=concurrent_write,
        )

    def _send(
        self,
        status: int,
        body: KubeObject | str,
        *,
        kind: str = "",
        retry: int | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        self._record(status)
        raw, media = responses.encode(body, self.headers.get("Accept") or "")
        self.send_response(status)
        self.send_header("Content-Type", kind or media)
        if status != 204:
            self.send_header("Content-Length", str(len(raw)))
        for text in dict.fromkeys(warnings):
            self.send_header("Warning", f"299 - {json.dumps(text, ensure_ascii=True)}")
        if retry is not None:
            self.send_header("Retry-After", str(retry))
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, events: Iterator[KubeObject]) -> None:
        self._record(200)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _record(self, status: int) -> None:
        self.owner.requests.append((self.command, self.path, status))
