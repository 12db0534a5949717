"""OpenWhisk's HTTP API as seen from this computer: DNS, scheme, healthy invokers; its step."""

from __future__ import annotations

import hashlib
import socket
import ssl
import warnings
from dataclasses import dataclass

import urllib3

from aws_setup.aws.context import Context, Step
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.config.version import USER_AGENT
from aws_setup.engine.deadline import remaining
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.http_deadline import POOLS, AnswerTooLong, guarded, read_answer, why_broken
from aws_setup.engine.step import Found
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import Place, address_hint
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import STATEFUL_SET, created_at
from aws_setup.openwhisk.addresses import (
    chart_service,
    host_of,
    internal_url,
    load_balancer_host,
    public_host,
    public_service,
    read_service,
    scheme_of,
)
from aws_setup.openwhisk.nodes_in_service import out_of_service
from aws_setup.openwhisk.public_address import NAME as PUBLIC_ADDRESS
from aws_setup.openwhisk.public_address import audience

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


@dataclass(frozen=True)
class OpenWhiskApi(Step):
    """OpenWhisk's API answers, with as many healthy invokers as the release has."""

    name: str = "openwhisk api"
    needs: tuple[str, ...] = (PUBLIC_ADDRESS, "openwhisk address", "openwhisk ready")
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the API as it answers now; None when it does not answer."""
        inside = load_balancer_host(ctx)
        if not inside or "openwhisk address" not in ctx.found:
            return None
        if ctx.config.openwhisk_internal:
            return _internal(ctx, inside)
        host = public_host(ctx)
        if not host:
            return None
        answer = find_scheme(host, ctx.config.openwhisk_api_port)
        if isinstance(answer, str):
            return None
        healthy = healthy_invokers(answer.url)
        return _answering(ctx, answer, healthy, ready=healthy == _invokers(ctx))

    def create(self, ctx: Context) -> Found:
        """Return the API's host; `wait` then polls the API."""
        if ctx.config.openwhisk_internal:
            return _internal(ctx, ctx.of("openwhisk address").id)
        service = read_service(ctx, public_service(ctx.config))
        return Found(host_of(service), "starting", ready=False, since=created_at(service or {}))

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the name resolves, the API answers and the invokers are healthy.

        An internal API cannot be asked from here: its load balancer then has a node in service.
        """
        if ctx.config.openwhisk_internal:
            return self._wait_for_node(ctx)
        host = public_host(ctx)
        port, invokers = ctx.config.openwhisk_api_port, _invokers(ctx)

        def probe() -> Found | Pending:
            if not resolves(host):
                state = f"DNS does not resolve {host} yet (usually 3, at most 30 minutes)"
                return Pending(state, _dns_hint(host))
            answer = find_scheme(host, port)
            if isinstance(answer, str):
                return _silent(ctx, answer, nodes=out_of_service(ctx, host))
            healthy = healthy_invokers(answer.url)
            if healthy != invokers:
                return Pending(
                    f"{healthy} of {count_of(invokers, 'invoker is', 'invokers are')} healthy",
                    _invokers_hint(ctx.config),
                )
            return _answering(ctx, answer, healthy, ready=True)

        return ctx.wait_until(
            "OpenWhisk's API answers",
            probe,
            deadline=2400,
            pause=10,
            usual=MEDIANS["load balancer created"] + MEDIANS["load balancer dns"],
            since=found.since,
        )

    def _wait_for_node(self, ctx: Context) -> Found:
        host = ctx.of("openwhisk address").id

        def probe() -> Found | Pending:
            found = _internal(ctx, host)
            return found if found.ready else Pending(found.state)

        return ctx.wait_until(
            "OpenWhisk's load balancer has a node in service",
            probe,
            deadline=900,
            pause=10,
            hint=HINT_HEALTH_CHECKS,
        )


HINT_PODS = "run `configure` again later; `status` lists the pods that are not ready"
HINT_HEALTH_CHECKS = (
    "see docs/configure.md, 'openwhisk api': what health checks of a load balancer need, then run "
    "`configure` again"
)


def _silent(ctx: Context, reason: str, *, nodes: str) -> Pending:
    """Return the state of an API that does not answer: nodes, addresses or OpenWhisk itself.

    A load balancer drops the packets of those who may not connect: they time out.
    """
    state = f"the API does not answer yet ({reason})"
    if nodes:
        return Pending(f"{state}; {nodes}", HINT_HEALTH_CHECKS)
    if "timed out" in reason:
        return Pending(
            f"{state}; only {audience(ctx)} may connect",
            f"{address_hint(Place.OPENWHISK)}; otherwise {HINT_PODS}",
        )
    return Pending(state, HINT_PODS)


def _dns_hint(host: str) -> str:
    return (
        f"check this computer's DNS server and VPN: `nslookup {host}`; the name of a new load "
        "balancer takes up to 30 minutes, then run `configure` again"
    )


def _invokers(ctx: Context) -> int:
    """Return how many invokers there should be: openwhisk_values may set another number than nodes.

    apache/openwhisk-deploy-kube, helm/openwhisk/templates/invoker-pod.yaml: a StatefulSet where
    Kubernetes starts the actions.
    """
    config = ctx.config
    name, space = f"{config.openwhisk_release}-invoker", config.openwhisk_namespace
    found = kube_client(ctx).get(STATEFUL_SET, name, space) or {}
    return int(found.get("spec", {}).get("replicas") or config.num_openwhisk_invoker_vms)


def _invokers_hint(config: Config) -> str:
    """Return the fix where invokers run that OpenWhisk does not call healthy.

    apache/openwhisk-deploy-kube, helm/openwhisk/templates/invoker-pod.yaml: the label of the pods.
    """
    space, name = config.openwhisk_namespace, f"{config.openwhisk_release}-invoker"
    return (
        f"read the invokers' logs: `kubectl -n {space} logs -l name={name}`; then run `configure` "
        "again"
    )


def _answering(ctx: Context, answer: ApiProbe, healthy: int | str, *, ready: bool) -> Found:
    scheme = answer.url.partition("://")[0]
    state = count_of(healthy, "healthy invoker")
    facts = {
        "api_host": answer.url,
        "internal_api_host": _internal_url(ctx, scheme, load_balancer_host(ctx)),
        "healthy_invokers": healthy,
        "sha256": answer.fingerprint,
    }
    return Found(answer.url, state, facts, ready=ready)


def _internal(ctx: Context, host: str) -> Found:
    """Return an API that is reachable only within the VPC: this computer cannot probe it."""
    url = _internal_url(ctx, scheme_of(ctx.config), host)
    facts = {"api_host": url, "internal_api_host": url, "sha256": ""}
    nodes = out_of_service(ctx, host)
    return Found(url, nodes or "internal: not probed", facts, ready=not nodes)


def _internal_url(ctx: Context, scheme: str, host: str) -> str:
    return internal_url(read_service(ctx, chart_service(ctx.config)), scheme, host)


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
        status, text = _get(f"{url}/ping")
        # nginx answers plain http on a TLS port with its own status 400.
        if 0 < status < 500 and status != 400:
            sha256 = _certificate_sha256(host, port) if scheme == "https" else ""
            return ApiProbe(url, sha256)
        reason = reason or f"{url}: {text or status}"
        if status == NOT_CONNECTED:
            break
    return reason


def healthy_invokers(url: str) -> int | str:
    """Return how many invokers OpenWhisk reports as healthy, else why it does not report."""
    status, text = _get(f"{url}/invokers/healthy/count")
    body = text.strip()
    count = whole_number(body)
    if status == 200 and count is not None:
        return count
    return f"HTTP {status}: {body[:80]}" if status > 0 else body


UNCONNECTED = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError)


def _get(url: str) -> tuple[int, str]:
    """Return status and text; 0 or NOT_CONNECTED and the reason when there was no answer.

    The certificate is self-signed and later pinned by its fingerprint, so it is not verified
    here, and nothing secret is sent.
    """
    seconds = remaining(ANSWER_SECONDS)
    late = f"no complete answer within {seconds:.0f} s"
    pools = urllib3.PoolManager(ssl_context=_unverified_tls())
    # Before the first request, so that every connection has a deadline.
    pools.pool_classes_by_scheme = POOLS
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
            return NOT_CONNECTED if isinstance(error, UNCONNECTED) else 0, text
    # A socket that the deadline shuts down ends an answer of unknown length as its end does.
    return (0, late) if guard.expired else (answer.status, body[:500].decode("utf-8", "replace"))


def _certificate_sha256(host: str, port: int) -> str:
    """Return the fingerprint of the certificate that a server presents, '' when it cannot."""
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_SECONDS) as plain,
            _unverified_tls().wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert(binary_form=True)
    except OSError:
        return ""
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _unverified_tls() -> ssl.SSLContext:
    # Not create_default_context: it reads all of the system's CAs, 20 ms for each probe.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
