"""The servers on the VMs, stopped cleanly before their machines: mysqld, NDB, ZooKeeper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.instances import active_instances
from aws_setup.pause.vms import NOT_CREATED, stopped_found
from aws_setup.software.machines import ZOOKEEPER, machines_of, unlock_keys
from aws_setup.software.ndb.cluster import MACHINES, NDB_MGM, NdbCluster, node_runs
from aws_setup.software.ndb.mysqld import MYSQL_SERVER, mysqld_answers
from aws_setup.software.zookeeper.servers import server_role, stop_server
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

SHUTDOWN_TIMEOUT = 900.0
"""Seconds; data nodes write a local checkpoint before they end."""


class StoppedService(Step):
    """A server that is stopped over SSH."""

    pool: MachinePool

    def unlock(self, ctx: Context, *, applying: bool = False) -> None:
        """Ask for the key's passphrase, where machines can be reached."""
        unlock_keys(ctx, self.pool)


@dataclass(frozen=True)
class StoppedSql(StoppedService):
    """mysqld on the NDB manager, stopped before the data nodes that it uses."""

    pool: MachinePool
    needs: tuple[str, ...] = ()
    name: str = "mysqld"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return the server; running is drift."""
        machines = running_machines(ctx, self.pool, MACHINES[0])
        if not machines:
            return Found("", skipped="its machine does not run")
        drift = self._drift(machines[0])
        return Found(machines[0].id, "running" if drift else "down", drift=drift)

    def _drift(self, machine: Machine) -> tuple[Drift, ...]:
        return (Drift("mysqld", "running", "stopped"),) if mysqld_answers(machine) else ()

    def create(self, ctx: Context) -> Found:
        """Do nothing: what does not exist does not run."""
        return Found("", skipped=NOT_CREATED)

    def update(self, ctx: Context, found: Found) -> Found:
        """Stop it; mysql.server waits until it has ended."""
        machine = running_machines(ctx, self.pool, MACHINES[0])[0]
        machine.run([MYSQL_SERVER, "stop"], sudo=True, timeout=SHUTDOWN_TIMEOUT)
        return Found(found.id, "stopping", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when it no longer answers."""
        machine = running_machines(ctx, self.pool, MACHINES[0])[0]
        ctx.wait_until(
            f"mysqld on {machine.name} is stopped",
            lambda: not mysqld_answers(machine) or Pending("running"),
            deadline=SHUTDOWN_TIMEOUT,
            pause=2,
        )
        return Found(found.id, "down")


@dataclass(frozen=True)
class StoppedNdb(StoppedService):
    """The whole NDB cluster, data nodes and management server, ended by `ndb_mgm -e shutdown`.

    The command writes all data to the disks first (MySQL NDB manual, "Safe Shutdown and Restart of
    NDB Cluster"); a restart then needs no recovery from the redo log, and never --initial.
    """

    pool: MachinePool
    needs: tuple[str, ...] = ("mysqld",)
    name: str = "ndb storage"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return how many data nodes run; any, or a running management server, is drift."""
        machines = running_machines(ctx, self.pool, *MACHINES)
        if not machines:
            return Found("", skipped="its machines do not run")
        running, manager = self._running(ctx)
        servers = [*running, *(["ndb_mgmd"] if manager else [])]
        drift = (Drift("NDB", f"{', '.join(servers)} running", "shut down"),) if servers else ()
        state = f"{count_of(len(running), 'data node')} running"
        return Found(", ".join(machine.id for machine in machines), state, drift=drift)

    def create(self, ctx: Context) -> Found:
        """Do nothing: what does not exist does not run."""
        return Found("", skipped=NOT_CREATED)

    def update(self, ctx: Context, found: Found) -> Found:
        """Shut the cluster down, unless an interrupted run has done so already.

        Raises:
            SetupError: data nodes run and their management server does not.
        """
        running, manager = self._running(ctx)
        if manager:
            cluster = NdbCluster(with_machines(ctx), self.pool)
            command = [NDB_MGM, "-e", "shutdown"]
            cluster.manager.run(command, timeout=SHUTDOWN_TIMEOUT, check=False)
        elif running:
            raise SetupError(
                "NDB cannot be shut down cleanly",
                f"{', '.join(running)} run, and their management server does not",
                "run create, which starts it, then pause again",
            )
        return Found(found.id, "shutting down", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when no process of the cluster runs any more."""

        def probe() -> Found | Pending:
            running, manager = self._running(ctx)
            servers = [*running, *(["ndb_mgmd"] if manager else [])]
            return Pending(", ".join(servers)) if servers else Found(found.id, "shut down")

        return ctx.wait_until("NDB is shut down", probe, deadline=SHUTDOWN_TIMEOUT, pause=3)

    def _running(self, ctx: Context) -> tuple[list[str], bool]:
        """Return the machines whose data node runs, and whether the management server runs."""
        cluster = NdbCluster(with_machines(ctx), self.pool)
        up = {id: machine for id, machine in cluster.data_nodes.items() if machine.address}
        ids = {machine.id: id for id, machine in up.items()}
        runs = self.pool.each(up.values(), lambda machine: node_runs(ids[machine.id], machine))
        names = [machine.name for machine, on in zip(up.values(), runs, strict=True) if on]
        manager = bool(cluster.manager.address) and cluster.manager_runs()
        return names, manager


@dataclass(frozen=True)
class StoppedZooKeeper(StoppedService):
    """Every ZooKeeper server stopped by zkServer.sh; its data and logs are kept."""

    pool: MachinePool
    needs: tuple[str, ...] = ("ndb storage",)
    name: str = "zookeeper ensemble"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return the servers; running ones are drift."""
        machines = self._machines(ctx)
        if not machines:
            return Found("", skipped="its machines do not run")
        running = self._running(machines)
        ids = ", ".join(machine.id for machine in machines)
        names = ", ".join(machine.name for machine in running)
        drift = (Drift("servers", f"{names} running", "stopped"),) if running else ()
        return Found(ids, f"{len(running)} running", drift=drift)

    def create(self, ctx: Context) -> Found:
        """Do nothing: what does not exist does not run."""
        return Found("", skipped=NOT_CREATED)

    def update(self, ctx: Context, found: Found) -> Found:
        """Stop every server and return when their ports are closed."""
        self.pool.each(self._running(self._machines(ctx)), stop_server)
        return Found(found.id, "stopped")

    def _machines(self, ctx: Context) -> list[Machine]:
        return running_machines(ctx, self.pool, ZOOKEEPER)

    def _running(self, machines: Sequence[Machine]) -> list[Machine]:
        roles = self.pool.each(machines, server_role)
        return [machine for machine, role in zip(machines, roles, strict=True) if role]


def running_machines(ctx: Context, pool: MachinePool, *steps: str) -> list[Machine]:
    """Return the machines of some steps that have an address: those that run."""
    return [machine for machine in machines_of(with_machines(ctx), pool, *steps) if machine.address]


def with_machines(ctx: Context) -> Context:
    """Return the context as if the steps of the VMs had run, which come after the servers'."""
    active = {step: active_instances(ctx, step) for step in (*MACHINES, ZOOKEEPER)}
    found = {step: stopped_found(items) for step, items in active.items() if items}
    return replace(ctx, found={**ctx.found, **found})
