"""The step that configures and starts NDB's management server."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.software import ssh_access
from aws_setup.software.machines import SERVICES_DOWN, any_stopped, machines_exist
from aws_setup.software.ndb.cluster import (
    MACHINES,
    NDB_MGM,
    NDB_MGMD,
    NdbCluster,
    schedule_restarts,
)
from aws_setup.software.ndb.config_files import (
    CONFIG_INI,
    IN_PLACE,
    MANAGER_ID,
    MY_CNF,
    differences,
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
from aws_setup.ssh import MachinePool


@dataclass(frozen=True)
class ManagementServer(Step):
    """ndb_mgmd with its config.ini, answering `ndb_mgm -e show`."""

    hosts: MachinePool
    name: str = "ndb management server"
    needs: tuple[str, ...] = (ssh_access.NAME, *MACHINES)
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Ask the manager for its marker, its files and its process; None when never started.

        Raises:
            Refused: the instance type does not tell the figures, before there are machines too.
        """
        sizing(ctx.config)
        if not machines_exist(ctx, MACHINES):
            return None
        members = NdbCluster(ctx, self.hosts)
        if any_stopped(members.all):
            return Found(members.manager.id, "stopped", drift=(SERVICES_DOWN,))
        marker = members.marker()
        if marker is None:
            return None
        up = members.show() is not None
        return Found(
            members.manager.id,
            "running" if up else "down",
            {"stage": marker.stage.value},
            (*_file_drift(members, marker), *(() if up else (SERVICES_DOWN,))),
        )

    def create(self, ctx: Context) -> Found:
        """Write the files and start the server; --initial only on a cluster that is new."""
        return self._bring_up(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Write changed files, and start or restart the server; never with --initial."""
        return self._bring_up(ctx)

    def _bring_up(self, ctx: Context) -> Found:
        members = NdbCluster(ctx, self.hosts)
        marker, evidence = members.marker(), members.evidence()
        initial_nodes(marker, evidence)
        stage = stage_of(marker, evidence)
        changed = _write_files(members, stage)
        if marker is None:
            _mark(members, stage, evidence)
        up = members.show() is not None
        if up and changed:
            members.manager.run([NDB_MGM, "-e", f"{MANAGER_ID} stop"], timeout=120)
            _wait_for(ctx, members, up=False)
        if changed or not up:
            how = "--initial" if stage is InitStage.NEW else "--reload"
            command = [NDB_MGMD, how, "--skip-config-cache", "-f", CONFIG_INI]
            members.manager.run(command, sudo=True, timeout=120)
        return Found(members.manager.id, "starting", {"stage": stage.value}, ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the server answers."""
        members = NdbCluster(ctx, self.hosts)
        _wait_for(ctx, members, up=True)
        return Found(found.id, "running", found.facts)


def _wait_for(ctx: Context, members: NdbCluster, *, up: bool) -> None:
    wait_until(
        f"ndb_mgmd on {members.manager.name} {'answers' if up else 'stops'}",
        lambda: (members.show() is not None) is up or Pending("not running" if up else "running"),
        clock=ctx.clock,
        deadline=60,
        pause=2,
        note=ctx.note,
        hint="look into /var/lib/mysql-cluster/ndb_1_cluster.log on the NDB manager",
    )


def _mark(members: NdbCluster, stage: InitStage, evidence: dict[int, NodeEvidence]) -> None:
    """Leave the manager's marker; a lost one gets the data nodes' cluster id back."""
    known = [node.marker.cluster for node in evidence.values() if node.marker]
    now = InitStage.BEGUN if stage is InitStage.NEW else stage
    marker = InitMarker(known[0] if known else uuid.uuid4().hex, members.manager.id, now)
    members.manager.write(MANAGER_MARKER, marker.text(), sudo=True)


def _write_files(members: NdbCluster, stage: InitStage) -> bool:
    """Write my.cnf and config.ini; tells whether config.ini changed."""
    wanted = members.documents()
    members.manager.write(MY_CNF, wanted[MY_CNF], sudo=True)
    before = members.manager.read(CONFIG_INI, sudo=True)
    if before == wanted[CONFIG_INI]:
        return False
    if stage is InitStage.COMPLETE and before and differences(before, wanted[CONFIG_INI]):
        schedule_restarts(members, members.data_nodes)
    return members.manager.write(CONFIG_INI, wanted[CONFIG_INI], sudo=True)


def _file_drift(members: NdbCluster, marker: InitMarker) -> list[Drift]:
    if not members.complete:
        return [Drift("data nodes", str(len(members.nodes)), "the machines still to be made")]
    wanted = members.documents()
    before = members.manager.read(CONFIG_INI, sudo=True) or ""
    changes = differences(before, wanted[CONFIG_INI]) if before else {}
    drift = [_translate_error(name, *values, marker) for name, values in changes.items()]
    if before != wanted[CONFIG_INI] and not drift:
        drift.append(Drift("config.ini", "another text", "the configuration's"))
    if members.manager.read(MY_CNF, sudo=True) != wanted[MY_CNF]:
        drift.append(Drift("my.cnf", "another text", "the configuration's"))
    return drift


def _translate_error(name: str, has: str, wants: str, marker: InitMarker) -> Drift:
    if name in IN_PLACE or marker.stage is not InitStage.COMPLETE:
        return Drift(name, has, wants)
    mend = (
        "put the value back; or save the data, destroy the NDB machines and create them anew: "
        "NDB cannot change it while it holds data"
    )
    return Drift(name, has, wants, mend)
