"""Updates of a cluster, a node group or an add-on, of which EKS accepts one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.reasons import hint_of_reason, update_errors
from aws_setup.aws.session import error_code
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError

T = TypeVar("T")

UPDATING = "UPDATING"
"""State of a cluster, node group or add-on during an update."""


def send_update(ctx: Context, what: str, send: Callable[[], T | Pending], *, deadline: float) -> T:
    """Return what `send` returns as soon as EKS accepts its update.

    EKS refuses an update while an earlier one is in progress: of a run that was killed, of another
    user, or its own, during which the cluster is shown as ACTIVE. `send` is called again then. It
    reads first what differs now, because the earlier update may be the wanted one, and returns
    Pending for what is UPDATING: that would still differ.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
    https://github.com/aws/containers-roadmap/issues/1500

    Args:
        ctx: the step's context.
        what: what is updated, for the message.
        send: reads what differs and sends the update, where there is something to update.
        deadline: seconds after which the earlier update takes too long.

    Raises:
        SetupError: the earlier update was still in progress at the deadline.
        botocore.exceptions.ClientError: AWS refused for another reason.
    """

    def probe() -> T | Pending:
        try:
            return send()
        except ClientError as error:
            if error_code(error) != "ResourceInUseException":
                raise
            return Pending(str(error.response["Error"].get("Message", error_code(error))))

    return ctx.wait_until(f"EKS accepts the update of {what}", probe, deadline=deadline, pause=10)


def wait_updated(
    ctx: Context, what: str, update_id: str, *, deadline: float, usual: float, node_group: str = ""
) -> None:
    """Return when an update of the cluster, or of a node group, has succeeded.

    Args:
        ctx: the step's context.
        what: what is updated, for the messages.
        update_id: the id in EKS's answer to the update.
        deadline: seconds after which it takes too long.
        usual: seconds that it usually takes.
        node_group: the name of the node group; '' for the cluster itself.

    Raises:
        SetupError: the update failed, with the reasons that EKS gives.
    """
    of = {"nodegroupName": node_group} if node_group else {}

    def probe() -> bool | Pending:
        answer = ctx.aws.eks.describe_update(
            name=ctx.config.eks_cluster_name, updateId=update_id, **of
        )
        update = answer["update"]
        if update["status"] in ("Failed", "Cancelled"):
            why = update_errors(update)
            raise SetupError(f"the update of {what} failed", why, hint_of_reason(why))
        return update["status"] == "Successful" or Pending(update["status"])

    ctx.wait_until(f"{what} is updated", probe, deadline=deadline, pause=10, usual=usual)
