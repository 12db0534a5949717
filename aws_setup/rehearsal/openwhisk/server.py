"""The HTTP server of the emulated OpenWhisk: nginx's limits and the controller's routes."""

from __future__ import annotations

import base64
import hmac
import json
import socket
import ssl
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.core.loopback import LOOPBACK, ConnectionTls, LoopbackServer
from aws_setup.rehearsal.openwhisk.activations import INTERNAL_ERROR, activate
from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind, OpenWhiskFaults
from aws_setup.rehearsal.openwhisk.invocation import Invocation, NameNodeRuntime
from aws_setup.rehearsal.openwhisk.put_body import MalformedError, PutBody, blocks, read_put
from aws_setup.rehearsal.openwhisk.store import MEGABYTE, SYSTEM, OpenWhiskError, Store

BODY_LIMIT = 50 * MEGABYTE
"""nginx's client_max_body_size in the OpenWhisk chart."""

AUTH = "00000000-0000-4000-8000-000000000000:rehearsal"
BASE = "/api/v1/namespaces/_/"
WEB = "/api/v1/web/"
"""Web actions: followed by namespace, package and name."""


@dataclass
class OpenWhiskServer:
    """An emulated OpenWhisk: its namespaces, its faults, and its log of requests.

    `store` is the namespace guest with the key `auth`, `system` is whisk.system with `system_auth`;
    '' as a key is none.

    `namenodes` starts the NameNodes; None: they connect to nothing, and start.
    """

    store: Store = field(default_factory=Store)
    faults: OpenWhiskFaults = field(default_factory=OpenWhiskFaults)
    auth: str = AUTH
    system: Store = field(default_factory=lambda: Store(namespace=SYSTEM))
    system_auth: str = ""
    echo: bool = False
    healthy: int = 8
    activation: dict[str, Any] = field(default_factory=dict)
    namenodes: NameNodeRuntime | None = None
    requests: Counter[str] = field(default_factory=Counter)
    puts: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    @property
    def stores(self) -> Mapping[str, Store]:
        """The namespaces by name."""
        return {store.namespace: store for store in (self.store, self.system)}

    def wipe(self) -> None:
        """Delete what the namespaces hold, as the chart's job init-couchdb does."""
        for store in self.stores.values():
            store.wipe()

    def replace_database(self) -> None:
        """Begin with an empty database."""
        self.store, self.system = Store(), Store(namespace=SYSTEM)

    def store_of(self, authorization: str) -> Store | None:
        """Return the namespace of a key in an Authorization header; None for other keys."""
        for auth, store in ((self.auth, self.store), (self.system_auth, self.system)):
            expected = "Basic " + base64.b64encode(auth.encode()).decode()
            if auth and hmac.compare_digest(authorization.encode(), expected.encode()):
                return store
        return None


PUBLIC_ROUTES: dict[str, Callable[[OpenWhiskServer], Any]] = {
    "/": lambda whisk: whisk.store.info(),
    "/ping": lambda _: "pong",
    "/invokers/healthy/count": lambda whisk: whisk.healthy,
    "/rehearsal/requests": lambda whisk: dict(whisk.requests),
}
"""Paths without authentication; the last one, the request counts, is not part of OpenWhisk."""


