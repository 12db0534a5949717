"""The step that configures and starts NDB's management server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import Problem
from aws_setup.infrastructure.cluster_members import ADDRESSES
from aws_setup.infrastructure.vm_groups import RECREATE
from aws_setup.software import ssh_access
from aws_setup.software.daemons import start_daemon
from aws_setup.software.machines import SERVICES_STOPPED, any_stopped
from aws_setup.software.ndb.cluster import (
    MACHINES,
    NDB_MGM,
    NDB_MGMD,
    NdbCluster,
    manager_exists,
    schedule_restarts,
)
from aws_setup.software.ndb.config_files import (
    CHANGEABLE,
    CONFIG_INI,
    MANAGER_ID,
    MANAGER_LOG,
    MY_CNF,
    differences,
    memory_bytes,
    sizing,
)
from aws_setup.software.ndb.initial_start import (
    MANAGER_MARKER,
    InitMarker,
    InitStage,
    NodeEvidence,
    initial_nodes,
    stage_of,
)
from aws_setup.software.ndb.membership import (
    launch_addresses,
    membership_drift,
    unreadable_drift,
)
from aws_setup.ssh.pool import MachinePool

TIMEOUT = 60.0
"""Seconds in which the server answers after its start, or ends after its stop."""


@dataclass(frozen=True)
class ManagementServer(Step):
    """ndb_mgmd with its config.ini, answering `ndb_mgm -e show`.

    There is nothing to delete: it is on the manager's disk.
    """

    pool: MachinePool
    name: str = "ndb management server"
    needs: tuple[str, ...] = (ssh_access.NAME, *MACHINES)
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Inspect the manager's marker, files and process; None when never started.

        Raises:
            Refused: the memory of the instance type is unknown, also before there are machines.
        """
        sizing(ctx.config)
        if not manager_exists(ctx):
            lost = unreadable_drift(ctx)
            return Found("", "lost", drift=tuple(lost)) if lost else None
        cluster = NdbCluster(ctx, self.pool, self.pool.survey)
        if not cluster.manager.address:
            drift = (SERVICES_STOPPED, *unreadable_drift(ctx))
            return Found(cluster.manager.id, "stopped", drift=drift)
        marker = cluster.marker()
        if marker is None:
            drift = (
                *([SERVICES_STOPPED] if any_stopped(cluster.all) else []),
                *unreadable_drift(ctx),
            )
            return Found(cluster.manager.id, "stopped", drift=drift) if drift else None
        return self._found(cluster, marker)

    def _found(self, cluster: NdbCluster, marker: InitMarker) -> Found:
        status = cluster.status()
        facts: dict[str, Any] = {"stage": marker.stage.value}
        drift = membership_drift(cluster, marker, status) if cluster.members else []
        if cluster.lost:
            facts[ADDRESSES] = launch_addresses(cluster)
        if not any(one.fix for one in drift):
            drift += _file_drift(cluster, marker)
        if status is None or any_stopped(cluster.all):
            drift.append(SERVICES_STOPPED)
        return Found(
            cluster.manager.id, "down" if status is None else "running", facts, tuple(drift)
        )

    def create(self, ctx: Context) -> Found:
        """Write the files and start the server, with --initial only for a new cluster."""
        return self._apply(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Write changed files and start or restart the server, never with --initial."""
        return self._apply(ctx)

    def _apply(self, ctx: Context) -> Found:
        cluster = NdbCluster(ctx, self.pool)
        marker, evidence = cluster.marker(), cluster.evidence()
        initial_nodes(marker, evidence)
        stage = stage_of(marker, evidence)
        changed = _write_files(cluster, stage)
        if marker is None:
            _write_marker(cluster, stage, evidence)
        # One that does not answer, as after its start, has the port all the same.
        running = cluster.manager_runs()
        if running and changed:
            cluster.manager.run([NDB_MGM, "-e", f"{MANAGER_ID} stop"], timeout=120)
            _wait_until(ctx, cluster, "stops", lambda: not cluster.manager_runs())
        if changed or not running:
            how = "--initial" if stage is InitStage.NEW else "--reload"
            command = [NDB_MGMD, how, "--skip-config-cache", "-f", CONFIG_INI]
            start_daemon(cluster.manager, command, timeout=120)
        return Found(cluster.manager.id, "starting", {"stage": stage.value}, ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the server answers."""
        cluster = NdbCluster(ctx, self.pool)
        _wait_until(ctx, cluster, "answers", lambda: cluster.status() is not None)
        return Found(found.id, "running", found.facts)


def _wait_until(ctx: Context, cluster: NdbCluster, what: str, holds: Callable[[], bool]) -> None:
    ctx.wait_until(
        f"ndb_mgmd on {cluster.manager.name} {what}",
        lambda: holds() or Pending("not yet"),
        deadline=TIMEOUT,
        pause=2,
        hint=f"check {MANAGER_LOG} on the NDB manager, then run the same command again",
    )


def _write_marker(cluster: NdbCluster, stage: InitStage, evidence: dict[int, NodeEvidence]) -> None:
    """Write the manager's marker; a lost one is re-created with the data nodes' cluster id."""
    known = [node.marker.cluster for node in evidence.values() if node.marker]
    now = InitStage.BEGUN if stage is InitStage.NEW else stage
    marker = InitMarker(known[0] if known else uuid.uuid4().hex, cluster.manager.id, now)
    cluster.manager.write(MANAGER_MARKER, marker.text(), sudo=True)


def _write_files(cluster: NdbCluster, stage: InitStage) -> bool:
    """Write my.cnf and config.ini; True when config.ini changed."""
    desired = cluster.config_files()
    cluster.manager.write(MY_CNF, desired[MY_CNF], sudo=True)
    current = cluster.manager.read(CONFIG_INI, sudo=True)
    if current == desired[CONFIG_INI]:
        return False
    if stage is InitStage.COMPLETE and current and differences(current, desired[CONFIG_INI]):
        schedule_restarts(cluster, cluster.data_nodes)
    return cluster.manager.write(CONFIG_INI, desired[CONFIG_INI], sudo=True)


def _file_drift(cluster: NdbCluster, marker: InitMarker) -> list[Drift]:
    if not cluster.complete and not cluster.members:
        return [Drift("data nodes", str(len(cluster.nodes)), "the machines still to be created")]
    desired = cluster.config_files()
    current = cluster.read(CONFIG_INI) or ""
    changes = differences(current, desired[CONFIG_INI]) if current else {}
    if marker.stage is InitStage.COMPLETE:
        _warn_of_less_memory(cluster.ctx, changes)
    drift = [_value_drift(name, *values, marker) for name, values in changes.items()]
    if current != desired[CONFIG_INI] and not drift:
        drift.append(Drift("config.ini", "different", "as configured"))
    if cluster.read(MY_CNF) != desired[MY_CNF]:
        drift.append(Drift("my.cnf", "different", "as configured"))
    return drift


def _value_drift(name: str, has: str, wants: str, marker: InitMarker) -> Drift:
    if name in CHANGEABLE or marker.stage is not InitStage.COMPLETE:
        return Drift(name, has, wants)
    key = KEYS.get(name, "") if has != "not set" else ""
    keep = f"set {key}: {has}" if key else f"write {name}={wants} to {CONFIG_INI} if it was edited"
    fix = f"{keep}: NDB cannot change it while it holds data; or, to lose all data, {RECREATE}"
    return Drift(name, has, wants, fix)


KEYS = {"NumCPUs": "ndb_num_cpus", "manager": "ndb_manager_private_ip"}
"""Setting that cannot be changed -> the key that keeps it, also where the type decides without."""


def _warn_of_less_memory(ctx: Context, changes: Mapping[str, tuple[str, str]]) -> None:
    """Warn of memory that shrinks with the instance type, without a key of the user's.

    NDB's manual says of what concerns memory: a node restart raises it, and lowering it needs an
    initial one.
    https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-configuration-overview.html
    """
    for name, key in MEMORY.items():
        has, wants = changes.get(name, ("", ""))
        if getattr(ctx.config, key) or memory_bytes(wants) >= memory_bytes(has):
            continue
        ctx.warn(
            Problem(
                f"{name} of the NDB data nodes becomes {wants}, it was {has}",
                "it follows ndb_datanode_instance_type; data nodes that hold more than that do "
                "not start again",
                f"set {key}: {has}, or check with `{NDB_MGM} -e 'all report memoryusage'` on the "
                "NDB manager that less is in use",
            )
        )


MEMORY = {"DataMemory": "ndb_data_memory", "SharedGlobalMemory": "ndb_shared_global_memory"}
"""Setting of memory -> the key that keeps it where the instance type would decide."""
