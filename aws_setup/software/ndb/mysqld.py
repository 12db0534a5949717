"""The step that starts mysqld on the NDB manager."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.software.machines import SERVICES_DOWN, any_stopped, machines_exist
from aws_setup.software.ndb.cluster import MACHINES, NdbCluster
from aws_setup.software.ndb.initial_start import InitStage
from aws_setup.ssh import MachinePool

MYSQL_SERVER = "/home/ubuntu/mysql.server"
MYSQLADMIN = "/usr/local/mysql/bin/mysqladmin"


@dataclass(frozen=True)
class MysqlServer(Step):
    """mysqld on the manager, answering and connected to the cluster."""

    hosts: MachinePool
    name: str = "mysqld"
    needs: tuple[str, ...] = ("ndb storage",)
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Ask the manager; None when the cluster never came up, so that mysqld had no use."""
        if "ndb storage" not in ctx.found or not machines_exist(ctx, MACHINES):
            return None
        members = NdbCluster(ctx, self.hosts)
        if any_stopped(members.all):
            return Found(members.manager.id, "stopped", drift=(SERVICES_DOWN,))
        marker = members.marker()
        if marker is None or marker.stage is not InitStage.COMPLETE:
            return None
        return _found(members)

    def create(self, ctx: Context) -> Found:
        """Start mysqld where it does not run."""
        members = NdbCluster(ctx, self.hosts)
        if not _answers(members):
            members.manager.run([MYSQL_SERVER, "start"], sudo=True, timeout=300)
        return Found(members.manager.id, "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when mysqld answers and is connected to the cluster."""
        members = NdbCluster(ctx, self.hosts)
        return wait_until(
            f"mysqld on {members.manager.name} is connected to NDB",
            lambda: _probe(members),
            clock=ctx.clock,
            deadline=300,
            pause=3,
            note=ctx.note,
            hint="look into /usr/local/mysql/data/*.err on the NDB manager",
        )


def _answers(members: NdbCluster) -> bool:
    """Tell whether mysqld runs: `mysqladmin ping` ends with 0 even when it denies access."""
    ping = [MYSQLADMIN, "--no-defaults", "--connect-timeout=5", "ping"]
    return members.manager.run(ping, check=False, repeatable=True).code == 0


def _connected(members: NdbCluster) -> bool:
    shown = members.show()
    return shown is not None and shown.application_at(members.manager.private_ip)


def _found(members: NdbCluster) -> Found:
    up = _answers(members)
    joined = up and _connected(members)
    state = "running" if joined else "not connected to NDB" if up else "down"
    drift = () if up else (Drift("mysqld", "down", "running"),)
    return Found(members.manager.id, state, {"mysqld": state}, drift, ready=joined)


def _probe(members: NdbCluster) -> Found | Pending:
    found = _found(members)
    return found if found.ready else Pending(found.state)
