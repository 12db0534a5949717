"""The deletion of an auto-scaling group, which its protection may refuse."""

from __future__ import annotations

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.session import error_code
from aws_setup.errors import SetupError


def delete_group(ctx: Context, name: str) -> None:
    """Let AWS begin to delete a group with its machines; return at once when it does not exist.

    Raises:
        SetupError: the group exists, and AWS refuses: its deletion protection, for example.
    """

    def delete() -> None:
        try:
            ctx.aws.autoscaling.delete_auto_scaling_group(
                AutoScalingGroupName=name, ForceDelete=True
            )
        except ClientError as error:
            if error_code(error) == "ValidationError" and _exists(ctx, name):
                raise _refusal(name, error) from error
            raise

    delete_with_retry(ctx, f"auto-scaling group {name}", delete, gone={"ValidationError"})


def _exists(ctx: Context, name: str) -> bool:
    """Whether AWS knows the group: ValidationError means both that it does not and a refusal."""
    found = ctx.aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return bool(found["AutoScalingGroups"])


def _refusal(name: str, error: ClientError) -> SetupError:
    """Return the error of a group that AWS does not delete.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/resource-deletion-protection.html
    """
    return SetupError(
        f"auto-scaling group {name} is kept",
        str(error.response["Error"].get("Message", error)),
        "if it is protected and may be deleted: `aws autoscaling update-auto-scaling-group "
        f"--auto-scaling-group-name {name} --deletion-protection none`, then run the same command "
        "again",
    )
