"""The step that starts mysqld on the NDB manager."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.software.daemons import start_daemon
from aws_setup.software.machines import SERVICES_STOPPED, any_stopped
from aws_setup.software.ndb.cluster import NdbCluster, manager_exists
from aws_setup.software.ndb.config_files import NODE_DATA
from aws_setup.software.ndb.initial_start import InitStage
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.survey import RUN, Question, Survey

MYSQL_SERVER = "/home/ubuntu/mysql.server"
MYSQLADMIN = "/usr/local/mysql/bin/mysqladmin"

_PING = (MYSQLADMIN, "--no-defaults", "--connect-timeout=5", "ping")
PING = Question(RUN, _PING)


@dataclass(frozen=True)
class MysqlServer(Step):
    """mysqld on the manager, answering and connected to the cluster.

    There is nothing to delete: it is on the manager's disk.
    """

    pool: MachinePool
    name: str = "mysqld"
    needs: tuple[str, ...] = ("ndb storage",)
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Inspect mysqld; None when the cluster has never started, so that it has not either."""
        if "ndb storage" not in ctx.found or not manager_exists(ctx):
            return None
        cluster = NdbCluster(ctx, self.pool, self.pool.survey)
        if any_stopped(cluster.all):
            return Found(cluster.manager.id, "stopped", drift=(SERVICES_STOPPED,))
        marker = cluster.marker()
        if marker is None or marker.stage is not InitStage.COMPLETE:
            return None
        return _found(cluster)

    def create(self, ctx: Context) -> Found:
        """Start mysqld unless it is running."""
        cluster = NdbCluster(ctx, self.pool)
        if not mysqld_answers(cluster.manager):
            start_mysqld(cluster.manager)
        return Found(cluster.manager.id, "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when mysqld answers and is connected to the cluster."""
        cluster = NdbCluster(ctx, self.pool)
        return ctx.wait_until(
            f"mysqld on {cluster.manager.name} is connected to NDB",
            lambda: _probe(cluster),
            deadline=300,
            pause=3,
            hint=f"check {NODE_DATA}/*.err on the NDB manager, then run the same command again",
        )


def start_mysqld(machine: Machine) -> None:
    """Start mysqld as the owner of its data; returns when mysql.server has ended.

    mysql.server hands its arguments on to mysqld_safe, which as root starts mysqld as the user
    `mysql`, whom the images need not have and whose the data are not; mysqld itself refuses to run
    as root unless --user says so. A name comes first: the number is for an owner without one.
    https://github.com/mysql/mysql-server/blob/8.0/support-files/mysql.server.sh
    https://github.com/mysql/mysql-server/blob/8.0/scripts/mysqld_safe.sh
    https://dev.mysql.com/doc/refman/8.0/en/server-options.html#option_mysqld_user

    Raises:
        RemoteError: it does not start, or there is no data folder.
    """
    ask = ["stat", "-c", "%U %u", NODE_DATA]
    name, number = machine.run(ask, repeatable=True, changes=False).stdout.split()
    owner = number if name == "UNKNOWN" else name
    start_daemon(machine, [MYSQL_SERVER, "start", f"--user={owner}"], timeout=300)


def mysqld_answers(machine: Machine, survey: Survey | None = None) -> bool:
    """Tell whether mysqld is running: `mysqladmin ping` exits with 0 even if access is denied."""
    known = survey.answer(machine, PING) if survey else None
    return (known or machine.run(_PING, check=False, repeatable=True, changes=False)).code == 0


def _connected(cluster: NdbCluster) -> bool:
    status = cluster.status()
    return status is not None and status.application_at(cluster.manager.private_ip)


def _found(cluster: NdbCluster) -> Found:
    running = mysqld_answers(cluster.manager, cluster.survey)
    connected = running and _connected(cluster)
    state = "running" if connected else "not connected to NDB" if running else "down"
    drift = () if running else (Drift("mysqld", "down", "running"),)
    return Found(cluster.manager.id, state, {"mysqld": state}, drift, ready=connected)


def _probe(cluster: NdbCluster) -> Found | Pending:
    found = _found(cluster)
    return found if found.ready else Pending(found.state)
