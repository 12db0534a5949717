"""VMs: a step for each fleet, which finds, starts, completes, restarts and terminates it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code
from aws_setup.config import Config
from aws_setup.engine.step import CostItem, Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.infrastructure.run_instances import (
    TERMINATED_STATES,
    count_terminated,
    disk_charges,
    launch,
    missing_launches,
)
from aws_setup.infrastructure.vm_groups import VmGroup


@dataclass(frozen=True)
class VmGroupStep(Step):
    """The VMs of one fleet, running; `facts["instances"]` lists them sorted by name."""

    fleet: VmGroup
    needs: tuple[str, ...] = ("public subnet 1", "security group")
    part: str = "machines"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The fleet's step name."""
        return self.fleet.step

    def find(self, ctx: Context) -> Found | None:
        """Return the fleet with what is missing, too many, stopped or of another type."""
        living = self._living(ctx)
        return self._found(living) if living else None

    def _living(self, ctx: Context, *, fresh: bool = False) -> list[Item]:
        items = ctx.inventory.of_step("instances", self.name, fresh=fresh)
        return [item for item in items if item["State"]["Name"] not in TERMINATED_STATES]

    def _found(self, living: list[Item]) -> Found:
        states = {machine["State"]["Name"] for machine in living}
        state = "running" if states == {"running"} else ", ".join(sorted(states))
        described = sorted((_described(machine) for machine in living), key=_by_name)
        ids = tuple(machine["id"] for machine in described)
        drift = (*self._count_drift(living), *self._type_drift(living), *self._state_drift(living))
        since = min(machine["LaunchTime"] for machine in living)
        ready = states == {"running"}
        return Found(
            ", ".join(ids), state, {"instances": described}, drift, ready, since=since, ids=ids
        )

    def _count_drift(self, living: list[Item]) -> list[Drift]:
        has, wants = len(living), self.fleet.count
        if has == wants and self._named(living):
            return []
        if has == wants:
            return [Drift("names", "not all set", "one each")]
        if has > wants:
            mend = "put the count back, or terminate the surplus machines yourself"
            return [Drift("machines", str(has), str(wants), mend)]
        return [Drift("machines", str(has), str(wants))]

    def _type_drift(self, living: list[Item]) -> list[Drift]:
        drift = []
        for what, field, wanted, key in (
            ("instance type", "InstanceType", self.fleet.instance_type, self.fleet.type_key),
            ("AMI", "ImageId", self.fleet.ami, self.fleet.ami_key),
        ):
            has = {machine[field] for machine in living}
            if has != {wanted}:
                mend = f"put {key} back, or run destroy --only '{self.name}' first"
                drift.append(Drift(what, ", ".join(sorted(has)), wanted, mend))
        return drift

    def _state_drift(self, living: list[Item]) -> list[Drift]:
        down = [m["InstanceId"] for m in living if m["State"]["Name"] in ("stopped", "stopping")]
        return [Drift("stopped machines", ", ".join(down), "running")] if down else []

    def _named(self, living: list[Item]) -> bool:
        names = {tag_of(machine, "Name") for machine in living}
        return names == {self.fleet.name(index) for index in range(len(living))}

    def create(self, ctx: Context) -> Found:
        """Start every machine of the fleet that is not there."""
        return self._complete(ctx, [])

    def update(self, ctx: Context, found: Found) -> Found:
        """Start what is stopped and what is missing."""
        living = self._living(ctx, fresh=True)
        self._restart(ctx, living)
        return self._complete(ctx, living)

    def _restart(self, ctx: Context, living: list[Item]) -> None:
        down = [m["InstanceId"] for m in living if m["State"]["Name"] in ("stopped", "stopping")]
        if not down:
            return
        wait_until(
            f"{self.name}: stopped machines start",
            lambda: self._start(ctx, down),
            clock=ctx.clock,
            deadline=600,
            pause=5,
            note=ctx.note,
        )

    def _start(self, ctx: Context, down: list[str]) -> bool | Pending:
        try:
            ctx.aws.ec2.start_instances(InstanceIds=down)
        except ClientError as error:
            if error_code(error) == "IncorrectInstanceState":
                return Pending("stopping")
            raise
        return True

    def _complete(self, ctx: Context, living: list[Item]) -> Found:
        started, missing = list(living), missing_launches(self.fleet, living)
        lives = (len(living), count_terminated(ctx, self.name) if missing else 0)
        for batch in missing:
            started += launch(ctx, self.fleet, batch, lives=lives)
        ids = tuple(machine["InstanceId"] for machine in started)
        return Found(", ".join(ids), "pending", ready=False, ids=ids)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when every machine runs and has its name; sshd may still be starting."""
        living: list[Item] = wait_until(
            f"{self.name} run",
            lambda: self._probe(ctx, found.ids),
            clock=ctx.clock,
            deadline=600,
            pause=3,
            note=ctx.note,
        )
        return self._found(self._name_all(ctx, living))

    def _probe(self, ctx: Context, ids: Sequence[str]) -> list[Item] | Pending:
        try:
            answer: Any = ctx.aws.ec2.describe_instances(InstanceIds=ids)
        except ClientError as error:
            if error_code(error) != "InvalidInstanceID.NotFound":
                raise
            return Pending("not visible yet")
        living = [item for group in answer["Reservations"] for item in group["Instances"]]
        dead = [item for item in living if item["State"]["Name"] in TERMINATED_STATES]
        if dead:
            reason = dead[0].get("StateReason", {}).get("Message", "AWS gives no reason")
            raise SetupError(
                f"{self.name}: {dead[0]['InstanceId']} is {dead[0]['State']['Name']}",
                str(reason),
                "run the same command again: it is replaced",
            )
        states = sorted({item["State"]["Name"] for item in living})
        return living if states == ["running"] else Pending(", ".join(states))

    def _name_all(self, ctx: Context, living: list[Item]) -> list[Item]:
        """Give each machine its own Name tag; those that have theirs keep it."""
        wanted = [self.fleet.name(index) for index in range(len(living))]
        has = {machine["InstanceId"]: tag_of(machine, "Name") for machine in living}
        free = [name for name in wanted if name not in has.values()]
        for machine in sorted(living, key=self._order):
            if has[machine["InstanceId"]] not in wanted and free:
                name = free.pop(0)
                ctx.aws.ec2.create_tags(
                    Resources=[machine["InstanceId"]], Tags=[{"Key": "Name", "Value": name}]
                )
                has[machine["InstanceId"]] = name
        return [_renamed(machine, has[machine["InstanceId"]]) for machine in living]

    def _order(self, machine: Item) -> tuple[Any, ...]:
        """Return the sort key: the fixed addresses in their order, then the order of launch."""
        fixed = [str(address) for address in self.fleet.addresses]
        address = machine["PrivateIpAddress"]
        place = fixed.index(address) if address in fixed else len(fixed)
        return (place, machine["LaunchTime"], machine.get("AmiLaunchIndex", 0))

    def delete(self, ctx: Context, found: Found) -> None:
        """Terminate the machines and return when their addresses are free again."""
        ids = [item["InstanceId"] for item in ctx.inventory.of_step("instances", self.name)]
        terminate(ctx, self.name, ids)

    def charges(self, config: Config) -> tuple[CostItem, ...]:
        """The machines' hours and their public addresses."""
        count = float(self.fleet.count)
        machines = CostItem(self.part, f"ec2:{self.fleet.instance_type}", count)
        return (machines, CostItem(self.part, "ipv4", count))

    def disks(self, ctx: Context) -> list[CostItem]:
        """The disks that the AMI has."""
        return disk_charges(ctx, self.fleet.ami, count=float(self.fleet.count), part="disks")


