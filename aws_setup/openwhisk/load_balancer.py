"""OpenWhisk's internal load balancer; certificate and release have to name what it is called."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.eks.storage import last_event
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.openwhisk import certificate_steps
from aws_setup.openwhisk.addresses import chart_service, known_hosts, load_balancer_host
from aws_setup.openwhisk.public_address import apply_public_service
from aws_setup.openwhisk.release import apply_release, desired_release
from aws_setup.openwhisk.secrets import read_secrets, require_secrets
from aws_setup.openwhisk.uninstall import delete_service
from aws_setup.openwhisk.values import ELB

ELB_DOMAIN, INTERNAL_PREFIX = ".elb.", "internal-"
"""Part of the host name of every load balancer; start of the name of an internal one."""

STATE = "internal: reachable from the VPC"


@dataclass(frozen=True)
class LoadBalancerAddress(Step):
    """The internal load balancer's host name, for NameNodes, clients and the release.

    A second pass adds the names of both load balancers to the certificate.
    """

    name: str = "openwhisk address"
    needs: tuple[str, ...] = ("openwhisk public address",)
    follows: tuple[str, ...] = ("openwhisk release",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the load balancer's host name; None while it has none."""
        host = load_balancer_host(ctx)
        if not host or "openwhisk release" not in ctx.found:
            return None
        pair = certificate_steps.current_pair(ctx)
        drift = certificate_steps.renewal_reasons(ctx, pair, known_hosts(ctx)) if pair else []
        if ctx.of("openwhisk release").drift:
            drift.append(Drift("release", "has another address", host))
        if pair and certificate_steps.replaced(ctx, pair):
            drift.append(Drift("replaced certificates", "in IAM", "deleted"))
        if _is_public(host):
            drift.append(Drift("load balancer", "public", "internal, with another address"))
        return Found(host, STATE, {"host": host}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Wait for the load balancer, then add its name to the certificate and the release."""
        return self.update(ctx, Found(self._wait_for_host(ctx)))

    def _wait_for_host(self, ctx: Context) -> str:
        def probe() -> str | Pending:
            host = load_balancer_host(ctx)
            event = last_event(ctx, chart_service(ctx.config), ctx.config.openwhisk_namespace)
            return host or Pending(f"AWS is creating the load balancer {event}".strip())

        return ctx.wait_until(
            "the load balancer gets a host name",
            probe,
            deadline=900,
            pause=4,
            hint="see the events of the Service; docs/configure.md lists the causes",
        )

    def _replace(self, ctx: Context, host: str) -> str:
        """Replace a public load balancer; returns the host name of the internal one."""
        ctx.note(f"replacing the load balancer {host}: its scheme cannot be changed")
        keys = read_secrets(ctx)
        delete_service(ctx, chart_service(ctx.config), host)
        if keys:
            apply_release(ctx, desired_release(ctx, keys, host=""))
        host = self._wait_for_host(ctx)
        if _is_public(host):
            raise SetupError(
                "the chart's load balancer is public again",
                f"{host} is not internal, although the generated values say so",
                f"remove the annotation {ELB}-internal from openwhisk_values",
            )
        return host

    def update(self, ctx: Context, found: Found) -> Found:
        """Write the name to certificate, Secret and release; then delete replaced certificates.

        With a self-signed certificate this replaces what the step "server certificate" found.
        """
        host = found.id
        if _is_public(host):
            host = self._replace(ctx, host)
        pair = certificate_steps.current_pair(ctx)
        hosts = known_hosts(ctx)
        if pair is None or certificate_steps.renewal_reasons(ctx, pair, hosts):
            pair = certificate_steps.renew(ctx, hosts)
        uploaded = ctx.of("server certificate")
        if not ctx.config.openwhisk_tls_arn:
            uploaded = certificate_steps.upload(ctx, pair)
        certificate_steps.put_secret(ctx, pair)
        keys, arn = require_secrets(ctx), uploaded.id
        apply_release(ctx, desired_release(ctx, keys, host=host, certificate_arn=arn))
        if not ctx.config.openwhisk_internal:
            apply_public_service(ctx)
        if not ctx.config.openwhisk_tls_arn:
            certificate_steps.delete_others(ctx, uploaded.id)
        replaces = {"server certificate": uploaded}
        return Found(host, STATE, {"host": host}, replaces=replaces)


def _is_public(host: str) -> bool:
    """Say whether a load balancer has a public name: earlier versions made the chart's public."""
    return ELB_DOMAIN in host and not host.startswith(INTERNAL_PREFIX)
