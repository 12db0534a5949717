"""Checks of the EKS cluster and OpenWhisk: nodes, pods, invokers, certificate."""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context
from aws_setup.eks.lost_nodes import lost_nodes
from aws_setup.eks.node_labels import count_ready, not_ready
from aws_setup.eks.node_launch_template import (
    GROUP_LABEL,
    ROLE_LABEL,
    NodeGroupSpec,
    node_group_specs,
)
from aws_setup.engine.http_deadline import why_broken
from aws_setup.engine.wording import count_of
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import NAMESPACE, NODE, POD, STATEFUL_SET, Json
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.http import TransientError
from aws_setup.namenodes.tunnel import via_ssh
from aws_setup.openwhisk import certificate
from aws_setup.openwhisk.existing_certificate import how_to_replace
from aws_setup.openwhisk.readiness import describe, find_blocker
from aws_setup.openwhisk.release_objects import unready_reason
from aws_setup.openwhisk.user_values import own_invokers
from aws_setup.verify.chain import CONFIGURE, CREATE, Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.client_checks import PING_SECONDS, connection

Object = Mapping[str, Any]

INVOKER = "invoker"

NODE_HINT = "check `kubectl describe node`; EKS replaces a node whose machine has failed"

LEAST_LEFT = timedelta(days=7)
"""Time left below which a certificate fails; `configure` renews it 30 days before its end."""


def require_cluster(chain: Chain) -> None:
    """Raise Broken without a cluster whose API server runs."""
    if active_cluster(chain.ctx) is None:
        raise Broken("the EKS cluster does not exist, or is not active", CREATE)


def require_namespace(chain: Chain) -> None:
    """Raise Broken while OpenWhisk has never been installed, or was deleted with its namespace."""
    require_cluster(chain)
    name = chain.ctx.config.openwhisk_namespace
    if kube_client(chain.ctx).get(NAMESPACE, name) is None:
        raise Broken(f"OpenWhisk is not installed: there is no namespace {name}", CONFIGURE)


def check_nodes(chain: Chain) -> str:
    """All nodes are ready and have their label; each invoker node has one invoker."""
    require_cluster(chain)
    client, config = kube_client(chain.ctx), chain.ctx.config
    nodes = client.list(NODE)
    require_nodes(chain.ctx, nodes)
    name, namespace = f"{config.openwhisk_release}-{INVOKER}", config.openwhisk_namespace
    invokers = client.get(STATEFUL_SET, name, namespace)
    if invokers is None:
        raise Broken(f"there is no StatefulSet {name} in {namespace}", CONFIGURE)
    pods = [pod for pod in client.list(POD, namespace) if _owner(pod) == name]
    replicas, own = int(invokers["spec"].get("replicas", 1)), own_invokers(config)
    judge_invokers(nodes, pods, replicas=replicas, own=own)
    placed = count_of(own, "invoker") if own else "one invoker on each invoker node"
    return f"{count_ready(nodes)}, {placed}"


def require_nodes(ctx: Context, nodes: Sequence[Json]) -> None:
    """Raise Broken unless every node of the deployment is there and can run pods."""
    for lost in lost_nodes(ctx, nodes):
        raise Broken(lost.cause, lost.fix)
    judge_nodes(nodes, node_group_specs(ctx.config))


def judge_nodes(nodes: Sequence[Object], specs: Sequence[NodeGroupSpec]) -> None:
    """Raise Broken for nodes that are missing, not ready, cordoned, or have the wrong label."""
    unready = not_ready([dict(node) for node in nodes])
    if unready:
        others = f" (and {len(unready) - 1} more)" if len(unready) > 1 else ""
        raise Broken(unready[0] + others, NODE_HINT)
    for spec in specs:
        group = [node for node in nodes if _labels(node).get(GROUP_LABEL) == spec.group]
        wrong = [node for node in group if _labels(node).get(ROLE_LABEL) != spec.role]
        if wrong:
            label = _labels(wrong[0]).get(ROLE_LABEL, "none")
            cause = f"node {_name(wrong[0])} has the label {ROLE_LABEL} {label}, not {spec.role}"
            raise Broken(cause, f"{CONFIGURE}, which sets it")
        if len(group) != spec.count:
            cause = f"{spec.group} has {count_of(len(group), 'node')}, not {spec.count}"
            raise Broken(cause, f"{CONFIGURE}, or resume if the deployment is paused")
    cordoned = [_name(node) for node in nodes if node.get("spec", {}).get("unschedulable")]
    if cordoned:
        cause = f"node {cordoned[0]} is cordoned: no pod starts there"
        raise Broken(cause, f"run `kubectl uncordon {cordoned[0]}`")


