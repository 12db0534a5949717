"""DryRuns of the launches: what forbids them is known before the first write.

IAM's policy simulator sees the caller's own policies. Service control policies, tag policies, an
account that is not activated and an AMI of the Marketplace that nobody has subscribed to show only
when EC2 is asked. A DryRun launches nothing, and says nothing about capacity.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
"""

from __future__ import annotations

from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.denials import is_denial
from aws_setup.aws.error_messages import forbids_launches
from aws_setup.aws.errors import AWS_ERRORS, to_setup_error
from aws_setup.aws.session import error_code
from aws_setup.engine.reads import Reads
from aws_setup.errors import SetupError
from aws_setup.infrastructure.run_instances import dry_run_request
from aws_setup.infrastructure.vm_groups import VmGroup, vm_groups
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import Finding, refuse


def refusals(planned: PlannedResources) -> list[Finding]:
    """Return why EC2 would refuse the planned launches: each reason once, with its machines."""
    launched = planned.launched_groups
    groups = [group for group in vm_groups(planned.config) if group.step in launched]
    if not groups:
        return []
    different = {(group.ami, group.instance_type): group for group in groups}
    with Reads("dry-run") as reads:
        asked = reads.each(partial(_refusal, planned.ctx), different.values())
    errors = dict(zip(different, asked, strict=True))
    by_reason: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        error = errors[group.ami, group.instance_type]
        if error is not None:
            problem = error.problems[0]
            by_reason.setdefault((problem.why, problem.hint), []).append(group.step)
    return [
        refuse(f"EC2 would refuse to launch {', '.join(steps)}", why, hint)
        for (why, hint), steps in by_reason.items()
    ]


def _refusal(ctx: Context, group: VmGroup) -> SetupError | None:
    """Return why EC2 would refuse a launch; None when it would not, or says nothing certain.

    Without a subnet and a default VPC, for example, EC2 asks for a subnet instead of deciding.
    """
    try:
        request: Any = dry_run_request(ctx, group)
        ctx.aws.ec2.run_instances(**request, DryRun=True)
    except ClientError as error:
        message = str(error.response["Error"].get("Message", ""))
        if is_denial(error_code(error)) or forbids_launches(error_code(error), message):
            translated = to_setup_error(error)
            return translated if isinstance(translated, SetupError) else None
    except (SetupError, *AWS_ERRORS):
        return None  # another check reports it: the AMI, the network
    return None
