"""Administrators that the configuration no longer names: they lose their access.

An entry says for whom it was created: one of cluster_admins, or whoever ran configure. The latter
keep theirs: several people may configure a cluster, and none of them would take out the others.
The entry that EKS created for the cluster's creator, and those of others, have no such tag.
https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.engine.step import Drift
from aws_setup.errors import Problem
from aws_setup.infrastructure.stale_entries import delete_entry, keep_entry

FOR_TAG = "lambda-fs:administrator"
"""Tag key of an entry: why its principal has it."""

NAMED, CALLER = "cluster_admins", "caller"
"""Values of the tag: the configuration names the principal, or it has run configure."""


def reason_of(ctx: Context, arn: str) -> dict[str, str]:
    """Return the tag that says why a principal gets an entry."""
    return {FOR_TAG: NAMED if arn in ctx.config.cluster_admins else CALLER}


def former_admins(ctx: Context, entries: Mapping[str, Item], desired: Sequence[str]) -> list[str]:
    """Return those who have access because cluster_admins named them, and are not desired now.

    Args:
        ctx: the run's context.
        entries: the entries of all administrators.
        desired: who should administer the cluster.
    """
    made = {arn: tag_of(entry, FOR_TAG) for arn, entry in entries.items() if _is_ours(ctx, entry)}
    return [arn for arn, reason in made.items() if reason == NAMED and arn not in desired]


def entry_drift(ctx: Context, entries: Mapping[str, Item], desired: Sequence[str]) -> list[Drift]:
    """Return the entries to mark and those to delete; warn of one of which it is not known."""
    former = former_admins(ctx, entries, desired)
    drift = [Drift(f"access of {arn}", "administrator", "none") for arn in former]
    for arn, entry in entries.items():
        reason = tag_of(entry, FOR_TAG)
        if not _is_ours(ctx, entry) or reason == NAMED:
            continue
        if arn in ctx.config.cluster_admins:
            drift.append(Drift(f"tag of the access of {arn}", reason or "none", NAMED))
        elif arn not in desired and not reason:
            ctx.warn(_perhaps_former(ctx, arn))
    return drift


def _is_ours(ctx: Context, entry: Item) -> bool:
    owner, step = tag_of(entry, DEPLOYMENT_TAG), tag_of(entry, STEP_TAG)
    return owner == ctx.config.deployment_name and step == "cluster access"


def _perhaps_former(ctx: Context, arn: str) -> Problem:
    return Problem(
        f"{arn} administers the cluster, and cluster_admins does not name it",
        "an earlier version has created its access entry, and did not say in its tags whether "
        "cluster_admins named it or it ran configure",
        f"name it in cluster_admins, or run `aws eks delete-access-entry --cluster-name "
        f"{ctx.config.eks_cluster_name} --principal-arn {arn}`, and remove it from `kubectl -n "
        "kube-system edit configmap aws-auth`",
    )


def mark_named(ctx: Context, entries: Mapping[str, Item]) -> None:
    """Say of the entries of all whom the configuration names that they have them for that."""
    for arn, entry in entries.items():
        named = arn in ctx.config.cluster_admins and tag_of(entry, FOR_TAG) != NAMED
        if named and _is_ours(ctx, entry):
            marked = reason_of(ctx, arn)
            ctx.aws.eks.tag_resource(resourceArn=str(entry["accessEntryArn"]), tags=marked)


def remove_former(ctx: Context, entries: Mapping[str, Item], desired: Sequence[str]) -> None:
    """Delete the entries of those who should no longer have access; a copy of each is kept."""
    for arn in former_admins(ctx, entries, desired):
        keep_entry(ctx, entries[arn])
        delete_entry(ctx, arn)
        ctx.note(f"{arn} has no access to the cluster any more")
