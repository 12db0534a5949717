"""The role with which EventBridge Scheduler stops the deployment: what it may do, and to what.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role
https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.denials import is_denial
from aws_setup.aws.errors import describe_error
from aws_setup.aws.idempotency import retry_not_found
from aws_setup.aws.inventory import Item, schedule_group_name
from aws_setup.aws.outages import NO_ANSWER
from aws_setup.aws.session import error_code
from aws_setup.aws.tag_drift import TaggedItem, Write
from aws_setup.aws.tags import DEPLOYMENT_TAG, as_list, tags
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import Problem
from aws_setup.infrastructure.iam import delete_role
from aws_setup.infrastructure.permissions_boundary import boundary_argument, boundary_drift
from aws_setup.infrastructure.role_tags import TaggedRole, owner_drift, region_in, role_facts

SCHEDULER = "scheduler.amazonaws.com"
"""The service principal that assumes the role."""

POLICY_NAME = "stop-deployment"

NOTHING_STOPS = "nothing will stop this deployment by itself"

HINT = (
    'have an administrator run `create --only "deadline role"` once, or grant what '
    "docs/permissions.md lists; with auto_pause_after: never this warning ends"
)
HINT_NETWORK = (
    "let this network's firewall or proxy through to that endpoint, where the region has this "
    "service, then run again; with auto_pause_after: never this warning ends"
)

HINT_FAILED = "run create again, which sets the deadline; pause stops the machines now"


def deadline_role_name(config: Config) -> str:
    """Return the role's name, which is that of the schedule group."""
    return schedule_group_name(config)


def deadline_role_arn(ctx: Context) -> str:
    """Return the role's ARN, whether the role exists or not."""
    aws, name = ctx.aws, deadline_role_name(ctx.config)
    return f"arn:{aws.partition}:iam::{aws.identity.account}:role/{name}"


