"""Tunnels: a local port whose connections are forwarded through SSH or the cluster's API server."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from aws_setup.config import Config
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.kube.client import KubeClient
from aws_setup.kube.objects import POD, SECRET, SERVICE, decode_secret
from aws_setup.namenodes.endpoint import Endpoint, check_auth
from aws_setup.openwhisk.addresses import chart_service, internal_port, public_service
from aws_setup.openwhisk.credentials_file import OpenWhiskCredentials

log = logging.getLogger(__name__)

BLOCK = 256 * 1024


@contextlib.contextmanager
def relay(open_remote: Callable[[], socket.socket]) -> Iterator[int]:
    """Yield the local port; `open_remote` opens the remote socket of each connection to it.

    The first remote socket is opened at once, so that a tunnel that cannot be opened fails here.
    """
    ready = [open_remote()]

    def remote_socket() -> socket.socket:
        return ready.pop() if ready else open_remote()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, remote_socket), daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            for unused in ready:
                unused.close()


def _serve(server: socket.socket, remote_socket: Callable[[], socket.socket]) -> None:
    while True:
        try:
            local, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(local, remote_socket), daemon=True).start()


def _connect(local: socket.socket, remote_socket: Callable[[], socket.socket]) -> None:
    """Forward one connection; close it when the remote socket cannot be opened."""
    try:
        remote = remote_socket()
    except SetupError as error:
        log.warning("the tunnel could not be opened: %s", error)
        local.close()
        return
    answers = threading.Thread(target=_pump, args=(remote, local), daemon=True)
    answers.start()
    _pump(local, remote)
    answers.join()
    local.close()
    remote.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class PodForwarding(Protocol):
    """The OpenWhisk of a deployment, reached through its cluster."""

    def auth(self) -> str:
        """Return the key of the guest namespace."""

    def forward(self) -> AbstractContextManager[int]:
        """Yield a port on 127.0.0.1 that is forwarded to the http port of OpenWhisk's nginx."""


class Forwarder(Protocol):
    """A machine that can forward a local port to an address in its network."""

    def forward(self, host: str, port: int) -> AbstractContextManager[int]:
        """Yield a port on 127.0.0.1 that is forwarded to `host`:`port`."""


@contextmanager
def via_ssh(forwarder: Forwarder, endpoint: Endpoint) -> Iterator[Endpoint]:
    """Yield the same API host, reached by a local port.

    The certificate of the load balancer is not issued for 127.0.0.1: with https it must be
    pinned, or -i set; otherwise the verification of the certificate fails.
    """
    parts = urlsplit(endpoint.url)
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    with forwarder.forward(parts.hostname or "", port) as local:
        yield replace(endpoint, url=f"{parts.scheme}://127.0.0.1:{local}")


@contextmanager
def via_cluster(cluster: PodForwarding, auth: str) -> Iterator[Endpoint]:
    """Yield OpenWhisk as reached through the cluster's API server, past any load balancer.

    The key is the deployment's unless the command line sets one: `wsk`'s file and variables may
    belong to another OpenWhisk.
    """
    key = auth or cluster.auth()
    with cluster.forward() as local:
        yield Endpoint(
            url=f"http://127.0.0.1:{local}",
            auth=check_auth(key, source="the command line" if auth else "the cluster's secret"),
            source="--tunnel cluster",
        )


LOAD_BALANCER = "service.beta.kubernetes.io/aws-load-balancer-"
"""https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations"""


