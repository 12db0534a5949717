"""The step of OpenWhisk's HTTP API: it answers this computer, and its invokers are healthy."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.engine.http_deadline import AT_PROXY
from aws_setup.engine.proxies import proxy_hint, proxy_of, refused_by_proxy
from aws_setup.engine.step import Found
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import Place, SetupError, address_hint
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
from aws_setup.openwhisk.api_probe import ApiProbe, find_scheme, healthy_invokers, resolves
from aws_setup.openwhisk.nodes_in_service import out_of_service
from aws_setup.openwhisk.public_address import NAME as PUBLIC_ADDRESS
from aws_setup.openwhisk.public_address import audience


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
            # A proxy resolves the name itself, and this computer may have no DNS for it.
            if not proxy_of(f"https://{host}:{port}") and not resolves(host):
                state = f"DNS does not resolve {host} yet (usually 3, at most 30 minutes)"
                return Pending(state, _dns_hint(host))
            answer = find_scheme(host, port)
            if isinstance(answer, str):
                if refused_by_proxy(answer):
                    raise _behind_proxy(host, answer)
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
    if AT_PROXY in reason:
        hint = proxy_hint(reason) or address_hint(Place.OPENWHISK)
        return Pending(state, f"{hint}; {HINT_NO_WAY}")
    if "timed out" in reason:
        return Pending(
            f"{state}; only {audience(ctx)} may connect",
            f"{address_hint(Place.OPENWHISK)}; otherwise {HINT_PODS}",
        )
    return Pending(state, HINT_PODS)


HINT_NO_WAY = (
    "without any way from here set openwhisk_internal: True, run `configure` again, and let "
    "whisk_helper.py use --tunnel cluster"
)


def _behind_proxy(host: str, reason: str) -> SetupError:
    """Return the error where the network's proxy refuses the host: waiting changes nothing."""
    return SetupError(
        f"OpenWhisk's API host {host} cannot be reached from this computer",
        reason,
        f"{proxy_hint(reason)}; {HINT_NO_WAY}",
    )


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
