"""The caller's permissions: simulated where IAM answers, else tried out with DryRun."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.errors import HINT_PERMISSION, to_setup_error
from aws_setup.aws.session import Aws, error_code
from aws_setup.preflight.iam_policy import actions_for
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

ROLE_SESSION = re.compile(r"^arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/([^/]+)/")

DENIED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})


def check(needs: PlannedResources) -> CheckResult:
    """Check that the caller may do what this run is going to do."""
    arn = needs.ctx.aws.identity.arn
    if not needs.to_make or arn.endswith(":root"):
        return CheckResult()
    try:
        return CheckResult.of(judged(arn, _simulated(needs, arn)))
    except (ClientError, BotoCoreError) as error:
        return CheckResult.of(_tried(needs, error))


def _simulated(needs: PlannedResources, arn: str) -> list[Any]:
    """Ask IAM's policy simulator, each service's actions on what they would act on."""
    actions = actions_for(needs.to_make)
    asked = {
        resource: [name for name in actions if name.partition(":")[0] in services]
        for resource, services in _resources(needs, arn).items()
    }
    return simulated(needs.ctx.aws, arn, asked)


def simulated(aws: Aws, arn: str, asked: Mapping[str, Sequence[str]]) -> list[Any]:
    """Return what IAM's policy simulator says of a caller; `asked` is resource -> actions.

    A policy may name single roles and clusters: on `*` the simulator would deny those.
    """
    source = policy_source(aws, arn)
    results: list[Any] = []
    for resource, names in asked.items():
        marker: dict[str, Any] = {}
        while names:
            page: Any = aws.brief("iam").simulate_principal_policy(
                PolicySourceArn=source,
                ActionNames=list(names),
                ResourceArns=[resource],
                **marker,
            )
            results += page["EvaluationResults"]
            if not page.get("IsTruncated"):
                break
            marker = {"Marker": page["Marker"]}
    return results


def _resources(needs: PlannedResources, arn: str) -> dict[str, tuple[str, ...]]:
    """Return the resource that the actions of some services are simulated on."""
    partition, account = arn.split(":")[1], needs.ctx.aws.identity.account
    cluster = f"{needs.ctx.aws.region}:{account}:cluster/{needs.config.eks_cluster_name}"
    return {
        "*": ("ec2", "autoscaling"),
        f"arn:{partition}:iam::{account}:role/{needs.config.eks_iam_role_name}": ("iam",),
        f"arn:{partition}:eks:{cluster}": ("eks",),
    }


def judged(arn: str, results: Sequence[Any]) -> list[Finding]:
    """Refuse what is denied; warn of a denial that hangs on a condition, which nobody knows."""
    denied = [one for one in results if one["EvalDecision"] != "allowed"]
    unsure = [one for one in denied if _depends(one)]
    sure = _names([one for one in denied if one not in unsure])
    findings = []
    if sure:
        findings.append(
            refuse("permissions are missing", f"{arn} may not {_joined(sure)}", HINT_PERMISSION)
        )
    if unsure:
        why = f"the policies of {arn} have conditions on {_joined(_names(unsure))}"
        hint = "if the run stops at one of them, docs/permissions.md lists what is needed"
        findings.append(warn("some permissions could not be checked", why, hint))
    return findings


def _depends(result: Mapping[str, Any]) -> bool:
    """Say whether a denial hangs on a condition whose value the simulator was not given."""
    explicit = result["EvalDecision"] == "explicitDeny"
    return bool(result.get("MissingContextValues")) and not explicit


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(one["EvalActionName"]) for one in results]


def _joined(actions: Sequence[str]) -> str:
    return ", ".join(sorted(set(actions)))


def policy_source(aws: Aws, arn: str) -> str:
    """Return the ARN that IAM simulates for a caller: a role for its session, else itself.

    A session's ARN leaves out the role's path, so the role is asked for its own.
    """
    session = ROLE_SESSION.match(arn)
    if session is None:
        return arn
    try:
        return str(aws.iam.get_role(RoleName=session[3])["Role"]["Arn"])
    except ClientError:
        return f"arn:{session['partition']}:iam::{session['account']}:role/{session[3]}"


def _tried(needs: PlannedResources, error: Exception) -> list[Finding]:
    """Try EC2's creates with DryRun; say that the rest could not be checked."""
    denied = [
        action
        for step, (action, attempt) in DRY_RUNS.items()
        if step in needs.to_make and _is_denied(attempt, needs.ctx.aws)
    ]
    findings = [unchecked(error)]
    if denied:
        who = needs.ctx.aws.identity.arn
        findings.append(
            refuse("permissions are missing", f"{who} may not {_joined(denied)}", HINT_PERMISSION)
        )
    return findings


def unchecked(error: Exception) -> Finding:
    """Return the warning that nobody could say what the caller may do."""
    return warn(
        "the permissions could not be checked in advance",
        str(to_setup_error(error)),
        "if the run stops at one, docs/permissions.md lists what is needed",
    )


def _is_denied(attempt: Callable[[Aws], object], aws: Aws) -> bool:
    """Say whether AWS denies a call; any other answer, also its own faults, is no denial."""
    try:
        attempt(aws)
    except ClientError as error:
        return error_code(error) in DENIED
    except BotoCoreError:
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
"""Step -> its IAM action, and EC2's create as a DryRun that needs nothing else to exist."""
