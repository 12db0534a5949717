"""Deletions that EKS accepts, and may give up later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import Item
from aws_setup.aws.reasons import fix_then, health_issues
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError

RE_CREATED = ("CREATE_FAILED", "DELETE_FAILED", "DELETING")
"""States in which `configure` deletes a node group or an add-on, which EKS may have begun, and
creates it again.

A deletion that failed may be asked for again: https://github.com/eksctl-io/eksctl/issues/4203
"""

LOOKS = 4
"""Polls in a row that must show that a deletion has ended without success.

The first may show the state from before the deletion: of an earlier one that failed, for example.
"""


@dataclass(frozen=True)
class EksDeletion:
    """The deletion of a cluster, a node group or an add-on.

    `describe` returns what EKS shows of it, None when it does not exist. `failed` are the states
    in which EKS leaves it after a deletion that it has given up. `refused` is called when EKS
    refuses the deletion because of what uses it, and raises what will not end by itself. Times are
    seconds: `accepted` and `deadline` are those after which EKS has not accepted it, and not ended
    it.
    """

    what: str
    delete: Callable[[], object]
    describe: Callable[[], Item | None]
    failed: tuple[str, ...] = ("DELETE_FAILED",)
    refused: Callable[[], None] = lambda: None
    deadline: float = 900.0
    accepted: float = 900.0
    pause: float = 5.0
    usual: float = 0.0

    def run(self, ctx: Context, *, attempts: int = 1) -> None:
        """Delete it and return when it no longer exists.

        Raises:
            SetupError: EKS did not accept so many deletions, or gave them up; with its reasons.
        """
        self.request(ctx)
        self.finish(ctx, attempts=attempts)

    def request(self, ctx: Context) -> None:
        """Return when EKS has accepted the deletion."""
        gone = {"ResourceNotFoundException"}
        delete_with_retry(
            ctx,
            self.what,
            self.delete,
            gone=gone,
            refused=self.refused,
            deadline=self.accepted,
        )

    def finish(self, ctx: Context, *, attempts: int = 1) -> None:
        """Return when it no longer exists; ask again, as often as there are attempts.

        Raises:
            SetupError: EKS gave up the last one, with its reasons.
        """
        left = self._wait(ctx)
        for _ in range(attempts - 1):
            if left is None:
                return
            ctx.note(f"{self.what} is {left['status']}: deleting it again")
            self.request(ctx)
            left = self._wait(ctx)
        if left is not None:
            why = "; ".join(health_issues(left))
            raise SetupError(
                f"{self.what} was not deleted: it is {left['status']}",
                why or "EKS gives no reason",
                fix_then(why, "run the same command again"),
            )

    def _wait(self, ctx: Context) -> Item | None:
        """Return what is left when the deletion has ended; None when nothing is."""
        looks = [0]

        def ended() -> tuple[Item | None] | Pending:
            item = self.describe()
            if item is None:
                return (None,)
            looks[0] = looks[0] + 1 if item["status"] in self.failed else 0
            return (item,) if looks[0] >= LOOKS else Pending(str(item["status"]))

        what = f"{self.what} is deleted"
        (left,) = ctx.wait_until(
            what, ended, deadline=self.deadline, pause=self.pause, usual=self.usual
        )
        return left


def describe_node_group(ctx: Context, name: str) -> Item | None:
    """Return a node group as EKS describes it; None when it does not exist."""
    eks = ctx.aws.eks
    try:
        answer = eks.describe_nodegroup(clusterName=ctx.config.eks_cluster_name, nodegroupName=name)
    except eks.exceptions.ResourceNotFoundException:
        return None
    return dict(answer["nodegroup"])


NODE_GROUP_ATTEMPTS = 2
"""A node group's deletion that failed often succeeds when it is asked for once more.

https://github.com/eksctl-io/eksctl/issues/4203
"""


def node_group_deletion(ctx: Context, name: str) -> EksDeletion:
    """Return the deletion of a node group, whose nodes EKS drains before."""
    cluster = ctx.config.eks_cluster_name
    return EksDeletion(
        f"node group {name}",
        lambda: ctx.aws.eks.delete_nodegroup(clusterName=cluster, nodegroupName=name),
        lambda: describe_node_group(ctx, name),
        deadline=2400,
        pause=15,
        usual=MEDIANS["node group deleted"],
    )
