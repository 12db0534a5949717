"""EKS add-ons: adopted when they are there, made otherwise, and waited for by our own polling.

botocore's waiter takes DEGRADED for a failure; an add-on is DEGRADED for a while until its nodes
and its permissions are there, and recovers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry, wait_visible
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import DEPLOYMENT_TAG, tags
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError

EBS_CSI = "aws-ebs-csi-driver"
FAILED = ("CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True)
class Addon(Step):
    """One add-on; `role` names the step of the role that its service account assumes."""

    addon: str
    needs: tuple[str, ...] = ("eks cluster",)
    role: str = ""
    part: str = "eks"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return f"{self.addon} add-on"

    def find(self, ctx: Context) -> Found | None:
        """Return the add-on, ours or another's: both are used."""
        addon = describe(ctx, self.addon)
        found = self._found(ctx, addon) if addon else None
        return None if found and ctx.owned_only and not found.facts["ours"] else found

    def _found(self, ctx: Context, addon: Item) -> Found:
        status = addon["status"]
        ours = tag_of(addon, DEPLOYMENT_TAG) == ctx.config.deployment_name
        version, notes = addon.get("addonVersion", ""), [_reasons(addon)] if _reasons(addon) else []
        facts = {"version": version, "ours": ours, "notes": notes}
        ready, state = status == "ACTIVE", f"{status} {version}".strip()
        return Found(self.addon, state, facts, self._drift(ctx, addon), ready)

    def _drift(self, ctx: Context, addon: Item) -> tuple[Drift, ...]:
        if addon["status"] in ("CREATE_FAILED", "DELETING"):
            return (
                Drift(
                    "status",
                    f"{addon['status']} {_reasons(addon)}".strip(),
                    "ACTIVE",
                    key=DriftKey.STATUS,
                ),
            )
        role = ctx.found.get(self.role)
        has = addon.get("serviceAccountRoleArn", "")
        if role and has != role.id:
            return (Drift("role", has or "none", role.id),)
        return ()

    def create(self, ctx: Context) -> Found:
        """Ask for the add-on; what Kubernetes itself installed of it is taken over.

        Its name keeps it from being made twice. A token of ours that stayed the same would, after
        a destroy, be answered with the add-on that is gone; botocore's is new for each call.
        """
        request: dict[str, Any] = {
            "clusterName": ctx.config.eks_cluster_name,
            "addonName": self.addon,
            "resolveConflicts": "OVERWRITE",
            "tags": tags(ctx.config, self.name),
        }
        if self.role:
            request["serviceAccountRoleArn"] = ctx.of(self.role).id

        def ask() -> Any:
            try:
                return ctx.aws.eks.create_addon(**request)["addon"]
            except ClientError as error:
                if error_code(error) != "ResourceInUseException":
                    raise
                # Another run made it, or the cluster is busy with an update.
                return describe(ctx, self.addon) or Pending("the cluster is busy")

        what = f"EKS accepts the add-on {self.addon}"
        made = wait_until(what, ask, clock=ctx.clock, deadline=300, pause=5, note=ctx.note)
        return self._found(ctx, made)

    def update(self, ctx: Context, found: Found) -> Found:
        """Give the add-on its role; one whose creation failed is deleted and made anew."""
        if any(drift.key is DriftKey.STATUS for drift in found.drift):
            _delete(ctx, self.addon)
            return self.create(ctx)
        ctx.aws.eks.update_addon(
            clusterName=ctx.config.eks_cluster_name,
            addonName=self.addon,
            serviceAccountRoleArn=ctx.of(self.role).id,
            resolveConflicts="PRESERVE",
        )
        return Found(found.id, "UPDATING", found.facts, ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the add-on is ACTIVE; CREATING and DEGRADED pass until the deadline."""

        def probe() -> Found | Pending:
            addon = wait_visible(lambda: describe(ctx, self.addon), clock=ctx.clock)
            if addon is None:
                raise SetupError(f"{self.name} is gone", "somebody deleted it", "run it again")
            if addon["status"] in FAILED:
                raise SetupError(
                    f"{self.name} is {addon['status']}",
                    _reasons(addon) or "EKS gives no reason",
                    "run configure again: it makes the add-on anew",
                )
            state = f"{addon['status']} {_reasons(addon)}".strip()
            return self._found(ctx, addon) if addon["status"] == "ACTIVE" else Pending(state)

        return wait_until(
            f"{self.name} becomes ACTIVE",
            probe,
            clock=ctx.clock,
            deadline=1200,
            pause=3,
            note=ctx.note,
            hint="see docs/configure.md, 'The EBS CSI driver is not authorised'"
            if self.addon == EBS_CSI
            else "",
        )

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the add-on and return when EKS no longer knows it."""
        _delete(ctx, self.addon)


def describe(ctx: Context, addon: str) -> Item | None:
    """Return an add-on as EKS describes it; None when the cluster has none of that name."""
    eks = ctx.aws.eks
    try:
        answer: Any = eks.describe_addon(clusterName=ctx.config.eks_cluster_name, addonName=addon)
    except eks.exceptions.ResourceNotFoundException:
        return None
    found: Item = answer["addon"]
    return found


def _delete(ctx: Context, addon: str) -> None:
    cluster = ctx.config.eks_cluster_name
    delete_with_retry(
        ctx,
        f"add-on {addon}",
        lambda: ctx.aws.eks.delete_addon(clusterName=cluster, addonName=addon),
        gone={"ResourceNotFoundException"},
    )

    def gone() -> bool | Pending:
        there = describe(ctx, addon)
        return Pending(there["status"]) if there else True

    what = f"add-on {addon} is deleted"
    wait_until(what, gone, clock=ctx.clock, deadline=900, pause=2, note=ctx.note)


def _reasons(addon: Item) -> str:
    found = addon.get("health", {}).get("issues", [])
    return "; ".join(f"{issue.get('code')}: {issue.get('message')}" for issue in found)