@contextmanager
def serve(
    whisk: OpenWhiskServer,
    *,
    certificate: Certificate | None = None,
    port: int = 0,
    tls_context: ConnectionTls | None = None,
) -> Iterator[str]:
    """Serve on loopback until the block ends; yields the URL.

    Raises:
        OSError: the port is in use.
    """
    fixed = certificate.context() if certificate else None

    class Bound(_Handler):
        owner = whisk

    server = LoopbackServer(port, Bound, tls_context=tls_context or (lambda: fixed))
    server.start()
    whisk.url = f"http{'s' if certificate else ''}://{LOOPBACK}:{server.server_port}"
    try:
        yield whisk.url
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    disable_nagle_algorithm = True
    owner: ClassVar[OpenWhiskServer]
    _activation = ""
    """The id of the activation that a web action's response names."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        whisk, url, self._activation = self.owner, urlsplit(self.path), ""
        length = int(self.headers.get("Content-Length", 0))
        whisk.requests[self.command] += 1
        fault = whisk.faults.next_fault(self.command, url.path.rpartition("/")[2])
        if fault and fault.kind is HttpFaultKind.RESET_BEFORE:
            self._reset()
            return
        if whisk.faults.seconds:
            time.sleep(whisk.faults.seconds)
        try:
            status, answer = self._answer(url.path, parse_qs(url.query), length, fault)
        except OpenWhiskError as refusal:
            status, answer = refusal.status, {"error": refusal.error, "code": uuid.uuid4().hex}
        except MalformedError as error:
            status, answer = 400, {"error": f"The request content was malformed: {error}"}
        if fault and fault.kind is HttpFaultKind.RESET_AFTER:
            self._reset()
            return
        if fault and fault.kind is HttpFaultKind.STATUS_AFTER:
            status, answer = fault.status, None
        self._reply(status, answer, fault)
        if length > BODY_LIMIT:
            self._drop(length)

    do_PUT = do_POST = do_DELETE = do_GET

    def _answer(
        self, path: str, query: dict[str, list[str]], length: int, fault: Fault | None
    ) -> tuple[int, Any]:
        whisk = self.owner
        if "Transfer-Encoding" in self.headers:
            raise OpenWhiskError(411, "a Content-Length is required")
        if length > BODY_LIMIT:
            self.close_connection = True
            return 413, None
        if path in PUBLIC_ROUTES:
            return 200, PUBLIC_ROUTES[path](whisk)
        if path.startswith(WEB):
            return self._invoke_web(path, self._body(length) if length else PutBody({}))
        store = whisk.store_of(self.headers.get("Authorization", ""))
        if store is None:
            self._drop(length)
            raise OpenWhiskError(401, "The supplied authentication is invalid.")
        if path == BASE.removesuffix("/_/"):
            return 200, [store.namespace]
        if not path.startswith(BASE):
            self._drop(length)
            raise OpenWhiskError(404, "The requested resource does not exist.")
        collection, _, name = path.removeprefix(BASE).partition("/")
        put = self._body(length) if length else PutBody({})
        if fault and fault.kind is HttpFaultKind.STATUS:
            return fault.status, None
        if fault and fault.kind is HttpFaultKind.CONCURRENT:
            raise OpenWhiskError(409, "Concurrent modification to resource detected.")
        return self._route(store, (collection, unquote(name)), query, put)

    def _route(
        self, store: Store, path: tuple[str, str], query: dict[str, list[str]], put: PutBody
    ) -> tuple[int, Any]:
        collection, name = path
        if not name:
            limit, skip = (int(query.get(key, ["0"])[0]) for key in ("limit", "skip"))
            return 200, store.listing(collection, limit=limit or 30, skip=skip)
        if collection == "activations":
            if name not in store.activations:
                raise OpenWhiskError(404, "The requested resource does not exist.")
            return 200, store.activations[name]
        if self.command == "PUT":
            overwrite = query.get("overwrite", ["false"])[0] == "true"
            new = store.put(name, put, overwrite=overwrite)
            self.owner.puts.append(_record(name, query, put))
            return 200, _echoed(new, put) if self.owner.echo else new
        if self.command == "DELETE":
            return 200, store.delete(name)
        if self.command == "POST":
            return self._invoke(store, name, put.document)
        return 200, store.get(name)

    def _invoke(self, store: Store, name: str, arguments: dict[str, Any]) -> tuple[int, Any]:
        """Invoke an action; only its stored record has the log.

        https://github.com/apache/openwhisk/blob/master/core/controller/src/main/scala/org/apache/openwhisk/core/controller/Actions.scala
        """
        whisk = self.owner
        given = store.arguments(name, arguments)
        invocation = Invocation(store.get(name), store.files_of(name), given)
        cold = store.start_container(name)
        record = activate(invocation, whisk.namenodes, cold=cold) | whisk.activation
        store.activations[record["activationId"]] = record
        if whisk.activation.get("late"):
            return 202, {"activationId": record["activationId"]}
        failed = 500 if record["response"].get("statusCode") == INTERNAL_ERROR else 502
        return (200 if record["response"]["success"] else failed), record | {"logs": []}

    def _invoke_web(self, path: str, body: PutBody) -> tuple[int, Any]:
        """Invoke a web action, for which no key is needed; return the body of its result.

        Of one that has failed nothing is told. One that requires a key or a secret is
        refused: its callers send none here.
        https://github.com/apache/openwhisk/blob/master/core/controller/src/main/scala/org/apache/openwhisk/core/controller/WebActions.scala
        """
        package, _, name = unquote(path).removeprefix(WEB).rpartition("/")
        namespace, _, package = package.partition("/")
        store = self.owner.stores.get(namespace)
        if store is None or package != "default":
            raise OpenWhiskError(404, "The requested resource does not exist.")
        action = store.get(name)
        notes = {item["key"]: item["value"] for item in action["annotations"]}
        if not notes.get("web-export"):
            raise OpenWhiskError(404, "The requested resource does not exist.")
        if notes.get("require-whisk-auth"):
            # λFS's clients send no key.
            raise OpenWhiskError(401, "The resource requires authentication.")
        status, record = self._invoke(store, name, body.document)
        self._activation = str(record["activationId"])
        if status == 202:
            return status, record
        if status != 200:
            raise OpenWhiskError(400, "There was an error processing your request.")
        result = record["response"]["result"]
        return int(result.get("statusCode", 200)), result.get("body", result)

    def _body(self, length: int) -> PutBody:
        return read_put(self.rfile, length, keep_files=self.owner.namenodes is not None)

    def _drop(self, length: int) -> None:
        for _ in blocks(self.rfile, length):
            pass

    def _reply(self, status: int, answer: Any, fault: Fault | None) -> None:
        if answer is None:
            body, kind = f"<html><h1>{status}</h1></html>".encode(), "text/html"
        else:
            body, kind = json.dumps(answer).encode(), "application/json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self._activation:
            self.send_header("X-Openwhisk-Activation-Id", self._activation)
        if fault and fault.retry_after is not None:
            self.send_header("Retry-After", str(fault.retry_after))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """Break the connection with a TCP reset."""
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()


def _record(name: str, query: dict[str, list[str]], put: PutBody) -> dict[str, Any]:
    return {
        "name": name,
        "overwrite": query.get("overwrite", [""])[0],
        "document": put.document,
        "code_length": put.code_length,
        "sha256": put.sha256,
    }


def _echoed(action: dict[str, Any], put: PutBody) -> dict[str, Any]:
    """Return the action with code as long as that of the request, as some versions answer."""
    return action | {"exec": action["exec"] | {"code": "A" * put.code_length}}


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM."""

    pem: bytes
    key: bytes

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a server with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with temporary_folder() as folder:
            path = folder / "both.pem"
            path.write_bytes(self.pem + self.key)
            context.load_cert_chain(path)
        return context


def self_signed(common_name: str = "openwhisk") -> Certificate:
    """Return a new self-signed certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        pem=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
