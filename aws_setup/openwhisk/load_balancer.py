"""OpenWhisk's load balancer: its host name, which the certificate and the release have to name."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.eks.storage import last_event
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.openwhisk import certificate_steps
from aws_setup.openwhisk.certificate_steps import load_balancer_host
from aws_setup.openwhisk.release import apply_release, desired_release
from aws_setup.openwhisk.secrets import read_secrets, require_secrets
from aws_setup.openwhisk.uninstall import delete_service

ELB_DOMAIN, INTERNAL_PREFIX = ".elb.", "internal-"
"""Part of the host name of every load balancer; start of the name of an internal one."""


@dataclass(frozen=True)
class LoadBalancerAddress(Step):
    """The load balancer's host name; a second pass adds it to the certificate and the release."""

    name: str = "openwhisk address"
    follows: tuple[str, ...] = ("openwhisk release",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the load balancer's host name; None while it has none."""
        host = load_balancer_host(ctx)
        if not host or "openwhisk release" not in ctx.found:
            return None
        pair = certificate_steps.current_pair(ctx)
        drift = certificate_steps.renewal_reasons(ctx, pair, host) if pair else []
        if ctx.of("openwhisk release").drift:
            drift.append(Drift("release", "has another address", host))
        if pair and certificate_steps.replaced(ctx, pair):
            drift.append(Drift("replaced certificates", "in IAM", "deleted"))
        if self._is_other_kind(ctx, host):
            has = "public" if ctx.config.openwhisk_internal else "internal"
            drift.append(Drift("load balancer", has, self._kind(ctx)))
        return Found(host, self._kind(ctx), {"host": host}, tuple(drift))

    def _kind(self, ctx: Context) -> str:
        return "internal" if ctx.config.openwhisk_internal else "public"

    def _is_other_kind(self, ctx: Context, host: str) -> bool:
        """Say whether a load balancer is internal and should be public, or the other way round."""
        is_internal = host.startswith(INTERNAL_PREFIX)
        return ELB_DOMAIN in host and is_internal != ctx.config.openwhisk_internal

    def create(self, ctx: Context) -> Found:
        """Wait for the load balancer, then add its name to the certificate and the release."""

        def probe() -> str | Pending:
            host = load_balancer_host(ctx)
            event = last_event(
                ctx, certificate_steps.nginx_secret(ctx.config), ctx.config.openwhisk_namespace
            )
            return host or Pending(f"AWS is creating the load balancer {event}".strip())

        host = ctx.wait_until(
            "the load balancer gets a host name",
            probe,
            deadline=900,
            pause=4,
            hint="see the events of the Service; docs/configure.md lists the causes",
        )
        return self.update(ctx, Found(host))

    def update(self, ctx: Context, found: Found) -> Found:
        """Write the name to certificate, Secret and release; then delete replaced certificates.

        With a self-signed certificate this replaces what the step "server certificate" found.
        """
        host = found.id
        if self._is_other_kind(ctx, host):
            ctx.note(f"replacing the load balancer {host}: its scheme cannot be changed")
            keys = read_secrets(ctx)
            delete_service(ctx, host)
            if keys:
                apply_release(ctx, desired_release(ctx, keys, host=""))
            return self.create(ctx)
        pair = certificate_steps.current_pair(ctx)
        if pair is None or certificate_steps.renewal_reasons(ctx, pair, host):
            pair = certificate_steps.renew(ctx, host)
        uploaded = ctx.of("server certificate")
        if not ctx.config.openwhisk_tls_arn:
            uploaded = certificate_steps.upload(ctx, pair)
        certificate_steps.put_secret(ctx, pair)
        keys, arn = require_secrets(ctx), uploaded.id
        apply_release(ctx, desired_release(ctx, keys, host=host, certificate_arn=arn))
        if not ctx.config.openwhisk_tls_arn:
            certificate_steps.delete_others(ctx, uploaded.id)
        replaces = {"server certificate": uploaded}
        return Found(host, self._kind(ctx), {"host": host}, replaces=replaces)
