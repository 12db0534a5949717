"""EKS add-ons: existing ones are used, missing ones created; the wait polls by itself.

The end of the cluster removes them. That is inferred: of what must be deleted before it, AWS names
node groups and Fargate profiles only; the same holds for access entries and Kubernetes' objects.
https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html

botocore's waiter counts DEGRADED as a failure; an add-on is DEGRADED until its nodes and its
permissions exist, and then recovers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.reasons import fix_then, health_issues
from aws_setup.aws.session import error_code
from aws_setup.aws.tag_drift import Tagged, TaggedItem, is_own, tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.eks.addon_specs import AddonSpec
from aws_setup.eks.self_managed import (
    describe_settings,
    installed_objects,
    keep_settings,
    object_drift,
)
from aws_setup.eks.volume_hints import addon_hint
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.eks_cluster import write_eks_tags
from aws_setup.infrastructure.eks_deletions import RE_CREATED, EksDeletion
from aws_setup.infrastructure.eks_updates import UPDATING, send_update

SELF_MANAGED = "self-managed"
"""Key of the drift of an add-on that is installed, but not managed by EKS."""

UPDATE_AGAIN = "update again"
"""Key of the drift of an add-on whose update failed: EKS accepts another one.

https://github.com/aws-controllers-k8s/eks-controller/pull/166
"""

FAILED = {
    "CREATE_FAILED": "run configure again: it re-creates the add-on",
    "UPDATE_FAILED": "run configure again: it updates the add-on again",
    "DELETE_FAILED": "run configure again: it deletes the add-on and re-creates it",
}
"""States that EKS does not leave by itself, and what the next run does about them."""


INSTALLED = ("ACTIVE", "DEGRADED")
"""States in which EKS has installed an add-on, and changes nothing."""


def addon_step(spec: AddonSpec, node_groups: Sequence[str] = ()) -> Addon:
    """Return the step of an add-on; `node_groups` are the steps of the node groups."""
    role = (spec.role.name,) if spec.role else ()
    # What is installed already is read first: without access to the cluster that waits in vain.
    follows = ("cluster access", *(node_groups if spec.on_nodes else ()))
    return Addon(spec, needs=("eks cluster", *role), follows=follows)


@dataclass(frozen=True)
class Addon(Tagged, Step):
    """One add-on of the cluster; `version` is the one that it gets, whatever is configured."""

    spec: AddonSpec
    needs: tuple[str, ...] = ("eks cluster",)
    follows: tuple[str, ...] = ()
    part: str = "eks"
    ends_with: str = "eks cluster"
    version: str = ""

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.spec.step

    def find(self, ctx: Context) -> Found | None:
        """Return the add-on; one that this deployment does not own is used as well."""
        addon = describe(ctx, self.spec.name)
        if addon is None and not ctx.owned_only:
            return self._find_self_managed(ctx)
        if addon is None or (ctx.owned_only and not _is_owned(ctx, addon)):
            return None
        found = self._found(ctx, addon)
        return replace(found, drift=(*found.drift, *self._object_drift(ctx, addon)))

    def _object_drift(self, ctx: Context, addon: Item) -> tuple[Drift, ...]:
        """Return the objects that the add-on lacks in the cluster, as far as they can be read."""
        if ctx.owned_only or addon["status"] not in INSTALLED or active_cluster(ctx) is None:
            return ()
        try:
            return object_drift(ctx, self.spec.name)
        except SetupError:
            return ()

    def _find_self_managed(self, ctx: Context) -> Found | None:
        """Return the add-on that somebody has installed without EKS; None where there is none.

        A plan may be made before the caller has access to the cluster; `create` looks again.
        """
        try:
            objects = installed_objects(ctx, self.spec.name) if active_cluster(ctx) else []
        except SetupError:
            return None
        if not objects:
            return None
        has = f"not by EKS ({describe_settings(objects)})"
        drift = Drift("managed", has, "by EKS; a copy of its settings is kept", key=SELF_MANAGED)
        return Found(self.spec.name, "not managed by EKS", drift=(drift,), ready=False)

    def _found(self, ctx: Context, addon: Item) -> Found:
        status, version, reasons = addon["status"], addon.get("addonVersion", ""), _reasons(addon)
        facts: dict[str, Any] = {"version": version, "notes": [reasons] if reasons else []}
        if is_own(tags_of(addon), deployment=ctx.config.deployment_name, step=self.name):
            facts |= {"arn": addon.get("addonArn", ""), "tags": tags_of(addon)}
        drift, since = self._drift(ctx, addon), addon.get("createdAt")
        state = f"{status} {version}".strip()
        return Found(self.spec.name, state, facts, drift, _is_ready(addon), since)

    def tagged(self, ctx: Context, found: Found) -> list[TaggedItem]:
        """Return the add-on with its tags; that of others is used, and not tagged."""
        if "tags" not in found.facts:
            return []
        wanted, write = tags(ctx.config, self.name), partial(write_eks_tags, ctx)
        return [TaggedItem(found.facts["arn"], found.facts["tags"], wanted, write)]

    def _drift(self, ctx: Context, addon: Item) -> tuple[Drift, ...]:
        if addon["status"] in RE_CREATED:
            return (Drift("status", _state(addon), "ACTIVE", key=DriftKey.STATUS, replaces=addon),)
        role = ctx.found.get(self.spec.role.name) if self.spec.role else None
        has = addon.get("serviceAccountRoleArn", "")
        drift = []
        if addon["status"] == "UPDATE_FAILED":
            drift.append(Drift("status", _state(addon), "ACTIVE", key=UPDATE_AGAIN))
        if role and has != role.id:
            drift.append(Drift("role", has or "none", role.id))
        version = self._version(ctx)
        if version and addon.get("addonVersion") != version:
            drift.append(Drift("version", addon.get("addonVersion", "none"), version))
        return tuple(drift)

    def _version(self, ctx: Context) -> str:
        """Return the configured version; '' for EKS's default."""
        return self.version or ctx.config.eks_addon_versions.get(self.spec.name, "")

    def create(self, ctx: Context) -> Found:
        """Create the add-on; what is installed already is overwritten, and a copy of it kept.

        The name is unique within the cluster, so that a repeat creates no second one. A constant
        client token would, after a destroy, return the deleted add-on; botocore's is new for each
        call.
        """
        keep_settings(ctx, self.spec.name)
        return self._create(ctx)

    def _create(self, ctx: Context, *, values: str = "") -> Found:
        """Send the request, with the user's configuration values where there were some."""
        request: dict[str, Any] = {
            "clusterName": ctx.config.eks_cluster_name,
            "addonName": self.spec.name,
            "resolveConflicts": "OVERWRITE",
            "tags": tags(ctx.config, self.name),
        }
        if self.spec.role:
            request["serviceAccountRoleArn"] = ctx.of(self.spec.role.name).id
        if self._version(ctx):
            request["addonVersion"] = self._version(ctx)
        if values:
            request["configurationValues"] = values

        def probe() -> Any:
            try:
                return ctx.aws.eks.create_addon(**request)["addon"]
            except ClientError as error:
                if error_code(error) != "ResourceInUseException":
                    raise
                # Another run created it, or the cluster is being updated.
                return describe(ctx, self.spec.name) or Pending("the cluster is being updated")

        what = f"EKS accepts the add-on {self.spec.name}"
        addon = ctx.wait_until(what, probe, deadline=300, pause=5)
        return self._found(ctx, addon)

    def update(self, ctx: Context, found: Found) -> Found:
        """Set role and version; an add-on whose creation or deletion failed is re-created.

        After an update that failed the same request repeats it. The configuration values, which
        are the user's, stay.
        """
        keys = {drift.key for drift in found.drift}
        if SELF_MANAGED in keys:
            return self.create(ctx)
        if DriftKey.STATUS in keys:
            former = describe(ctx, self.spec.name) or {}
            _delete(ctx, self.spec.name)
            return self._create(ctx, values=str(former.get("configurationValues") or ""))
        what = f"the {self.name}"
        send_update(ctx, what, lambda: self._send_update(ctx), deadline=1200)
        return Found(found.id, "UPDATING", found.facts, ready=False)

    def _send_update(self, ctx: Context) -> bool | Pending:
        """Send the update, unless the add-on has become as configured; Pending during another."""
        addon = self._described(ctx)
        if addon["status"] in (UPDATING, "CREATING"):
            return Pending(addon["status"])
        drift = self._drift(ctx, addon)
        if any(item.key == DriftKey.STATUS for item in drift):
            raise self._failure(addon)
        request: dict[str, Any] = {
            "clusterName": ctx.config.eks_cluster_name,
            "addonName": self.spec.name,
            "resolveConflicts": "PRESERVE",
        }
        if self.spec.role:
            request["serviceAccountRoleArn"] = ctx.of(self.spec.role.name).id
        if self._version(ctx):
            request["addonVersion"] = self._version(ctx)
        if drift or self._object_drift(ctx, addon):
            ctx.aws.eks.update_addon(**request)
        return True

    def _described(self, ctx: Context) -> Item:
        addon = wait_visible(lambda: describe(ctx, self.spec.name), clock=ctx.clock)
        if addon is None:
            raise SetupError(
                f"the {self.name} no longer exists",
                "it was deleted during this run",
                "run the same command again",
            )
        return addon

    def _failure(self, addon: Item) -> SetupError:
        """Return why EKS gave up the add-on, and what the next run does about that."""
        why, then = _reasons(addon), FAILED.get(addon["status"], FAILED["DELETE_FAILED"])
        return SetupError(
            f"{self.name} is {addon['status']}", why or "EKS gives no reason", fix_then(why, then)
        )

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the add-on is ACTIVE; CREATING and DEGRADED are waited for."""

        def probe() -> Found | Pending:
            addon = self._described(ctx)
            if addon["status"] in FAILED:
                raise self._failure(addon)
            if _is_ready(addon):
                return self._found(ctx, addon)
            return Pending(_state(addon), addon_hint(_state(addon)))

        what, usual = f"{self.name} becomes ACTIVE", MEDIANS["addon active"]
        return ctx.wait_until(what, probe, deadline=1200, pause=6, usual=usual, since=found.since)

    def details(self, ctx: Context) -> str:
        """Return the version: the configured or present one, else EKS's default."""
        found = ctx.found.get(self.name)
        present = str(found.facts.get("version", "")) if found else ""
        return self._version(ctx) or present or "EKS's default version"

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the add-on and return when it no longer exists."""
        _delete(ctx, self.spec.name)


def describe(ctx: Context, addon: str) -> Item | None:
    """Return an add-on as EKS describes it; None when it does not exist."""
    eks = ctx.aws.eks
    try:
        answer: Any = eks.describe_addon(clusterName=ctx.config.eks_cluster_name, addonName=addon)
    except eks.exceptions.ResourceNotFoundException:
        return None
    found: Item = answer["addon"]
    return found


def _delete(ctx: Context, addon: str) -> None:
    cluster = ctx.config.eks_cluster_name
    EksDeletion(
        f"add-on {addon}",
        lambda: ctx.aws.eks.delete_addon(clusterName=cluster, addonName=addon),
        lambda: describe(ctx, addon),
        usual=MEDIANS["addon deleted"],
    ).run(ctx)


def _reasons(addon: Item) -> str:
    return "; ".join(health_issues(addon))


def _state(addon: Item) -> str:
    return f"{addon['status']} {_reasons(addon)}".strip()


def _is_ready(addon: Item) -> bool:
    return bool(addon["status"] == "ACTIVE")


def _is_owned(ctx: Context, addon: Item) -> bool:
    return tag_of(addon, DEPLOYMENT_TAG) == ctx.config.deployment_name
