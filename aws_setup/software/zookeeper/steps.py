"""ZooKeeper's steps: the ensemble configured and running, and the znodes that λFS needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.software import ssh_access
from aws_setup.software.clients.namenode_record import read_record
from aws_setup.software.machines import (
    SERVICES_STOPPED,
    any_stopped,
    not_checked,
    zookeeper_machines,
)
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper.servers import (
    MemberSpec,
    MemberStatus,
    Roles,
    configure,
    is_complete,
    member_status,
    role_texts,
    server_role,
    start_and_restart,
    surveyed_role,
    wait_complete,
)
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.survey import RUN, Question, Survey

ENSEMBLE = "zookeeper ensemble"
ZNODES = "zookeeper znodes"

MOST_DEPLOYMENTS = 10_000
"""NameNodes that whisk_helper.py deploys at most: a record that names more is damaged."""

ADDRESSES = Question(RUN, ("hostname", "-I"))
"""The question for a machine's addresses, the private one first."""


@dataclass(frozen=True)
class Ensemble(Step):
    """Every ZooKeeper server configured and running, one leader, all others following.

    There is nothing to delete: the servers are on the machines' disks.
    """

    pool: MachinePool
    needs: tuple[str, ...] = (ssh_access.NAME,)
    name: str = ENSEMBLE
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return the roles, with a drift for each outdated file and each server to start."""
        machines = zookeeper_machines(ctx, self.pool)
        if any_stopped(machines):
            ids = ", ".join(machine.id for machine in machines)
            return Found(ids, "stopped", drift=(SERVICES_STOPPED,))
        members = self._members(ctx)
        if not members:
            return None
        statuses = self.pool.each(members, lambda member: member_status(member, self.pool.survey))
        if not any(status.role or status.has_data for status in statuses):
            return None
        found = {status.spec.machine.name: status.role for status in statuses}
        drift = [item for status in statuses for item in member_drift(status)]
        if not drift and not is_complete(found):
            drift = [Drift("ensemble", _joined(found), "one leader, all others following")]
        return _ensemble(members, found, drift)

    def create(self, ctx: Context) -> Found:
        """Write the files that differ, then start and restart servers; the quorum is kept."""
        members = self._members(ctx)
        if len(members) % 2 == 0:
            ctx.note(f"{len(members)} servers survive no more failures than {len(members) - 1}")
        self.pool.each(members, configure)
        start_and_restart(self.pool, members, note=ctx.note)
        return _ensemble(members, {}, [], ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when there is one leader and every other server follows it."""
        members = self._members(ctx)
        now = wait_complete(self.pool, members, clock=ctx.clock, note=ctx.note)
        return _ensemble(members, now, [])

    def _members(self, ctx: Context) -> list[MemberSpec]:
        machines = zookeeper_machines(ctx, self.pool)
        addresses = self.pool.each(machines, lambda m: private_address(m, self.pool.survey))
        heap = ctx.config.zookeeper_jvm_heap_size
        return [
            MemberSpec(machine, zk.files(addresses, index, heap=heap))
            for index, machine in enumerate(machines)
        ]


