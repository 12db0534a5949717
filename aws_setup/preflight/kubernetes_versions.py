"""The Kubernetes version: the newest in standard support that was checked with λFS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.pricing import TABLE
from aws_setup.aws.session import pages
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

CHECKED = ("1.36", "1.35", "1.34", "1.33")
"""Versions with whose API the OpenWhisk chart of λFS was checked, the newest first."""

END_OF_STANDARD = {
    "1.36": date(2027, 8, 2),
    "1.35": date(2027, 3, 27),
    "1.34": date(2026, 12, 2),
    "1.33": date(2026, 7, 29),
}
"""Ends of standard support, read in November 2026, for when EKS does not answer.
https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"""

STANDARD, EXTENDED = "STANDARD_SUPPORT", "EXTENDED_SUPPORT"


def choose(needs: PlannedResources) -> CheckResult:
    """Choose the version of a cluster that is still to be made, or refuse the configured one."""
    if "eks cluster" not in needs.to_make:
        return CheckResult()
    wanted = needs.config.kubernetes_version or ""
    try:
        offered = _offered(needs)
    except (ClientError, BotoCoreError) as error:
        return _unanswered(needs, wanted, error)
    if wanted:
        extended = _status(offered.get(wanted, {})) == EXTENDED
        return CheckResult(_judged(wanted, offered), kubernetes_version=wanted, extended=extended)
    return _newest(offered)


def _offered(needs: PlannedResources) -> Mapping[str, Any]:
    """Return the versions that EKS takes for a new cluster, by name."""
    found = pages(needs.ctx.aws.eks, "describe_cluster_versions", "clusterVersions")
    return {
        str(one["clusterVersion"]): one for one in found if _status(one) in (STANDARD, EXTENDED)
    }


def _status(version: Mapping[str, Any]) -> str:
    """Return the support status; older answers spell it in lower case under another key."""
    text = str(version.get("versionStatus") or version.get("status", ""))
    return text.upper().replace("-", "_")


def _judged(wanted: str, offered: Mapping[str, Any]) -> tuple[Finding, ...]:
    if wanted not in offered:
        return (
            refuse(
                f"EKS does not offer Kubernetes {wanted}",
                f"it offers {_listed(offered)}",
                "set kubernetes_version to one of these, or leave it out",
            ),
        )
    findings = []
    if _status(offered[wanted]) == EXTENDED:
        why = (
            f"the cluster costs ${TABLE['eks-extended']:.2f} an hour instead of "
            f"${TABLE['eks']:.2f}; EKS offers {_listed(offered)}"
        )
        hint = "leave kubernetes_version out to get one in standard support"
        findings.append(warn(f"Kubernetes {wanted} is in extended support", why, hint))
    if wanted not in CHECKED:
        findings.append(_unchecked(wanted))
    return tuple(findings)


def _unchecked(version: str) -> Finding:
    return warn(
        f"Kubernetes {version} was not checked with λFS",
        f"checked were {', '.join(CHECKED)}",
        "set kubernetes_version to one of these if EKS still offers it",
    )


def _newest(offered: Mapping[str, Any]) -> CheckResult:
    for name in CHECKED:
        if name in offered and _status(offered[name]) == STANDARD:
            return CheckResult(kubernetes_version=name)
    for status in (STANDARD, EXTENDED):
        names = [name for name, one in offered.items() if _status(one) == status]
        if names:
            newest = max(names, key=_number)
            findings = _judged(newest, offered)
            return CheckResult(findings, kubernetes_version=newest, extended=status == EXTENDED)
    return CheckResult.of([refuse("EKS offers no Kubernetes version", "its list is empty")])


def _number(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.split("."))


def _listed(offered: Mapping[str, Any]) -> str:
    """Return the versions with what the older ones cost."""
    extended = f" (extended support, ${TABLE['eks-extended']:.2f}/h)"
    return ", ".join(
        name + (extended if _status(offered[name]) == EXTENDED else "")
        for name in sorted(offered, key=_number, reverse=True)
    )


def _unanswered(needs: PlannedResources, wanted: str, error: Exception) -> CheckResult:
    """Go by the table where EKS does not say what it offers."""
    today = needs.ctx.clock.today().date()
    current = [name for name in CHECKED if END_OF_STANDARD[name] >= today]
    chosen = wanted or (current or list(CHECKED))[0]
    finding = warn(
        "the Kubernetes versions of EKS could not be checked",
        str(to_setup_error(error)),
        f"going on with {chosen}; set kubernetes_version if EKS refuses it",
    )
    return CheckResult((finding,), kubernetes_version=chosen)
