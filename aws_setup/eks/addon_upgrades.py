"""The add-ons after an upgrade of Kubernetes: EKS leaves them, as it leaves the nodes.

AWS's order is the control plane, then the nodes, then the add-ons. So this step comes after the
node groups, and not in the steps of the add-ons, without some of which no node is Ready.
https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html
https://docs.aws.amazon.com/eks/latest/userguide/updating-an-add-on.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context, Step
from aws_setup.aws.session import pages
from aws_setup.eks.addon_specs import ADDONS, AddonSpec
from aws_setup.eks.addons import addon_step
from aws_setup.engine.step import Drift, Found

KUBE_PROXY = "kube-proxy"
"""The add-on whose version is that of Kubernetes; the others have versions of their own.

https://docs.aws.amazon.com/eks/latest/userguide/managing-kube-proxy.html
"""


@dataclass(frozen=True)
class AddonUpgrades(Step):
    """Every add-on in the version that EKS installs with the cluster's version of Kubernetes.

    That of kube-proxy says for which version the others were installed: it is the last to be
    upgraded. While it fits, newer versions of add-ons change nothing. Versions in
    eks_addon_versions, and add-ons that EKS does not manage, are left as they are.
    """

    groups: tuple[str, ...] = ()
    name: str = "add-on upgrades"
    part: str = "eks"
    ends_with: str = "eks cluster"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The add-ons, and the nodes, which are upgraded before them."""
        return ("eks cluster", *self.groups, *(spec.step for spec in ADDONS))

    def find(self, ctx: Context) -> Found | None:
        """Return the versions of the add-ons, with those that are older than Kubernetes'."""
        version, present = _kubernetes(ctx), _present(ctx)
        if ctx.owned_only or not version or KUBE_PROXY not in present:
            return None if ctx.owned_only else Found("add-ons", "no version to compare")
        wanted = wanted_versions(ctx)
        drift = tuple(
            Drift(name, present[name], f"{wanted[name]}, EKS's with Kubernetes {version}")
            for name in wanted
        )
        return Found("add-ons", f"for Kubernetes {_minor(present[KUBE_PROXY])}", drift=drift)

    def create(self, ctx: Context) -> Found:
        """Return what is there: an add-on that is created has the right version."""
        return Found("add-ons", f"for Kubernetes {_kubernetes(ctx)}")

    def update(self, ctx: Context, found: Found) -> Found:
        """Upgrade one add-on after the other, and wait for each."""
        for name, version in wanted_versions(ctx).items():
            spec = next(spec for spec in ADDONS if spec.name == name)
            step = replace(addon_step(spec), version=version)
            present = step.find(ctx)
            if present and present.drift:
                ctx.note(f"{name}: {present.facts.get('version')} -> {version}")
                step.wait(ctx, step.update(ctx, present))
        return self.create(ctx)


def wanted_versions(ctx: Context) -> Mapping[str, str]:
    """Return the add-ons to upgrade, kube-proxy last, each with its version.

    Where EKS does not tell its versions there is none.
    """
    present, version = _present(ctx), _kubernetes(ctx)
    if not version or _minor(present.get(KUBE_PROXY, "")) in ("", version):
        return {}
    pinned = ctx.config.eks_addon_versions
    specs = [spec for spec in ADDONS if spec.name in present and spec.name not in pinned]
    wanted = {}
    for spec in sorted(specs, key=lambda spec: spec.name == KUBE_PROXY):
        default = advice(lambda spec=spec: _default(ctx, spec, version), lambda _: "")  # type: ignore[misc]
        if _number(default) > _number(present[spec.name]):
            wanted[spec.name] = default
    return wanted


def _present(ctx: Context) -> Mapping[str, str]:
    """Return the versions of the add-ons that EKS manages."""
    found = {spec.name: ctx.found.get(spec.step) for spec in ADDONS}
    versions = {name: str(it.facts.get("version") or "") for name, it in found.items() if it}
    return {name: version for name, version in versions.items() if version}


def _kubernetes(ctx: Context) -> str:
    cluster = ctx.found.get("eks cluster")
    return str(cluster.facts.get("version") or "") if cluster else ""


def _default(ctx: Context, spec: AddonSpec, version: str) -> str:
    """Return the version that EKS installs with a version of Kubernetes; '' for none."""
    asked = {"addonName": spec.name, "kubernetesVersion": version}
    listed = pages(ctx.aws.eks, "describe_addon_versions", "addons", **asked)
    offered: Sequence[Any] = [one for addon in listed for one in addon["addonVersions"]]
    return next((str(it["addonVersion"]) for it in offered if _is_default(it, version)), "")


def _is_default(offered: Mapping[str, Any], version: str) -> bool:
    return any(
        it.get("defaultVersion") and it.get("clusterVersion") == version
        for it in offered.get("compatibilities") or ()
    )


def _minor(version: str) -> str:
    """Return the version of Kubernetes of a version such as v1.35.0-eksbuild.2; '' for none."""
    found = re.match(r"v?(\d+\.\d+)\.", version)
    return found[1] if found else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
