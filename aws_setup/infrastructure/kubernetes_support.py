"""The end of standard support of a cluster's Kubernetes version, from which on it costs more.

https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html: a cluster whose upgrade
policy is not set enters extended support by itself, also while a deployment is paused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.pricing import EXTENDED_SUPPORT, TABLE
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem

END_OF_STANDARD: Mapping[str, date] = MappingProxyType(
    {
        "1.36": date(2027, 8, 2),
        "1.35": date(2027, 3, 27),
        "1.34": date(2026, 12, 2),
        "1.33": date(2026, 7, 29),
    }
)
"""Ends of standard support, as of November 2026, used where EKS is not asked or does not answer.
https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html"""

NOTICE = timedelta(days=60)
"""How long before the end of standard support it is said: EKS supports a version for 14 months."""


def end_of_standard_support(ctx: Context, cluster: Item) -> datetime | None:
    """Return when a cluster's version begins to cost more, and warn of it; None if not known.

    EKS is asked: one call. None, too, for a cluster that EKS upgrades by itself at that time.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_ClusterVersionInformation.html
    """
    if is_upgraded_by_eks(cluster):
        return None

    def read() -> datetime | None:
        answer = ctx.aws.eks.describe_cluster_versions(clusterVersions=[cluster["version"]])
        return next((item["endOfStandardSupportDate"] for item in answer["clusterVersions"]), None)

    ends = advice(read, lambda _: None)
    _warn(ctx, cluster, ends)
    return ends


def warn_of_known_end(ctx: Context, cluster: Item) -> None:
    """Warn of the end of standard support by the table of this module, without a call."""
    ends = END_OF_STANDARD.get(str(cluster.get("version")))
    if ends and not is_upgraded_by_eks(cluster):
        _warn(ctx, cluster, datetime.combine(ends, time(), UTC))


def is_upgraded_by_eks(cluster: Item) -> bool:
    """Return whether a cluster never enters extended support: its upgrade policy is STANDARD.

    https://docs.aws.amazon.com/eks/latest/userguide/view-upgrade-policy.html
    """
    policy: Mapping[str, str] = cluster.get("upgradePolicy") or {}
    return policy.get("supportType") == "STANDARD"


def _warn(ctx: Context, cluster: Item, ends: datetime | None) -> None:
    if ctx.owned_only or ends is None:
        return  # What a destroy deletes costs nothing any more.
    name, version = str(cluster["name"]), str(cluster["version"])
    if problem := support_problem(name, version, ends, ctx.clock.today()):
        ctx.warn(problem)


def support_problem(name: str, version: str, ends: datetime, now: datetime) -> Problem | None:
    """Return what the end of standard support means for a cluster; None while it is far away.

    Args:
        name: the name of the cluster.
        version: its Kubernetes version.
        ends: when standard support of the version ends.
        now: the present time.
    """
    if ends - now > NOTICE:
        return None
    extended, standard = f"${EXTENDED_SUPPORT:.2f} an hour", f"${TABLE['eks']:.2f}"
    major, _, minor = version.partition(".")
    number = whole_number(minor)
    following = "VERSION" if number is None else f"{major}.{number + 1}"
    fix = (
        f"upgrade it, one minor version at a time (`aws eks update-cluster-version --name {name} "
        f"--kubernetes-version {following}`), then its nodes and add-ons; or destroy the "
        "deployment and create it again"
    )
    if ends <= now:
        what = f"Kubernetes {version} of {name} is in extended support"
        why = f"since {ends:%Y-%m-%d} the cluster costs {extended} instead of {standard}"
        return Problem(what, f"{why}, also while it is paused", fix)
    left = max(1, (ends - now) // timedelta(days=1))
    what = f"standard support of Kubernetes {version} of {name} ends on {ends:%Y-%m-%d}"
    why = (
        f"in {count_of(left, 'day')}; from then on the cluster costs {extended} instead of "
        f"{standard}, also while it is paused"
    )
    return Problem(what, why, fix)