def terminate(ctx: Context, what: str, ids: list[str]) -> None:
    """Terminate machines and return when AWS says so; a protected one is named, not forced."""
    if not ids:
        return
    try:
        delete_with_retry(
            ctx,
            what,
            lambda: ctx.aws.ec2.terminate_instances(InstanceIds=ids),
            gone={"InvalidInstanceID.NotFound"},
            busy=set(),
        )
    except ClientError as error:
        if error_code(error) != "OperationNotPermitted":
            raise
        raise SetupError(
            f"{what}: termination protection is on",
            str(error.response["Error"].get("Message", "")),
            "switch it off in the EC2 console if the machine may go",
        ) from error

    def gone() -> bool | Pending:
        filters: Any = [{"Name": "instance-id", "Values": ids}]
        answer: Any = ctx.aws.ec2.describe_instances(Filters=filters)
        states = {
            item["State"]["Name"] for group in answer["Reservations"] for item in group["Instances"]
        } - {"terminated"}
        return Pending(", ".join(sorted(states))) if states else True

    wait_until(
        f"{what} are terminated", gone, clock=ctx.clock, deadline=900, pause=4, note=ctx.note
    )


def _described(machine: Item) -> dict[str, Any]:
    return {
        "id": machine["InstanceId"],
        "name": tag_of(machine, "Name"),
        "private_ip": machine.get("PrivateIpAddress"),
        "public_ip": machine.get("PublicIpAddress"),
    }


def _by_name(machine: dict[str, Any]) -> tuple[int, str]:
    return (len(machine["name"]), machine["name"])


def _renamed(machine: Item, name: str) -> Item:
    tags = [tag for tag in machine.get("Tags", []) if tag["Key"] != "Name"]
    return {**machine, "Tags": [*tags, {"Key": "Name", "Value": name}]}