def scheduler_trust(ctx: Context) -> str:
    """Return the policy that lets the schedules of this deployment's group assume the role."""
    account, aws = ctx.aws.identity.account, ctx.aws
    group = f"schedule-group/{schedule_group_name(ctx.config)}"
    arn = f"arn:{aws.partition}:scheduler:{aws.region}:{account}:{group}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": SCHEDULER},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account, "aws:SourceArn": arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def stop_policy(config: Config) -> dict[str, Any]:
    """Return what the role may do: stop what carries the deployment's tag, nothing else.

    EC2, EKS and Auto Scaling know aws:ResourceTag for these actions (service authorization
    reference).
    """
    statement = {
        "Effect": "Allow",
        "Action": [
            "autoscaling:UpdateAutoScalingGroup",
            "ec2:StopInstances",
            "eks:UpdateNodegroupConfig",
        ],
        "Resource": "*",
        "Condition": {
            "StringEquals": {f"aws:ResourceTag/{DEPLOYMENT_TAG}": config.deployment_name}
        },
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def is_unavailable(ctx: Context, error: Exception, *, service: str = "iam") -> bool:
    """Return whether a service refuses for lack of permission, or has never answered.

    A region may not have it, and a firewall or a proxy may not let it through.
    """
    return is_denial(error_code(error)) or ctx.aws.outages.keeps_silent(service, error)


def without_deadline(ctx: Context, error: Exception) -> Found:
    """Warn that there is no deadline, and why; the run goes on without it."""
    ctx.warn(no_deadline(error))
    return Found("", skipped=NOTHING_STOPS)


def no_deadline(error: Exception) -> Problem:
    """Return the warning that nothing stops the machines, with the fix of its cause."""
    hint = HINT if is_denial(error_code(error)) else HINT_FAILED
    if isinstance(error, NO_ANSWER):
        hint = HINT_NETWORK
    return Problem(NOTHING_STOPS, describe_error(error), hint)


def nothing_denied(_: Context) -> Sequence[str]:
    """Return no action: what the caller may do is not checked."""
    return ()


def checked(
    ctx: Context, found: Found | None, denied: Callable[[Context], Sequence[str]]
) -> Found | None:
    """Return what a step of the deadline finds, or that it is skipped.

    What cannot be made is left alone, so that a run that may not make it writes nothing and says
    so, each time.

    Args:
        ctx: the run's context.
        found: what the step has found.
        denied: returns the actions that the caller may not; asked when something is to be written.
    """
    settled = found and (found.skipped or not found.drift or any(it.fix for it in found.drift))
    actions = () if settled else denied(ctx)
    if not actions:
        return found
    why = f"{ctx.aws.identity.arn} may not {', '.join(actions)}"
    ctx.warn(Problem(NOTHING_STOPS, why, HINT))
    return Found("", skipped=NOTHING_STOPS)


@dataclass(frozen=True)
class DeadlineRole(TaggedRole, Step):
    """The role of the deadline; without the permission to make it the run goes on, and warns."""

    needs: tuple[str, ...] = ()
    surplus: bool = False
    denied: Callable[[Context], Sequence[str]] = nothing_denied
    name: str = "deadline role"
    regional: bool = False
    part: str = "deadline"

    def find(self, ctx: Context) -> Found | None:
        """Return the role; one of the same name without this deployment's tag is a conflict."""
        found = self._found(ctx)
        return found if self.surplus or ctx.owned_only else checked(ctx, found, self.denied)

    def _found(self, ctx: Context) -> Found | None:
        iam, name = ctx.aws.iam, deadline_role_name(ctx.config)
        try:
            role: Any = iam.get_role(RoleName=name)["Role"]
        except iam.exceptions.NoSuchEntityException:
            return None
        except (ClientError, *NO_ANSWER) as error:
            if not is_unavailable(ctx, error):
                raise
            return None if self.surplus or ctx.owned_only else without_deadline(ctx, error)
        if self.surplus and self._of_others(ctx, role):
            return None
        return Found(role["Arn"], "available", role_facts(role), self._drift(ctx, role))

    def tagged(self, ctx: Context, found: Found) -> Sequence[TaggedItem]:
        """Return the role with its tags; who may not write them is warned."""
        items = super().tagged(ctx, found)
        return [
            replace(item, write=partial(write_deadline_tags, ctx, item.write)) for item in items
        ]

    def _drift(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        config = ctx.config
        if others := self._of_others(ctx, role):
            return others
        if self.surplus or ctx.owned_only:
            return ()
        drift = [*boundary_drift(ctx, role)]
        trust, policy = role["AssumeRolePolicyDocument"], _policy(ctx, role["RoleName"])
        if trust != json.loads(scheduler_trust(ctx)):
            wants = "EventBridge Scheduler's"
            drift.append(Drift("trust policy", "different", wants, replaces=trust))
        if policy != stop_policy(config):
            wants = "to stop this deployment"
            drift.append(Drift("policy", "different", wants, replaces=policy))
        return tuple(drift)

    def _of_others(self, ctx: Context, role: Item) -> tuple[Drift, ...]:
        fix = f"delete the role {role['RoleName']}, or set auto_pause_after: never"
        trust = role["AssumeRolePolicyDocument"]
        used = partial(region_in, trust, r":scheduler:([a-z0-9-]+):")
        return owner_drift(ctx, role, self.name, fix=fix, used_in=used)

    def create(self, ctx: Context) -> Found:
        """Create the role and its policy; its name is unique, so that a repeat finds the first."""
        iam, name = ctx.aws.iam, deadline_role_name(ctx.config)
        own = tags(ctx.config, self.name, region=ctx.aws.region)
        try:
            role: Any = iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=scheduler_trust(ctx),
                Description="Stops the machines of a deployment of LambdaFS at its deadline",
                Tags=as_list(own),  # type: ignore[arg-type]
                **boundary_argument(ctx),
            )["Role"]
        except ClientError as error:
            if is_unavailable(ctx, error):
                return without_deadline(ctx, error)
            if error_code(error) != "EntityAlreadyExists":
                raise
            role = retry_not_found(lambda: iam.get_role(RoleName=name)["Role"], clock=ctx.clock)
            if self._of_others(ctx, role):
                raise
        return self.update(ctx, Found(role["Arn"], "available", {"role_name": name}))

    def update(self, ctx: Context, found: Found) -> Found:
        """Set the role's policy and who may assume it, as far as they differ."""
        iam, name = ctx.aws.iam, deadline_role_name(ctx.config)
        try:
            if any(drift.what == "trust policy" for drift in found.drift):
                iam.update_assume_role_policy(RoleName=name, PolicyDocument=scheduler_trust(ctx))
            document = json.dumps(stop_policy(ctx.config))
            iam.put_role_policy(RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=document)
        except ClientError as error:
            if not is_unavailable(ctx, error):
                raise
            return without_deadline(ctx, error)
        return Found(found.id, "available", found.facts)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the role and its policy."""
        if found.id:
            delete_role(ctx, deadline_role_name(ctx.config))


def write_deadline_tags(
    ctx: Context, write: Write, names: Sequence[str], written: Mapping[str, str]
) -> None:
    """Write tags of the deadline's role or schedules; without the permission it is a warning."""
    try:
        write(names, written)
    except ClientError as error:
        if not is_unavailable(ctx, error):
            raise
        what = "the deadline's tags were not written again"
        ctx.warn(Problem(what, describe_error(error), HINT))


def _policy(ctx: Context, name: str) -> Mapping[str, Any] | None:
    """Return the role's policy; None when it has none."""
    iam = ctx.aws.iam
    try:
        answer = iam.get_role_policy(RoleName=name, PolicyName=POLICY_NAME)
    except iam.exceptions.NoSuchEntityException:
        return None
    document: Any = answer["PolicyDocument"]
    return json.loads(document) if isinstance(document, str) else dict(document)
