"""Starts stopped VMs: their disks hold the data, and AWS keeps no capacity for them."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.error_messages import CAPACITY, MESSAGES_BY_CODE, QUOTA, message_of
from aws_setup.aws.session import error_code
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.vm_groups import VmGroup


def start_stopped(ctx: Context, group: VmGroup, ids: Sequence[str]) -> None:
    """Start stopped VMs of a group, as soon as they have stopped; return when EC2 accepts it.

    Raises:
        SetupError: AWS has no capacity for them, or a quota is exhausted.
        botocore.exceptions.ClientError: AWS refused for another reason.
    """
    if not ids:
        return

    def start() -> bool | Pending:
        try:
            ctx.aws.ec2.start_instances(InstanceIds=list(ids))
        except ClientError as error:
            if error_code(error) == "IncorrectInstanceState":
                return Pending("stopping")
            raise _translated(group, ids, error) from error
        return True

    what = f"{group.step}: stopped machines start"
    ctx.wait_until(what, start, deadline=600, pause=5)


def _translated(group: VmGroup, ids: Sequence[str], error: ClientError) -> Exception:
    """Return why machines cannot start now, with a fix that keeps their disks."""
    text = " ".join(str(error.response["Error"].get("Message", "")).split())
    known = message_of(error_code(error), text)
    other_type = f"with another type, {how_to_resize(group, ids)}"
    if known in (CAPACITY, MESSAGES_BY_CODE["Unsupported"]):
        return SetupError(
            f"AWS has no {group.instance_type} for {group.step} in this zone now",
            text,
            f"run the same command again later, the disks are kept; or, {other_type}",
        )
    if known == QUOTA:
        return SetupError(
            f"{group.step} cannot be started",
            QUOTA.why.format(message=text),
            "request an increase in the Service Quotas console, then run the same command again; "
            f"or, {other_type}",
        )
    return error


def how_to_resize(group: VmGroup, ids: Sequence[str]) -> str:
    """Return how stopped machines get another type and keep their disks.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/change-instance-type-of-ebs-backed-instance.html
    """
    first, others = ids[0], ids[1:]
    more = f"; {group.resizing}" if group.resizing else ""
    also = f", the same for {', '.join(others)}" if others else ""
    return (
        "run `aws ec2 modify-instance-attribute "
        f"--instance-id {first} --instance-type Value=TYPE` while they are stopped{also}, and set "
        f"{group.type_key} to match: the disks are kept{more}"
    )
