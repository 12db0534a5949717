"""Checks the caller's permissions with IAM's policy simulator, else with DryRun requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.denials import is_denial
from aws_setup.aws.error_messages import HINT_PERMISSION
from aws_setup.aws.errors import AWS_ERRORS
from aws_setup.aws.run_lock import not_prevented
from aws_setup.aws.run_lock_store import path_of as lock_path
from aws_setup.aws.session import Aws, error_code
from aws_setup.preflight import launches
from aws_setup.preflight.iam_policy import RUN_LOCK, actions_for
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.policy_document import context_entries
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

ROLE_SESSION = re.compile(r"^arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/([^/]+)/")


def check(planned: PlannedResources) -> CheckResult:
    """Check that the caller has the permissions that this run needs."""
    arn = planned.ctx.aws.identity.arn
    steps = planned.to_create | planned.launched_groups
    if not steps or arn.endswith(":root"):
        return CheckResult()
    asked = advice(lambda: launches.refusals(planned), lambda _: [])
    simulated = advice(
        lambda: findings_of(arn, _simulate(planned, arn), known=RUN if asked else ""),
        lambda why: _dry_run(planned, why),
    )
    return CheckResult.of([*simulated, *asked])


def _simulate(planned: PlannedResources, arn: str) -> list[Any]:
    """Simulate each service's actions on the resource that they would act on."""
    actions = actions_for(planned.to_create | planned.launched_groups)
    actions_of = {
        resource: [name for name in actions if name.partition(":")[0] in services]
        for resource, services in _resources(planned, arn).items()
    }
    return simulate(planned.ctx, actions_of | lock_actions(planned.ctx))


def lock_actions(ctx: Context) -> dict[str, list[str]]:
    """Return the resource of the run lock with its actions."""
    aws = ctx.aws
    prefix = f"arn:{aws.partition}:ssm:{aws.region}:{aws.identity.account}:parameter"
    return {prefix + lock_path(ctx.config): list(RUN_LOCK)}


def simulate(ctx: Context, actions_of: Mapping[str, Sequence[str]], **context: str) -> list[Any]:
    """Return the results of IAM's policy simulator; `actions_of` is resource -> actions.

    A policy may allow single roles and clusters only: on `*` the simulator would deny those. And it
    may have conditions on tags: the simulator is told what the calls will have. `context` are
    values of condition keys that differ from those of most calls.
    """
    aws, arn = ctx.aws, ctx.aws.identity.arn
    entries: Any = context_entries(ctx.config, partition=arn.split(":")[1], **context)
    source = policy_source(aws, arn)
    results: list[Any] = []
    for resource, names in actions_of.items():
        marker: dict[str, Any] = {}
        while names:
            page: Any = aws.brief("iam").simulate_principal_policy(
                PolicySourceArn=source,
                ActionNames=list(names),
                ResourceArns=[resource],
                ContextEntries=entries,
                **marker,
            )
            results += page["EvaluationResults"]
            if not page.get("IsTruncated"):
                break
            marker = {"Marker": page["Marker"]}
    return results


def _resources(planned: PlannedResources, arn: str) -> dict[str, tuple[str, ...]]:
    """Return the resources to simulate actions on, each with the services of the actions."""
    partition, account = arn.split(":")[1], planned.ctx.aws.identity.account
    cluster = f"{planned.ctx.aws.region}:{account}:cluster/{planned.config.eks_cluster_name}"
    return {
        "*": ("ec2", "autoscaling"),
        f"arn:{partition}:iam::{account}:role/{planned.config.eks_iam_role_name}": ("iam",),
        f"arn:{partition}:eks:{cluster}": ("eks",),
    }


RUN = "ec2:RunInstances"
"""The action that EC2 itself is asked about, with a reason that the simulator does not give."""