@dataclass(frozen=True)
class InCluster:
    """The OpenWhisk of a deployment, read through the cluster's API server."""

    kube: KubeClient
    config: Config

    def access(self) -> OpenWhiskCredentials | None:
        """Return API host, key and certificate; None when the chart is not installed.

        Raises:
            SetupError: the load balancer has no address yet, or Kubernetes denies the request.
        """
        chart = self.kube.get(SERVICE, chart_service(self.config), self._namespace)
        if chart is None:
            return None
        own = self.kube.get(SERVICE, public_service(self.config), self._namespace)
        scheme, port = scheme_and_port(own or chart)
        inside = internal_port(chart, scheme) if own else port
        return OpenWhiskCredentials(
            apihost=f"{scheme}://{_host(own or chart)}:{port}",
            auth=self.auth(),
            fingerprint=self._fingerprint() if scheme == "https" else "",
            internal=f"{scheme}://{_host(chart)}:{inside}",
        )

    def auth(self) -> str:
        """Return the key of the guest namespace, '' when there is none."""
        keys = self.kube.get(SECRET, self._name("whisk.auth"), self._namespace)
        return decode_secret(keys).get("guest", "") if keys else ""

    @contextmanager
    def forward(self) -> Iterator[int]:
        """Yield a port on 127.0.0.1 that is forwarded to the http port of OpenWhisk's nginx.

        The connection to the API server encrypts the traffic.

        Raises:
            SetupError: the chart is not installed, or its nginx is not running.
        """
        service = self.kube.get(SERVICE, self._name("nginx"), self._namespace)
        pods = self._pods(service) if service else []
        running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
        if service is None or not running:
            raise SetupError(
                f"OpenWhisk's nginx is not running in the namespace {self._namespace}",
                f"{count_of(len(pods), 'pod')} of {self._name('nginx')}, none of them running",
                "run python configure_eks_cluster.py",
            )
        pod = running[0]
        name, port = str(pod["metadata"]["name"]), plain_port(service, pod)
        with relay(lambda: self.kube.forward(name, self._namespace, port)) as local:
            yield local

    @property
    def _namespace(self) -> str:
        return self.config.openwhisk_namespace

    def _name(self, part: str) -> str:
        return f"{self.config.openwhisk_release}-{part}"

    def _pods(self, service: Mapping[str, Any]) -> list[dict[str, Any]]:
        selector: Mapping[str, str] = service.get("spec", {}).get("selector") or {}
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        return self.kube.list(POD, self._namespace, labels=labels)

    def _fingerprint(self) -> str:
        """Return the certificate's SHA-256; '' when the load balancer presents another one."""
        if self.config.openwhisk_tls_arn:
            return ""
        secret = self.kube.get(SECRET, self._name("nginx"), self._namespace)
        return fingerprint(decode_secret(secret).get("tls.crt", "")) if secret else ""


def scheme_and_port(service: Mapping[str, Any]) -> tuple[str, int]:
    """Return the scheme and the port of the load balancer.

    It uses TLS on the ports that the annotation `ssl-ports` names (by name or number, * is all)
    if it has a certificate; the chart's default names a port that does not exist, so that even 443
    is plain http.
    """
    notes: Mapping[str, str] = service.get("metadata", {}).get("annotations") or {}
    ports: list[dict[str, Any]] = service.get("spec", {}).get("ports") or []
    named = {item.strip() for item in notes.get(f"{LOAD_BALANCER}ssl-ports", "*").split(",")}
    if notes.get(f"{LOAD_BALANCER}ssl-cert"):
        for port in ports:
            if "*" in named or {str(port.get("name")), str(port["port"])} & named:
                return "https", int(port["port"])
    by_name = {str(port.get("name")): int(port["port"]) for port in ports}
    return "http", by_name.get("http", 80)


def _host(service: Mapping[str, Any]) -> str:
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    host = next((entry.get("hostname") or entry.get("ip") for entry in ingress), "")
    if not host:
        raise SetupError(
            "OpenWhisk's load balancer has no address yet",
            "its Service has no ingress",
            "wait some minutes, run python configure_eks_cluster.py, which waits, or use --tunnel",
        )
    return str(host)


def plain_port(service: Mapping[str, Any], pod: Mapping[str, Any]) -> int:
    """Return the pod's port behind the Service's port `http`."""
    ports: list[dict[str, Any]] = service.get("spec", {}).get("ports") or []
    http = next((port for port in ports if port.get("name") == "http"), {"port": 80})
    target = http.get("targetPort", http["port"])
    for container in pod.get("spec", {}).get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == target:
                return int(port["containerPort"])
    return whole_number(str(target)) or 80


def fingerprint(pem: str) -> str:
    """Return the SHA-256, in hex, of the first certificate of a PEM text; '' when there is none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in pem or end not in pem:
        return ""
    first = pem[pem.index(begin) : pem.index(end) + len(end)]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()
