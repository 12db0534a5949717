"""The VMs of a group: stopped by pause, started by resume; their disks and addresses are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item
from aws_setup.aws.paused import (
    PAUSED_TAG,
    describe_pause,
    pause_marks,
    paused_since,
    settled_marks,
    stopped_at,
)
from aws_setup.aws.session import error_code
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.engine.step import CostItem, Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import Refused
from aws_setup.infrastructure.instances import (
    VmGroupStep,
    active_instances,
    instances_found,
    stopped_drift,
)
from aws_setup.infrastructure.lost_tags import write_marks
from aws_setup.infrastructure.protected import act_on_unprotected, protected_error
from aws_setup.infrastructure.run_instances import disk_charges
from aws_setup.infrastructure.vm_groups import VmGroup

NOT_CREATED = "it does not exist"


@dataclass(frozen=True)
class StoppedVms(Step):
    """The VMs of one group, stopped and marked as paused."""

    group: VmGroup
    needs: tuple[str, ...] = ()
    part: str = "machines"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The group's step name."""
        return self.group.step

    def find(self, ctx: Context) -> Found | None:
        """Return the group's instances; those that are not stopped and marked are drift.

        Raises:
            Refused: an instance is being launched by `create`.
        """
        active = active_instances(ctx, self.name)
        if not active:
            return Found("", skipped=NOT_CREATED)
        new = [item for item in active if item["State"]["Name"] == "pending"]
        if any(paused_since(item) is None for item in new):
            raise create_is_running(f"{self.name} is pending")
        return stopped_found(active, _pause_drift(active))

    def create(self, ctx: Context) -> Found:
        """Do nothing: what does not exist is not stopped."""
        return Found("", skipped=NOT_CREATED)

    def update(self, ctx: Context, found: Found) -> Found:
        """Mark the instances, then stop them; the mark comes first, so that nothing restarts them.

        A mark that exists is kept: it has the time at which the pause began. What was stopped by
        hand is paused since then.

        Raises:
            SetupError: an instance has stop protection; the others are stopped then.
        """
        active = active_instances(ctx, self.name, fresh=True)
        write_marks(ctx, active, lambda item: _marks(item, ctx.clock.today()))
        ids = [item["InstanceId"] for item in active if not _is_down(item)]

        def stop(some: list[str]) -> None:
            what = f"the VMs of {self.name} accept the stop"
            ctx.wait_until(what, lambda: _stop(ctx, some), deadline=600, pause=5)

        if refused := act_on_unprotected(ids, stop) if ids else {}:
            raise protected_error(self.name, refused, stop=True)
        return Found(found.id, "stopping", found.facts, ready=False, ids=found.ids)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when every instance is stopped."""

        def probe() -> list[Item] | Pending:
            active = active_instances(ctx, self.name, fresh=True)
            states = {item["State"]["Name"] for item in active} - {"stopped"}
            return Pending(", ".join(sorted(states))) if states else active

        what = f"the VMs of {self.name} are stopped"
        takes = MEDIANS["instance stopped"]
        active: list[Item] = ctx.wait_until(what, probe, deadline=900, pause=8, usual=takes)
        return stopped_found(active) if active else Found("", skipped=NOT_CREATED)

    def disks(self, ctx: Context) -> list[CostItem]:
        """The disks, which are kept."""
        return disk_charges(ctx, self.group.ami, count=float(self.group.count), part="disks")


def stopped_found(active: list[Item], drift: tuple[Drift, ...] = ()) -> Found:
    """Return instances that need not run; only those that do have a public address."""
    running = [item for item in active if item["State"]["Name"] == "running"]
    down = [{**item, "PublicIpAddress": None} for item in active if item not in running]
    found = instances_found([*running, *down], drift)
    paused = [(since, item) for item in active if (since := paused_since(item))]
    first = min(paused, key=lambda pair: pair[0], default=None)
    state = f"{found.state}, {describe_pause(*first)}" if first else found.state
    return Found(found.id, state, found.facts, found.drift, since=found.since, ids=found.ids)


def _pause_drift(active: list[Item]) -> tuple[Drift, ...]:
    running = [item for item in active if not _is_down(item)]
    if running:
        return (Drift("machines", f"{len(running)} running", "stopped"),)
    if any(item["State"]["Name"] == "stopping" for item in active):
        return (Drift("machines", "stopping", "stopped"),)
    unmarked = [item for item in active if paused_since(item) is None]
    return (Drift("mark", "stopped by hand", "paused"),) if unmarked else ()


def _is_down(item: Item) -> bool:
    return item["State"]["Name"] in ("stopping", "stopped")


def _marks(item: Item, now: datetime) -> dict[str, str]:
    """Return the tags that an instance lacks: the mark, or what it has not run until a start."""
    if paused_since(item) is None:
        return pause_marks(stopped_at(item) or now)
    return {} if _is_down(item) else settled_marks(item, now)


def _stop(ctx: Context, ids: list[str]) -> bool | Pending:
    try:
        ctx.aws.ec2.stop_instances(InstanceIds=ids)
    except ClientError as error:
        if error_code(error) == "IncorrectInstanceState":
            return Pending("pending")
        raise
    return True


def create_is_running(why: str) -> Refused:
    """Return the refusal to pause a deployment that is being created."""
    return Refused(
        "the deployment is being created",
        why,
        "wait until create has ended, or interrupt it and run destroy",
    )


@dataclass(frozen=True)
class ResumedVms(VmGroupStep):
    """The VMs of one group, running and without the mark of a pause."""

    def _state_drift(self, active: list[Item]) -> Sequence[Drift]:
        marked = [item for item in active if paused_since(item)]
        if stopped_drift(active) or not marked:
            return stopped_drift(active)
        return (Drift("mark", "paused", "running"),)

    def update(self, ctx: Context, found: Found) -> Found:
        """Add the pause to the earlier ones, then start what is stopped."""
        active = active_instances(ctx, self.name, fresh=True)
        marked = [item for item in active if paused_since(item)]
        write_marks(ctx, marked, lambda item: settled_marks(item, ctx.clock.today()))
        return super().update(ctx, found)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when every instance runs; only then is the mark removed."""
        ready = super().wait(ctx, found)
        ctx.aws.ec2.delete_tags(Resources=list(ready.ids), Tags=[{"Key": PAUSED_TAG}])
        return ready