def findings_of(arn: str, results: Sequence[Any], *, known: str = "") -> list[Finding]:
    """Refuse denied actions; warn of those that depend on an unknown condition, or of the lock.

    Args:
        arn: the caller.
        results: the results of the simulator.
        known: an action whose denial is reported already.
    """
    refused = [it for it in _denied(results) if it["EvalActionName"] != known]
    of_lock = [result for result in refused if result["EvalActionName"] in RUN_LOCK]
    denied = [result for result in refused if result not in of_lock]
    conditional = [result for result in denied if _is_conditional(result)]
    certain = _names([result for result in denied if result not in conditional])
    findings = []
    if of_lock:
        problem = not_prevented(f"{arn} may not {_join(_names(of_lock))}")
        findings.append(warn(problem.what, problem.why, problem.hint))
    if certain:
        findings.append(
            refuse("permissions are missing", f"{arn} may not {_join(certain)}", HINT_PERMISSION)
        )
    if conditional:
        why = f"the policies of {arn} have conditions on {_join(_names(conditional))}"
        hint = (
            "see docs/permissions.md for the required permissions if the run fails at one of them"
        )
        findings.append(warn("some permissions could not be checked", why, hint))
    return findings


def _denied(results: Sequence[Any]) -> list[Any]:
    return [result for result in results if result["EvalDecision"] != "allowed"]


def denied_actions(results: Sequence[Any]) -> list[str]:
    """Return the names of the actions that are certainly denied."""
    return _names([result for result in _denied(results) if not _is_conditional(result)])


def _is_conditional(result: Mapping[str, Any]) -> bool:
    """Return whether a denial depends on a condition whose value the simulator does not know."""
    explicit = result["EvalDecision"] == "explicitDeny"
    return bool(result.get("MissingContextValues")) and not explicit


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(result["EvalActionName"]) for result in results]


def _join(actions: Sequence[str]) -> str:
    return ", ".join(sorted(set(actions)))


def policy_source(aws: Aws, arn: str) -> str:
    """Return the ARN to simulate for a caller: the role of a role session, else its own ARN.

    A session's ARN does not contain the role's path, so the ARN is read from the role.
    """
    session = ROLE_SESSION.match(arn)
    if session is None:
        return arn
    try:
        return str(aws.iam.get_role(RoleName=session[3])["Role"]["Arn"])
    except ClientError:
        return f"arn:{session['partition']}:iam::{session['account']}:role/{session[3]}"


def _dry_run(planned: PlannedResources, why: str) -> list[Finding]:
    """Check some creates of EC2 with DryRun, and warn that the rest could not be checked."""
    denied = [
        action
        for step, (action, dry_run) in DRY_RUNS.items()
        if step in planned.to_create and _is_denied(dry_run, planned.ctx.aws)
    ]
    findings = [unchecked(why)]
    if denied:
        arn = planned.ctx.aws.identity.arn
        findings.append(
            refuse("permissions are missing", f"{arn} may not {_join(denied)}", HINT_PERMISSION)
        )
    return findings


def unchecked(why: str) -> Finding:
    """Return the warning that the caller's permissions could not be checked."""
    return warn(
        "the permissions could not be checked in advance",
        why,
        "see docs/permissions.md for the required permissions if the run fails at one",
    )


def _is_denied(dry_run: Callable[[Aws], object], aws: Aws) -> bool:
    """Return whether AWS denies a call; any other response, also a failure, is no denial."""
    try:
        dry_run(aws)
    except ClientError as error:
        return is_denial(error_code(error))
    except AWS_ERRORS:
        return False
    return False


DRY_RUNS: Mapping[str, tuple[str, Callable[[Aws], object]]] = {
    "vpc": (
        "ec2:CreateVpc",
        lambda aws: aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", DryRun=True),
    ),
    "internet gateway": (
        "ec2:CreateInternetGateway",
        lambda aws: aws.ec2.create_internet_gateway(DryRun=True),
    ),
    "elastic ip": (
        "ec2:AllocateAddress",
        lambda aws: aws.ec2.allocate_address(Domain="vpc", DryRun=True),
    ),
}
"""Step -> its IAM action, and a DryRun of EC2's create that requires no other resource."""
