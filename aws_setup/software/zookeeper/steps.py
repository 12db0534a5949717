"""ZooKeeper's steps: the ensemble configured and running, and the znodes that λFS needs."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.software import machines as groups
from aws_setup.software import ssh_access
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper.servers import (
    MemberSpec,
    MemberStatus,
    bring_up,
    complete,
    configure,
    member_status,
    roles,
    wait_complete,
)
from aws_setup.ssh import Machine, MachinePool

ENSEMBLE = "zookeeper ensemble"
ZNODES = "zookeeper znodes"


@dataclass(frozen=True)
class Ensemble(Step):
    """Every ZooKeeper server configured and running, one leader, all others following."""

    hosts: MachinePool
    needs: tuple[str, ...] = (ssh_access.NAME,)
    name: str = ENSEMBLE
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return the roles, with a difference for each file, server or start that is not right."""
        servers = self._servers(ctx)
        if not servers:
            return None
        surveys = self.hosts.each(servers, member_status)
        if not any(one.role or one.has_data for one in surveys):
            return None
        found = roles(self.hosts, servers)
        drift = [difference for one in surveys for difference in _differences(one)]
        if not drift and not complete(found):
            drift = [Drift("ensemble", _joined(found), "one leader, all others following")]
        return _ensemble(servers, found, drift)

    def create(self, ctx: Context) -> Found:
        """Write the files that differ, then start and restart what has to be, quorum kept."""
        servers = self._servers(ctx)
        if len(servers) % 2 == 0:
            ctx.note(f"{len(servers)} servers survive no more failures than {len(servers) - 1}")
        self.hosts.each(servers, configure)
        bring_up(self.hosts, servers, note=ctx.note)
        return _ensemble(servers, {}, [], ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when there is one leader and every other server follows it."""
        servers = self._servers(ctx)
        return _ensemble(
            servers, wait_complete(self.hosts, servers, clock=ctx.clock, note=ctx.note), []
        )

    def _servers(self, ctx: Context) -> list[MemberSpec]:
        machines = groups.zookeeper_machines(ctx, self.hosts)
        addresses = self.hosts.each(machines, private_address)
        heap = ctx.config.zookeeper_jvm_heap_size
        return [
            MemberSpec(machine, zk.files(addresses, index, heap=heap))
            for index, machine in enumerate(machines)
        ]


@dataclass(frozen=True)
class Znodes(Step):
    """The znodes of every NameNode deployment; existing ones are never touched."""

    hosts: MachinePool
    needs: tuple[str, ...] = (ssh_access.NAME, ENSEMBLE)
    name: str = ZNODES
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return how many of the znodes there are; None when there is none, or no server.

        While the servers have no leader nobody can tell: `wait` then makes what is missing.
        """
        machines = groups.zookeeper_machines(ctx, self.hosts)
        answers = self.hosts.each(machines, zookeeper_role)
        serving = [m for m, now in zip(machines, answers, strict=True) if now and now.serving]
        if not any(answers):
            return None
        if not serving:
            return Found("znodes", "unknown: the servers have no leader", ready=False)
        there = _session(serving[0], [])
        missing = self._missing(ctx.config, there)
        total = len(zk.znodes(ctx.config.num_namenode_deployments))
        if len(missing) == total:
            return None
        drift = [Drift("znodes", str(total - len(missing)), str(total))] if missing else []
        return _znodes(total, drift)

    def create(self, ctx: Context) -> Found:
        """Make the missing znodes in one session and check that all are there."""
        machines = groups.zookeeper_machines(ctx, self.hosts)
        answers = zip(machines, self.hosts.each(machines, zookeeper_role), strict=True)
        machine = next((one for one, now in answers if now and now.serving), machines[0])
        wanted = zk.znodes(ctx.config.num_namenode_deployments)
        missing = self._missing(ctx.config, _session(machine, wanted))
        if missing:
            raise SetupError(
                f"{len(missing)} of {len(wanted)} znodes could not be made",
                f"{missing[0]} is not there after `create {missing[0]}` on {machine}",
                "run the same command again; `status` shows whether the ensemble is whole",
            )
        return _znodes(len(wanted), [])

    def wait(self, ctx: Context, found: Found) -> Found:
        """Make the missing znodes where it could not be told whether they are there."""
        return found if found.ready else self.create(ctx)

    @staticmethod
    def _missing(config: Config, there: set[str]) -> list[str]:
        return [path for path in zk.znodes(config.num_namenode_deployments) if path not in there]


def _session(machine: Machine, wanted: list[str]) -> set[str]:
    """Make znodes, those that are there are fine, and return all that there are then."""
    result = machine.run(
        [zk.CLIENT, "-server", f"127.0.0.1:{zk.CLIENT_PORT}"],
        sudo=True,
        stdin=zk.client_script(wanted),
        timeout=180,
        check=False,
        repeatable=True,
    )
    there = zk.listed(result.stdout)
    if "/" not in there:
        lines = (result.stderr or result.stdout).strip().splitlines() or ["it printed nothing"]
        raise SetupError(
            f"{machine}: zkCli.sh could not list the znodes",
            f"exit code {result.code}: {lines[-1].strip()}",
            "run `create`: it starts ZooKeeper where it is down",
        )
    return there


def zookeeper_role(machine: Machine) -> zk.ServerRole | None:
    """Return what a machine's server says about itself; None when none listens."""
    return zk.parse_role(machine.query_port(zk.CLIENT_PORT, b"srvr"))


def private_address(machine: Machine) -> str:
    """Return a machine's address in its VPC; machines that are not ours are asked for it."""
    if not machine.private_ip:
        machine.private_ip = machine.run(["hostname", "-I"], repeatable=True).stdout.split()[0]
    return machine.private_ip


def _differences(one: MemberStatus) -> list[Drift]:
    name = one.server.machine.name
    drift = [Drift(f"{path} on {name}", "different or missing", "right") for path in one.wrong]
    if one.role is None:
        drift.append(Drift(f"server on {name}", "down", "running"))
    elif one.stale and not one.wrong:
        drift.append(Drift(f"server on {name}", "started before its files changed", "restarted"))
    return drift


def _ensemble(
    servers: list[MemberSpec], found: dict[str, str], drift: list[Drift], *, ready: bool = True
) -> Found:
    return Found(
        ", ".join(server.machine.id for server in servers),
        _joined(found) or "starting",
        {"roles": found},
        tuple(drift),
        ready,
    )


def _znodes(total: int, drift: list[Drift]) -> Found:
    return Found(f"{total} znodes", "there" if not drift else "incomplete", drift=tuple(drift))


def _joined(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {mode}" for name, mode in found.items())
