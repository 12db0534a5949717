"""Chooses the Kubernetes version: the newest in standard support that was checked with λFS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.pricing import EXTENDED_SUPPORT, TABLE
from aws_setup.aws.session import pages
from aws_setup.infrastructure.kubernetes_support import (
    END_OF_STANDARD,
    is_upgraded_by_eks,
    support_problem,
)
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

CHECKED_VERSIONS = ("1.36", "1.35", "1.34", "1.33")
"""Versions against whose API the OpenWhisk chart of λFS was checked, the newest first."""

STANDARD, EXTENDED = "STANDARD_SUPPORT", "EXTENDED_SUPPORT"


def choose(planned: PlannedResources) -> CheckResult:
    """Choose the version of a cluster that is to be created, or refuse the configured one.

    Of a cluster that exists, it finds out whether its version costs more.
    """
    if "eks cluster" not in planned.to_create:
        return advice(lambda: _existing(planned), lambda _: CheckResult())
    configured = planned.config.kubernetes_version or ""
    return advice(
        lambda: _choose(configured, _offered(planned)),
        lambda why: _without_eks(planned, configured, why),
    )


def _existing(planned: PlannedResources) -> CheckResult:
    """Return whether the cluster's version is in extended support, and since or from when."""
    for cluster in planned.ctx.inventory.all("eks cluster"):
        if is_upgraded_by_eks(cluster):
            continue
        name, version = str(cluster["name"]), str(cluster.get("version"))
        offered = _offered(planned).get(version, {})
        ends, now = offered.get("endOfStandardSupportDate"), planned.ctx.clock.today()
        problem = support_problem(name, version, ends, now) if ends else None
        findings = (warn(problem.what, problem.why, problem.hint),) if problem else ()
        return CheckResult(findings, extended=_status(offered) == EXTENDED)
    return CheckResult()


def _choose(configured: str, offered: Mapping[str, Any]) -> CheckResult:
    if configured:
        extended = _status(offered.get(configured, {})) == EXTENDED
        findings = _findings(configured, offered)
        return CheckResult(findings, kubernetes_version=configured, extended=extended)
    return _newest(offered)


def _offered(planned: PlannedResources) -> Mapping[str, Any]:
    """Return the versions that EKS accepts for a new cluster, by name."""
    found = pages(planned.ctx.aws.eks, "describe_cluster_versions", "clusterVersions")
    return {
        str(version["clusterVersion"]): version
        for version in found
        if _status(version) in (STANDARD, EXTENDED)
    }


def _status(version: Mapping[str, Any]) -> str:
    """Return the support status; older responses have it in lower case under another key."""
    text = str(version.get("versionStatus") or version.get("status", ""))
    return text.upper().replace("-", "_")


def _findings(version: str, offered: Mapping[str, Any]) -> tuple[Finding, ...]:
    if version not in offered:
        return (
            refuse(
                f"EKS does not offer Kubernetes {version}",
                f"it offers {_listed(offered)}",
                "set kubernetes_version to one of these, or remove it",
            ),
        )
    findings = []
    if _status(offered[version]) == EXTENDED:
        why = (
            f"the cluster costs ${EXTENDED_SUPPORT:.2f} an hour instead of "
            f"${TABLE['eks']:.2f}; EKS offers {_listed(offered)}"
        )
        hint = "remove kubernetes_version to use a version in standard support"
        findings.append(warn(f"Kubernetes {version} is in extended support", why, hint))
    if version not in CHECKED_VERSIONS:
        findings.append(_unchecked(version))
    return tuple(findings)


def _unchecked(version: str) -> Finding:
    return warn(
        f"Kubernetes {version} was not checked with λFS",
        f"the checked versions are {', '.join(CHECKED_VERSIONS)}",
        "set kubernetes_version to one of these if EKS still offers it",
    )


def _newest(offered: Mapping[str, Any]) -> CheckResult:
    for name in CHECKED_VERSIONS:
        if name in offered and _status(offered[name]) == STANDARD:
            return CheckResult(kubernetes_version=name)
    for status in (STANDARD, EXTENDED):
        names = [name for name, version in offered.items() if _status(version) == status]
        if names:
            newest = max(names, key=_number)
            findings = _findings(newest, offered)
            return CheckResult(findings, kubernetes_version=newest, extended=status == EXTENDED)
    return CheckResult.of(
        [refuse("EKS offers no Kubernetes version", "its list is empty", "use another aws_region")]
    )


def _number(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.split("."))


def _listed(offered: Mapping[str, Any]) -> str:
    """Return the versions, the newest first, with the price of those in extended support."""
    extended = f" (extended support, ${EXTENDED_SUPPORT:.2f}/h)"
    return ", ".join(
        name + (extended if _status(offered[name]) == EXTENDED else "")
        for name in sorted(offered, key=_number, reverse=True)
    )


def _without_eks(planned: PlannedResources, configured: str, why: str) -> CheckResult:
    """Choose by the table of this module, as EKS does not answer."""
    today = planned.ctx.clock.today().date()
    current = [name for name in CHECKED_VERSIONS if END_OF_STANDARD[name] >= today]
    chosen = configured or (current or list(CHECKED_VERSIONS))[0]
    finding = warn(
        "the Kubernetes versions of EKS could not be checked",
        why,
        f"set kubernetes_version if EKS refuses {chosen}, which is used now",
    )
    return CheckResult((finding,), kubernetes_version=chosen)
