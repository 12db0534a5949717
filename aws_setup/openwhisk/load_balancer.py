"""OpenWhisk's internal load balancer, created ahead of the release that names its address.

The chart's Service is created as the chart renders it, with the label and annotations by which helm
takes over an object that exists (checkOwnership in
https://github.com/helm/helm/blob/002ac7844eb621bf2ed2a5214c08d8d0da7c5c8f/pkg/action/validate.go).
AWS creates the load balancer and its DNS name while the nodes start, which it does not need:
without nodes the controller only reports that there are none (ensureLoadBalancer in
https://github.com/kubernetes/kubernetes at 89b74acb59c25bdaece19c02bf1daef308e54fc4,
staging/src/k8s.io/cloud-provider/controllers/service/controller.go). So the certificate and the
release have the right names from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.context import Context, Step
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.eks.storage import last_event
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import SERVICE, Json, is_being_deleted
from aws_setup.openwhisk.addresses import chart_service, host_of, load_balancer_host, read_service
from aws_setup.openwhisk.helm_connection import helm_of
from aws_setup.openwhisk.listener_access import (
    LOST_RULES,
    access_of,
    being_created,
    pending,
    restore,
)
from aws_setup.openwhisk.release import desired_release
from aws_setup.openwhisk.secrets import require_secrets
from aws_setup.openwhisk.uninstall import delete_service
from aws_setup.openwhisk.value_checks import service_problems
from aws_setup.openwhisk.values import ELB

ELB_DOMAIN, INTERNAL_PREFIX = ".elb.", "internal-"
"""Part of the host name of every load balancer; start of the name of an internal one."""

STATE = "internal: reachable from the VPC"

MANAGED_BY = "app.kubernetes.io/managed-by"
RELEASE_NAME, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
"""The label and the annotations by which helm knows the objects of a release."""


@dataclass(frozen=True)
class LoadBalancerAddress(Step):
    """The internal load balancer's host name, for NameNodes, clients, certificate and release."""

    name: str = "openwhisk address"
    needs: tuple[str, ...] = ("openwhisk keys",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the load balancer; None while the chart's Service does not exist."""
        service = read_service(ctx, chart_service(ctx.config))
        if service is None or is_being_deleted(service):
            return None
        host = host_of(service)
        drift = list(_other_owner(ctx.config, service))
        if is_public(host):
            drift.append(Drift("load balancer", "public", "internal, with another address"))
        elif not drift:
            drift += access_of(ctx, service).drift
        return _found(ctx.config, host, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Create the Service of the chart; AWS creates its load balancer."""
        service = with_ownership(ctx.config, rendered_service(ctx))
        kube_client(ctx).create(SERVICE, service, ctx.config.openwhisk_namespace)
        return _found(ctx.config, "")

    def update(self, ctx: Context, found: Found) -> Found:
        """Replace a public load balancer, which earlier versions created; restore lost rules."""
        if all(drift.key == LOST_RULES for drift in found.drift):
            restore(ctx, chart_service(ctx.config))
            return replace(found, drift=(), ready=False)
        host = load_balancer_host(ctx)
        ctx.note(f"replacing the load balancer {host}: its scheme cannot be changed")
        delete_service(ctx, chart_service(ctx.config), host)
        return self.create(ctx)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the load balancer has a host name, and AWS lets in whom the Service names.

        Raises:
            SetupError: it is public, whatever the generated values say.
        """

        def probe() -> str | Pending:
            service = read_service(ctx, chart_service(ctx.config)) or {"metadata": {}}
            host, uid = host_of(service), str(service["metadata"].get("uid", ""))
            if host and not access_of(ctx, service, fresh=True).applied:
                return pending(ctx, service)
            name, space = chart_service(ctx.config), ctx.config.openwhisk_namespace
            event = last_event(ctx, name, space, uid=uid)
            return host or being_created(event)

        host = ctx.wait_until(
            "the load balancer gets a host name and lets in whom the Service names",
            probe,
            deadline=900,
            pause=8,
            usual=MEDIANS["load balancer created"],
            hint="see the events of the Service; docs/configure.md lists the causes",
        )
        if is_public(host):
            raise SetupError(
                "the chart's load balancer is public",
                f"{host} is not internal, although the generated values say so",
                f"remove the annotation {ELB}-internal from openwhisk_values",
            )
        return _found(ctx.config, host)


def _found(config: Config, host: str, drift: tuple[Drift, ...] = ()) -> Found:
    resource_id = host or f"{config.openwhisk_namespace}/{chart_service(config)}"
    state = STATE if host else "AWS is creating the load balancer"
    return Found(resource_id, state, {"host": host}, drift, ready=bool(host))


def rendered_service(ctx: Context) -> Json:
    """Return the Service as the chart renders it, so that helm changes only its certificate.

    While there is no certificate the listener has none: helm adds it together with the pods.

    Raises:
        SetupError: the chart has no such Service, or it is no internal load balancer.
    """
    config = ctx.config
    uploaded = ctx.found.get("server certificate")
    arn = config.openwhisk_tls_arn or (uploaded.id if uploaded else "")
    desired = desired_release(ctx, require_secrets(ctx), host="", certificate_arn=arn)
    name = chart_service(config)
    for item in helm_of(ctx).rendered(desired.chart.path, desired.values):
        if item.get("kind") == "Service" and item["metadata"]["name"] == name:
            problems = service_problems(item)
            if problems:
                raise SetupError.all(problems)
            return item if arn else without_certificate(item)
    raise SetupError(
        f"the chart renders no Service {name}",
        "its load balancer is the address of OpenWhisk",
        "use a chart that has it, as apache/openwhisk-deploy-kube and λFS's copy",
    )


def without_certificate(service: Mapping[str, Any]) -> Json:
    """Return a Service without the annotations of TLS: an empty certificate is no certificate."""
    annotations = service["metadata"].get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if not key.startswith(f"{ELB}-ssl")}
    return {**service, "metadata": {**service["metadata"], "annotations": kept}}


def with_ownership(config: Config, service: Mapping[str, Any]) -> Json:
    """Return an object with the marks by which helm takes it over into the release."""
    metadata = service["metadata"]
    owner = {
        RELEASE_NAME: config.openwhisk_release,
        RELEASE_NAMESPACE: config.openwhisk_namespace,
    }
    marked = {
        **metadata,
        "labels": {**(metadata.get("labels") or {}), MANAGED_BY: "Helm"},
        "annotations": {**(metadata.get("annotations") or {}), **owner},
    }
    return {**service, "metadata": marked}


def _other_owner(config: Config, service: Mapping[str, Any]) -> tuple[Drift, ...]:
    """Return the conflict of a Service that helm refuses to take over, none otherwise."""
    metadata = service["metadata"]
    has = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    marked = with_ownership(config, {"metadata": {}})["metadata"]
    if {**marked["labels"], **marked["annotations"]}.items() <= has.items():
        return ()
    owner = has.get(RELEASE_NAME) or "another"
    name, space = chart_service(config), config.openwhisk_namespace
    fix = f"delete it (kubectl delete service {name} -n {space}), or set openwhisk_release"
    wants = f"the release {config.openwhisk_release}"
    return (Drift("owner", owner, wants, fix, DriftKey.OWNER),)


def is_public(host: str) -> bool:
    """Say whether a load balancer has a public name: earlier versions made the chart's public."""
    return ELB_DOMAIN in host and not host.startswith(INTERNAL_PREFIX)
