"""The two Services before OpenWhisk's nginx, and the host names of their load balancers.

The chart's own Service is internal: NameNodes and λFS clients, whose addresses come and go, reach
it within the VPC. The public one is this project's, for the addresses that may use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import SERVICE, Json


def chart_service(config: Config) -> str:
    """Return the name of the chart's Service."""
    return f"{config.openwhisk_release}-nginx"


def public_service(config: Config) -> str:
    """Return the name of the public Service."""
    return f"{config.openwhisk_release}-public"


def read_service(ctx: Context, name: str) -> Json | None:
    """Return a Service of OpenWhisk's namespace; None when it or the cluster does not exist."""
    if active_cluster(ctx) is None:
        return None
    return kube_client(ctx).get(SERVICE, name, ctx.config.openwhisk_namespace)


def host_of(service: Json | None) -> str:
    """Return the host name of a Service's load balancer, '' while it has none."""
    status = (service or {}).get("status", {})
    for address in status.get("loadBalancer", {}).get("ingress") or []:
        return str(address.get("hostname") or address.get("ip") or "")
    return ""


def scheme_of(config: Config) -> str:
    """Return the scheme of OpenWhisk's API as configured; the chart's ports are named after it."""
    return "http" if config.openwhisk_api_port == 80 else "https"


STANDARD_PORTS = {"http": 80, "https": 443}
"""Ports of the chart's Service by name, unless nginx.httpPort and nginx.httpsPort change them.

apache/openwhisk-deploy-kube, helm/openwhisk/templates/nginx-svc.yaml
"""


def internal_port(service: Mapping[str, Any] | None, scheme: str) -> int:
    """Return the port of the internal load balancer: the one of the chart's Service of a scheme.

    openwhisk_api_port is the public load balancer's only.
    """
    for port in (service or {}).get("spec", {}).get("ports") or []:
        if port.get("name") == scheme:
            return int(port["port"])
    return STANDARD_PORTS[scheme]


def chart_port(ctx: Context) -> int:
    """Return the port of OpenWhisk's API at the internal load balancer."""
    config = ctx.config
    return internal_port(read_service(ctx, chart_service(config)), scheme_of(config))


def internal_url(service: Mapping[str, Any] | None, scheme: str, host: str) -> str:
    """Return the URL of OpenWhisk's API at the internal load balancer of the chart's Service."""
    return f"{scheme}://{host}:{internal_port(service, scheme)}"


def load_balancer_host(ctx: Context) -> str:
    """Return the host name of the internal load balancer, '' while it has none."""
    return host_of(read_service(ctx, chart_service(ctx.config)))


def public_host(ctx: Context) -> str:
    """Return the host name of the public load balancer, '' while it has none."""
    return host_of(read_service(ctx, public_service(ctx.config)))


def known_hosts(ctx: Context) -> list[str]:
    """Return the names at which OpenWhisk is called, as far as they are known."""
    found = [load_balancer_host(ctx)]
    if not ctx.config.openwhisk_internal:
        found.append(public_host(ctx))
    return [host for host in found if host]
