"""OpenWhisk's public load balancer: a Service of its own that only named addresses reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.context import Context, Step
from aws_setup.aws.tags import balancer_tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.eks.storage import last_event
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.operators import allowed_cidrs
from aws_setup.kube.connect import kube_client, owner_labels
from aws_setup.kube.objects import SERVICE, Json, is_being_deleted
from aws_setup.openwhisk.addresses import (
    chart_service,
    host_of,
    public_host,
    public_service,
    read_service,
    scheme_of,
)
from aws_setup.openwhisk.certificate_steps import ServerCertificate
from aws_setup.openwhisk.listener_access import (
    EVERYWHERE,
    LOST_RULES,
    RANGES,
    access_of,
    being_created,
    described,
    pending,
    restore,
)
from aws_setup.openwhisk.secrets_step import SecretsStep
from aws_setup.openwhisk.uninstall import delete_service
from aws_setup.openwhisk.user_values import user_values
from aws_setup.openwhisk.values import ELB

NAME = "openwhisk public address"


@dataclass(frozen=True)
class PublicAddress(Step):
    """The public Service: one listener, for the operator's address and openwhisk_access_cidrs.

    Drift is changed in place, and rules that AWS has lost are made again. With openwhisk_internal
    there is none, and an existing one goes. It is created ahead of the release, for its host name,
    and leads to no pod until then.
    https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors
    """

    name: str = NAME
    needs: tuple[str, ...] = ("openwhisk keys",)
    follows: tuple[str, ...] = ("openwhisk address",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the Service, compared with the chart's Service and the configuration."""
        config = ctx.config
        service = read_service(ctx, public_service(config))
        owned = service is not None and is_owned(config, service)
        if ctx.owned_only:
            return Found(_id(config), "public") if owned else None
        if config.openwhisk_internal:
            drift = (Drift("public load balancer", "exists", "none"),) if owned else ()
            skipped = "" if drift else "openwhisk_internal is True"
            return Found(host_of(service) if drift else "", "public", drift=drift, skipped=skipped)
        if service is None or is_being_deleted(service):
            return None
        return self._found(ctx, service, owned=owned)

    def _found(self, ctx: Context, service: Json, *, owned: bool, fresh: bool = False) -> Found:
        config, host = ctx.config, host_of(service)
        drift: tuple[Drift, ...] = ()
        if not owned:
            name, space = public_service(config), config.openwhisk_namespace
            fix = f"delete it (kubectl delete service {name} -n {space}), or set openwhisk_release"
            owner = Drift("owner", "another", config.deployment_name, fix, DriftKey.OWNER)
            drift = (owner,)
        elif chart := read_service(ctx, chart_service(config)):
            drift = tuple(differences(service, desired_service(config, chart, ranges(ctx))))
        access = access_of(ctx, service, fresh=fresh)
        drift += access.drift if owned else ()
        state, ready = f"reachable from {described(access.ranges)}", bool(host) and access.applied
        return Found(host or _id(config), state, {"host": host}, drift, ready=ready)

    def create(self, ctx: Context) -> Found:
        """Create the Service; AWS creates its load balancer."""
        apply_public_service(ctx)
        return Found(_id(ctx.config), "AWS is creating the load balancer", ready=False)

    def update(self, ctx: Context, found: Found) -> Found:
        """Change the Service in place; delete it where the configuration wants none."""
        if ctx.config.openwhisk_internal:
            self.delete(ctx, found)
            return Found("", skipped="openwhisk_internal is True")
        apply_public_service(ctx)
        if any(drift.key == LOST_RULES for drift in found.drift):
            restore(ctx, public_service(ctx.config))
        return Found(found.id, found.state, ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the load balancer has a host name, and AWS lets in whom the Service names."""
        name, space = public_service(ctx.config), ctx.config.openwhisk_namespace

        def probe() -> Found | Pending:
            service = read_service(ctx, name)
            if service and host_of(service):
                there = self._found(ctx, service, owned=True, fresh=True)
                return there if there.ready else pending(ctx, service)
            uid = str(service["metadata"]["uid"]) if service else ""
            event = last_event(ctx, name, space, uid=uid)
            return being_created(event)

        return ctx.wait_until(
            "the public load balancer has a host name and lets in whom the Service names",
            probe,
            deadline=900,
            pause=8,
            usual=MEDIANS["load balancer created"],
            hint="see the events of the Service; docs/configure.md lists the causes",
        )

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the Service, and return when its load balancer is gone too."""
        delete_service(ctx, public_service(ctx.config), public_host(ctx))

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """Return the load balancer, and its address in each of the two public subnets.

        AWS bills the public addresses of its services, too (https://aws.amazon.com/vpc/pricing/).
        """
        if config.openwhisk_internal:
            return ()
        return (CostItem(self.part, "elb"), CostItem(self.part, "ipv4", 2.0))


def for_deletion(step: Step) -> Step:
    """Return a step with needs that put the load balancers before the certificate in destroy."""
    if isinstance(step, ServerCertificate):
        return replace(step, needs=(SecretsStep.name,))
    return (
        replace(step, needs=(ServerCertificate.name,)) if isinstance(step, PublicAddress) else step
    )


def ranges(ctx: Context) -> list[str]:
    """Return the ranges that may reach the public load balancer; [] while none is known.

    A Classic Load Balancer in a VPC has IPv4 addresses only.
    """
    own = [cidr for cidr in allowed_cidrs(ctx) if ":" not in cidr]
    found = {*ctx.config.openwhisk_access_cidrs, *own}
    return [EVERYWHERE] if EVERYWHERE in found else sorted(found)


def audience(ctx: Context) -> str:
    """Return who reaches OpenWhisk, as the plan and the last lines say it."""
    if ctx.config.openwhisk_internal:
        return "the VPC only"
    return f"{described(ranges(ctx))} and the VPC"


def desired_service(config: Config, chart: Mapping[str, Any], listed: Sequence[str]) -> Json:
    """Return the public Service: the chart's own, with one port, for some ranges only.

    Args:
        config: the configuration.
        chart: the chart's Service, as the cluster has it: its pods, ports and annotations.
        listed: the ranges; none leaves those that the Service has.

    Raises:
        SetupError: the chart's Service lacks the port.
    """
    port = _port(config, chart)
    inherited: Mapping[str, str] = chart["metadata"].get("annotations") or {}
    annotations = {
        key: value
        for key, value in inherited.items()
        if key.startswith(ELB) and key != f"{ELB}-internal"
    }
    if port["name"] == "http":
        annotations = {key: text for key, text in annotations.items() if f"{ELB}-ssl" not in key}
    listed_tags = (f"{key}={value}" for key, value in balancer_tags(config, NAME).items())
    annotations[f"{ELB}-additional-resource-tags"] = ",".join(listed_tags)
    spec: Json = {"type": "LoadBalancer", "ports": [port]}
    if port["name"] == "http" or has_certificate(config, chart):
        spec["selector"] = chart["spec"]["selector"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": public_service(config),
            "labels": owner_labels(config),
            "annotations": annotations,
        },
        "spec": spec | ({RANGES: list(listed)} if listed else {}),
    }