@dataclass(frozen=True)
class Znodes(Step):
    """The znodes that every NameNode reads when it starts; existing ones are never changed.

    There is nothing to delete: the znodes are in the ensemble.
    """

    pool: MachinePool
    needs: tuple[str, ...] = (ssh_access.NAME, ENSEMBLE)
    name: str = ZNODES
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return how many of the znodes exist; None when none does, or no server runs.

        Without a leader their number is unknown: `wait` then creates what is missing.
        """
        machines = zookeeper_machines(ctx, self.pool)
        stopped = [machine.name for machine in machines if not machine.address]
        if stopped:
            return Found("znodes", not_checked(", ".join(stopped)))
        survey = self.pool.survey
        answers = self.pool.each(machines, lambda machine: surveyed_role(machine, survey))
        if not any(answers):
            return None
        serving = _serving(machines, answers)
        if not serving:
            return Found("znodes", "unknown: the servers have no leader", ready=False)
        known = survey.answer(serving[0], Question(zk.LIST))
        existing = zk.listed(known.stdout) if known else set[str]()
        missing = _missing(ctx.config, existing or list_znodes(serving[0], create=[]))
        total = len(needed_znodes(ctx.config))
        if len(missing) == total:
            return None
        drift = [Drift("znodes", str(total - len(missing)), str(total))] if missing else []
        return _znodes(total, drift)

    def create(self, ctx: Context) -> Found:
        """Create the missing znodes in one session and check that all exist."""
        machines = zookeeper_machines(ctx, self.pool)
        serving = _serving(machines, self.pool.each(machines, server_role))
        machine = serving[0] if serving else machines[0]
        desired = needed_znodes(ctx.config)
        missing = _missing(ctx.config, list_znodes(machine, create=desired))
        if missing:
            raise SetupError(
                f"{len(missing)} of {count_of(len(desired), 'znode')} could not be created",
                f"{missing[0]} does not exist after `create {missing[0]}` on {machine}",
                "run the same command again (`status` shows whether the ensemble is complete)",
            )
        return _znodes(len(desired), [])

    def wait(self, ctx: Context, found: Found) -> Found:
        """Create the missing znodes if their number was unknown."""
        return found if found.ready else self.create(ctx)


def _serving(machines: Sequence[Machine], answers: Sequence[zk.ServerRole | None]) -> list[Machine]:
    pairs = zip(machines, answers, strict=True)
    return [machine for machine, role in pairs if role and role.serving]


def needed_znodes(config: Config) -> list[str]:
    """Return the znodes that NameNodes need, parents first.

    They are those of the deployments of the configuration, of those that whisk_helper.py has last
    deployed, and of all that the published image's configuration names.
    """
    recorded = read_record(config).deployments
    number = max(config.num_namenode_deployments, zk.IMAGE_DEPLOYMENTS)
    return zk.znodes(max(number, recorded if recorded <= MOST_DEPLOYMENTS else 0))


def _missing(config: Config, existing: set[str]) -> list[str]:
    return [path for path in needed_znodes(config) if path not in existing]


def list_znodes(machine: Machine, *, create: Sequence[str]) -> set[str]:
    """Create znodes unless they exist, and return all that exist afterwards.

    Raises:
        SetupError: the client could not list them.
    """
    result = machine.run(
        [zk.CLIENT, "-server", f"127.0.0.1:{zk.CLIENT_PORT}"],
        sudo=True,
        stdin=zk.client_script(create),
        timeout=180,
        check=False,
        repeatable=True,
        changes=bool(create),
    )
    existing = zk.listed(result.stdout)
    if "/" not in existing:
        lines = (result.stderr or result.stdout).strip().splitlines() or ["it printed nothing"]
        raise SetupError(
            f"{machine}: zkCli.sh could not list the znodes",
            f"exit code {result.code}: {lines[-1].strip()}",
            "run `create`: it starts ZooKeeper servers that are down",
        )
    return existing


def private_address(machine: Machine, survey: Survey | None = None) -> str:
    """Return a machine's address in its VPC; an existing machine is asked for it."""
    if not machine.private_ip:
        known = survey.answer(machine, ADDRESSES) if survey else None
        answer = known or machine.run(ADDRESSES.arguments, repeatable=True, changes=False)
        machine.private_ip = answer.stdout.split()[0]
    return machine.private_ip


def member_drift(status: MemberStatus) -> list[Drift]:
    """Return what differs between one member's current and desired state."""
    name = status.spec.machine.name
    drift = [
        Drift(f"{path} on {name}", "different or missing", "up to date") for path in status.outdated
    ]
    if status.role is None:
        drift.append(Drift(f"server on {name}", "down", "running"))
    elif status.stale and not status.outdated:
        drift.append(Drift(f"server on {name}", "started before its files changed", "restarted"))
    return drift


def _ensemble(
    members: Sequence[MemberSpec], found: Roles, drift: list[Drift], *, ready: bool = True
) -> Found:
    return Found(
        ", ".join(member.machine.id for member in members),
        _joined(found) or "starting",
        {"roles": role_texts(found)},
        tuple(drift),
        ready,
    )


def _znodes(total: int, drift: list[Drift]) -> Found:
    return Found(
        f"{count_of(total, 'znode')}", "complete" if not drift else "incomplete", drift=tuple(drift)
    )


def _joined(found: Roles) -> str:
    return ", ".join(f"{name} {role}" for name, role in role_texts(found).items())
