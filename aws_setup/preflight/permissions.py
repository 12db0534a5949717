"""Checks the caller's permissions with IAM's policy simulator, else with DryRun requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.denials import denied_action, is_denial
from aws_setup.aws.error_messages import HINT_PERMISSION
from aws_setup.aws.errors import AWS_ERRORS, to_setup_error
from aws_setup.aws.run_lock import not_prevented
from aws_setup.aws.run_lock_store import path_of as lock_path
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import specification
from aws_setup.errors import SetupError
from aws_setup.infrastructure.internet_gateway import InternetGateway
from aws_setup.infrastructure.nat_gateway import ElasticIp
from aws_setup.infrastructure.network import Vpc
from aws_setup.preflight import launches
from aws_setup.preflight.iam_policy import RUN_LOCK, actions_for
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn
from aws_setup.preflight.simulator import Verdict, simulate


def check(planned: PlannedResources) -> CheckResult:
    """Check that the caller has the permissions that this run needs."""
    arn = planned.ctx.aws.identity.arn
    steps = planned.to_create | planned.launched_groups
    if not steps or arn.endswith(":root"):
        return CheckResult()
    asked = advice(lambda: launches.refusals(planned), lambda _: [])
    simulated = advice(
        lambda: _simulated(planned, arn, known={RUN} if asked else set()),
        lambda why: [unchecked(why), *_denied_creates(planned, _dry_runs(planned))],
    )
    return CheckResult.of([*simulated, *asked])


def _simulated(planned: PlannedResources, arn: str, *, known: set[str]) -> list[Finding]:
    """Simulate the actions; of those that only a service control policy denies EC2 is asked.

    The simulator does not have every condition key of the calls, and says of no key of such a
    policy that it is missing; EC2 itself has all of them.
    """
    verdicts = _simulate(planned, arn)
    answers: dict[str, Denial | None] = {}
    if any(verdict.by_organisation for verdict in verdicts):
        answers = _dry_runs(planned)
    findings = findings_of(arn, verdicts, known=known | answers.keys())
    return [*findings, *_denied_creates(planned, answers)]


def _simulate(planned: PlannedResources, arn: str) -> list[Verdict]:
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


def findings_of(
    arn: str, verdicts: Sequence[Verdict], *, known: Collection[str] = ()
) -> list[Finding]:
    """Refuse denied actions; warn of those that depend on what is not known, or of the lock.

    Args:
        arn: the caller.
        verdicts: what the simulator says.
        known: actions about which AWS itself was asked.
    """
    denied = [it for it in verdicts if it.denied and it.action not in known]
    of_lock = [it for it in denied if it.action in RUN_LOCK]
    others = [it for it in denied if it not in of_lock]
    certain = [it for it in others if it.certain]
    findings = []
    if of_lock:
        problem = not_prevented(f"{arn} may not {_join(of_lock)}")
        findings.append(warn(problem.what, problem.why, problem.hint))
    if certain:
        why = f"{arn} may not {_join(certain)}"
        findings.append(refuse("permissions are missing", why, HINT_PERMISSION))
    findings += _conditional(arn, [it for it in others if it.missing and not it.by_organisation])
    findings += _by_organisation([it for it in others if it.by_organisation])
    return findings


def _conditional(arn: str, verdicts: Sequence[Verdict]) -> list[Finding]:
    """Warn of denials that depend on conditions: on the address or the MFA of the caller."""
    if not verdicts:
        return []
    keys = ", ".join(sorted({key for verdict in verdicts for key in verdict.missing}))
    why = f"the policies of {arn} have conditions on {keys}, which only AWS knows, and may deny "
    hint = "see docs/permissions.md for the required permissions if the run fails at one of them"
    return [warn("some permissions could not be checked", why + _join(verdicts), hint)]


def _by_organisation(verdicts: Sequence[Verdict]) -> list[Finding]:
    """Warn of what service control policies deny, as far as the simulator can say."""
    if not verdicts:
        return []
    what = "a service control policy of your organisation may deny a part of this run"
    why = f"IAM's policy simulator says so of {_join(verdicts)}; it does not know all of a call"
    hint = (
        "continue: AWS itself decides. If it denies one, ask your organisation's administrators "
        "which region, tags or permissions_boundary their policy demands"
    )
    return [warn(what, why, hint)]


def denied_actions(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the names of the actions that are certainly denied."""
    return [verdict.action for verdict in verdicts if verdict.certain]


def _join(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(sorted({verdict.action for verdict in verdicts}))


def unchecked(why: str) -> Finding:
    """Return the warning that the caller's permissions could not be checked."""
    return warn(
        "the permissions could not be checked in advance",
        why,
        "see docs/permissions.md for the required permissions if the run fails at one",
    )


@dataclass(frozen=True)
class Denial:
    """What EC2 denies: the action that it names, and the fix for the policy that denies it."""

    action: str
    hint: str


def _dry_runs(planned: PlannedResources) -> dict[str, Denial | None]:
    """Return what EC2 says about some creates of the plan: action -> what it denies, or None.

    What EC2 neither allows nor denies is left out.
    """
    answers: dict[str, Denial | None] = {}
    for step, (action, dry_run) in DRY_RUNS.items():
        if step not in planned.to_create:
            continue
        try:
            dry_run(planned.ctx)
        except ClientError as error:
            translated = to_setup_error(error)
            if error_code(error) == "DryRunOperation":
                answers[action] = None
            elif is_denial(error_code(error)) and isinstance(translated, SetupError):
                named = denied_action(str(error.response["Error"].get("Message", "")))
                answers[action] = Denial(named or action, translated.problems[0].hint)
        except AWS_ERRORS:
            continue
    return answers


def _denied_creates(
    planned: PlannedResources, answers: Mapping[str, Denial | None]
) -> list[Finding]:
    """Refuse what EC2 itself denies, with the fix for the policy that denies it."""
    by_hint: dict[str, set[str]] = {}
    for denied in filter(None, answers.values()):
        by_hint.setdefault(denied.hint, set()).add(denied.action)
    arn = planned.ctx.aws.identity.arn
    return [
        refuse("permissions are missing", f"{arn} may not {', '.join(sorted(actions))}", hint)
        for hint, actions in by_hint.items()
    ]


DRY_RUNS: Mapping[str, tuple[str, Callable[[Context], object]]] = {
    "vpc": (
        "ec2:CreateVpc",
        lambda ctx: ctx.aws.ec2.create_vpc(
            CidrBlock=ctx.config.vpc_cidr,
            TagSpecifications=specification("vpc", Vpc().wanted_tags(ctx)),
            DryRun=True,
        ),
    ),
    "internet gateway": (
        "ec2:CreateInternetGateway",
        lambda ctx: ctx.aws.ec2.create_internet_gateway(
            TagSpecifications=specification("internet-gateway", InternetGateway().wanted_tags(ctx)),
            DryRun=True,
        ),
    ),
    "elastic ip": (
        "ec2:AllocateAddress",
        lambda ctx: ctx.aws.ec2.allocate_address(
            Domain="vpc",
            TagSpecifications=specification("elastic-ip", ElasticIp().wanted_tags(ctx)),
            DryRun=True,
        ),
    ),
}
"""Step -> its IAM action, and a DryRun of EC2's create, with its tags: a policy may demand them."""