def has_certificate(config: Config, chart: Mapping[str, Any]) -> bool:
    """Say whether the chart's Service has its certificate, or openwhisk_values want it without.

    Before that the public Service has no selector, so that its listener leads nowhere: nothing
    is ever sent in plain text.
    https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors
    """
    key = f"{ELB}-ssl-cert"
    own: Any = user_values(config)
    for part in ("whisk", "ingress", "annotations"):
        own = own.get(part) if isinstance(own, Mapping) else None
    unwanted = isinstance(own, Mapping) and key in own and not own[key]
    return unwanted or bool((chart["metadata"].get("annotations") or {}).get(key))


def _port(config: Config, chart: Mapping[str, Any]) -> Json:
    """Return the only port: openwhisk_api_port, to where the chart's port of its scheme goes."""
    name = scheme_of(config)
    for port in chart["spec"].get("ports") or []:
        if port.get("name") == name:
            target = port.get("targetPort", port["port"])
            number = config.openwhisk_api_port
            return {"name": name, "protocol": "TCP", "port": number, "targetPort": target}
    raise SetupError(
        f"the Service {chart_service(config)} of the chart has no port {name}",
        "the public load balancer forwards to it",
        "use a chart whose nginx has the ports http and https, as λFS's",
    )


def differences(current: Mapping[str, Any], desired: Mapping[str, Any]) -> list[Drift]:
    """Return in what a Service differs; what Kubernetes and others add to it is no difference."""
    has, wants = current["spec"], desired["spec"]
    found = []
    if RANGES in wants and sorted(has.get(RANGES) or []) != sorted(wants[RANGES]):
        old, new = described(has.get(RANGES) or [EVERYWHERE]), described(wants[RANGES])
        found.append(Drift("reachable from", old, new))
    ports = [{key: port.get(key) for key in wants["ports"][0]} for port in has.get("ports") or []]
    if ports != wants["ports"]:
        numbers = ", ".join(str(port["port"]) for port in ports)
        found.append(Drift("ports", numbers, str(wants["ports"][0]["port"]), replaces=current))
    if (has.get("selector") or {}) != wants.get("selector", {}):
        wanted = "that of the chart's Service"
        found.append(Drift("selector", "another", wanted, replaces=current))
    if has.get("type") != wants["type"]:
        found.append(Drift("type", str(has.get("type")), wants["type"]))
    changed = _annotation_patch(current, desired)
    if changed:
        names = ", ".join(sorted(key.removeprefix(f"{ELB}-") for key in changed))
        kept = current if _edited(current, changed) else None
        found.append(Drift("annotations", f"{names} changed", "as configured", replaces=kept))
    return found


