"""Who will administer the cluster: else it would be noticed only half an hour later."""

from __future__ import annotations

from aws_setup.eks.access_entries import caller_principal
from aws_setup.errors import SetupError
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, warn


def check(planned: PlannedResources) -> CheckResult:
    """Warn of a caller that only its creation of the cluster gives access, or no access at all."""
    ctx = planned.ctx
    if "eks cluster" not in planned.to_create:
        return CheckResult()
    try:
        caller = caller_principal(ctx.aws, ctx.config)
    except SetupError as error:
        return CheckResult.of(warn(it.what, it.why, it.hint) for it in error.problems)
    if caller or ctx.config.cluster_admins:
        return CheckResult()
    what = "nobody else will be able to administer the cluster"
    why = f"{ctx.aws.identity.arn} is no IAM user or role: EKS gives it access as the creator alone"
    hint = "use the credentials of an IAM user or role, or add one to cluster_admins"
    return CheckResult.of([warn(what, why, hint)])