def judge_invokers(
    nodes: Sequence[Object], pods: Sequence[Object], *, replicas: int, own: int = 0
) -> None:
    """Raise Broken unless each invoker node has room for its invoker: one is assigned to it.

    `own` is the number of invokers that openwhisk_values set, 0 for one on each node.
    """
    waiting = [pod for pod in pods if not pod.get("spec", {}).get("nodeName")]
    if waiting:
        cause = f"no node has room for {_name(waiting[0])}: {unready_reason(waiting[0])}"
        raise Broken(cause, f"free or add an invoker node ({CONFIGURE})")
    names = [_name(node) for node in nodes if _labels(node).get(ROLE_LABEL) == INVOKER]
    placed = Counter(str(pod["spec"]["nodeName"]) for pod in pods)
    wrong = [name for name in names if placed[name] != 1 and not (own and placed[name] == 0)]
    if wrong or replicas != (own or len(names)):
        where = f"; {wrong[0]} has {placed[wrong[0]]}" if wrong else ""
        cause = (
            f"{count_of(len(names), 'invoker node')}, "
            f"{len(pods)} of {count_of(replicas, 'invoker')}{where}"
        )
        each = "the number of openwhisk_values" if own else "one invoker for each invoker node"
        raise Broken(cause, f"{CONFIGURE}, which sets {each}")


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("name", ""))


def check_openwhisk(chain: Chain) -> str:
    """OpenWhisk's controller and all other parts are ready."""
    require_namespace(chain)
    blocker = find_blocker(chain.ctx)
    if blocker:
        raise Broken(describe(chain.ctx, blocker), f"{CONFIGURE} status, which lists what is wrong")
    return "the controller and all other parts are ready"


def check_invokers(chain: Chain) -> str:
    """OpenWhisk reports as many healthy invokers as there are nodes, or as openwhisk_values say."""
    url = chain.settings.endpoint.url
    with connection(chain, Endpoint(url, ":", insecure=True), read_seconds=PING_SECONDS) as http:
        try:
            response = http.send("GET", "/invokers/healthy/count", signed=False)
        except TransientError as error:
            raise Broken(f"no HTTP answer: {error}", f"{CONFIGURE} status") from error
    if response.status != 200 or not isinstance(response.document, int):
        cause = f"OpenWhisk does not say how many invokers are healthy: {response.reason}"
        raise Broken(cause, f"{CONFIGURE} status, which lists what is wrong")
    nodes = kube_client(chain.ctx).list(NODE, labels=f"{ROLE_LABEL}={INVOKER}")
    if response.document != (own_invokers(chain.ctx.config) or len(nodes)):
        invokers = count_of(response.document, "invoker is healthy", "invokers are healthy")
        cause = f"{invokers}, on {count_of(len(nodes), 'invoker node')}"
        name = f"{chain.ctx.config.openwhisk_release}-{INVOKER}"
        raise Broken(cause, f"read the log of the pods {name}-… that are not: `kubectl logs`")
    count = response.document
    return f"{count_of(count, 'healthy invoker')} on {count_of(len(nodes), 'node')}"


def check_certificate(chain: Chain) -> str:
    """The certificate that OpenWhisk presents to the client is valid for some more days."""
    url = chain.settings.endpoint.url
    if urlsplit(url).scheme != "https":
        raise NotApplicable(f"{url} has no TLS")
    with via_ssh(chain.client, Endpoint(url, ":", insecure=True)) as reached:
        parts = urlsplit(reached.url)
        pem = presented(parts.hostname or "", parts.port or 443)
    replaced = how_to_replace(chain.ctx.config)
    return judge_certificate(certificate.expires(pem), chain.ctx.clock.today(), replaced=replaced)


def presented(host: str, port: int) -> str:
    """Return the certificate that a server presents, as PEM; it is not verified here.

    Raises:
        Broken: it presents none.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), PING_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            data = secured.getpeercert(binary_form=True)
    except OSError as error:
        raise Broken(f"it presents no certificate: {why_broken(error)}", CONFIGURE) from error
    if not data:
        raise Broken("it presents no certificate", CONFIGURE)
    return ssl.DER_cert_to_PEM_cert(data)


def judge_certificate(ends: datetime, now: datetime, *, replaced: str = "") -> str:
    """Return how long a certificate is valid.

    Args:
        ends: the end of its validity.
        now: the present time.
        replaced: how the user replaces it; '' for one that configure renews.

    Raises:
        Broken: it is valid for less than a week.
    """
    left, fix = ends - now, replaced or f"{CONFIGURE}, which renews it"
    if left <= timedelta(0):
        raise Broken(f"the certificate ended on {ends.date()}", fix)
    if left < LEAST_LEFT:
        raise Broken(f"the certificate has {count_of(left.days, 'day')} left", fix)
    soon = f"; {replaced}" if replaced else "; configure renews it now"
    due = soon if left <= certificate.RENEW else ""
    return f"{count_of(left.days, 'day')} left, until {ends.date()}{due}"


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}