def _edited(current: Mapping[str, Any], changed: Iterable[str]) -> bool:
    """Say whether a change overwrites a value, and does not only add some."""
    return any(key in (current["metadata"].get("annotations") or {}) for key in changed)


def _annotation_patch(
    current: Mapping[str, Any], desired: Mapping[str, Any]
) -> dict[str, str | None]:
    """Return the annotations to set, and those of load balancers to remove (None)."""
    has: Mapping[str, str] = current["metadata"].get("annotations") or {}
    wants: Mapping[str, str] = desired["metadata"]["annotations"]
    changed: dict[str, str | None] = {k: v for k, v in wants.items() if has.get(k) != v}
    return changed | {key: None for key in has if key.startswith(ELB) and key not in wants}


def apply_public_service(ctx: Context) -> None:
    """Create the public Service, or change in place what differs from what it should be.

    Raises:
        SetupError: no address is known that may reach it, or the chart's Service does not exist.
    """
    config, client = ctx.config, kube_client(ctx)
    chart = read_service(ctx, chart_service(config))
    if chart is None:
        raise SetupError(
            f"the Service {chart_service(config)} does not exist",
            "the chart creates it, and the public load balancer leads to the same pods",
            "run `configure` again, which upgrades the release",
        )
    desired, name = desired_service(config, chart, ranges(ctx)), public_service(config)
    current = read_service(ctx, name)
    if current is None:
        if not ranges(ctx):
            # A Service without ranges is open to everyone.
            raise SetupError(*NO_ADDRESS)
        client.create(SERVICE, desired, config.openwhisk_namespace)
        return
    if differences(current, desired):
        old = current["spec"].get("selector") or {}
        selector = dict.fromkeys(old, None) | desired["spec"].get("selector", {})
        patch: Json = {
            "metadata": {"annotations": _annotation_patch(current, desired)},
            "spec": desired["spec"] | {"selector": selector},
        }
        client.patch(SERVICE, name, patch, config.openwhisk_namespace)


NO_ADDRESS = (
    "no address is known that may reach OpenWhisk",
    "your public IPv4 address is not known, and openwhisk_access_cidrs is empty",
    "set user_public_ip to your public IPv4 address, or openwhisk_access_cidrs",
)
"""What, why and hint of a public load balancer that nobody could reach."""


def is_owned(config: Config, service: Mapping[str, Any]) -> bool:
    """Say whether this deployment has created a Service."""
    labels = service["metadata"].get("labels") or {}
    return owner_labels(config).items() <= labels.items()


def _id(config: Config) -> str:
    return f"{config.openwhisk_namespace}/{public_service(config)}"
