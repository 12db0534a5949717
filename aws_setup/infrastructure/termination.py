"""The termination of machines, of which AWS may know some no longer."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.engine.wait import Pending
from aws_setup.infrastructure.protected import act_on_unprotected, protected_error


def terminate(ctx: Context, what: str, ids: list[str]) -> None:
    """Terminate instances and return when they are terminated.

    Raises:
        SetupError: an instance has termination protection, which is never overridden; the others
            are terminated then.
    """
    if not ids:
        return

    def terminate_some(some: list[str]) -> None:
        delete_with_retry(
            ctx,
            what,
            lambda: _terminate_known(ctx, some),
            gone={"InvalidInstanceID.NotFound"},
            busy=set(),
        )

    refused = act_on_unprotected(ids, terminate_some)
    _await_terminated(ctx, what, [each for each in ids if each not in refused])
    if refused:
        raise protected_error(what, refused, stop=False)


def _await_terminated(ctx: Context, what: str, ids: list[str]) -> None:
    if not ids:
        return

    def gone() -> bool | Pending:
        filters: Any = [{"Name": "instance-id", "Values": ids}]
        answer: Any = ctx.aws.ec2.describe_instances(Filters=filters)
        states = {
            item["State"]["Name"] for group in answer["Reservations"] for item in group["Instances"]
        } - {"terminated"}
        return Pending(", ".join(sorted(states))) if states else True

    what = f"{what} are terminated"
    ctx.wait_until(what, gone, deadline=900, pause=8, usual=MEDIANS["instance terminated"])


def _terminate_known(ctx: Context, ids: list[str]) -> None:
    """Terminate instances, without those that AWS no longer knows: it would refuse the others.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """
    try:
        ctx.aws.ec2.terminate_instances(InstanceIds=ids)
    except ClientError as error:
        if error_code(error) != "InvalidInstanceID.NotFound":
            raise
        filters: Any = [{"Name": "instance-id", "Values": ids}]
        found = pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=filters)
        known = [item["InstanceId"] for group in found for item in group["Instances"]]
        if known:
            ctx.aws.ec2.terminate_instances(InstanceIds=known)
