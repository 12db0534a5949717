"""The step that starts NDB's data nodes, all at once, and waits until each one is started."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.software.machines import SERVICES_DOWN, any_stopped, machines_exist
from aws_setup.software.ndb.cluster import (
    MACHINES,
    NDBMTD,
    NdbCluster,
    log_tail,
    no_manager,
    node_runs,
    pending_restarts,
    restart_in_turn,
)
from aws_setup.software.ndb.config_files import MY_CNF
from aws_setup.software.ndb.initial_start import (
    MANAGER_MARKER,
    NODE_MARKER,
    InitMarker,
    InitStage,
    NodeEvidence,
    initial_nodes,
)
from aws_setup.software.ndb.ndb_mgm import ClusterStatus, NodeState
from aws_setup.ssh import Machine, MachinePool

START = 1800.0
"""Seconds for all data nodes to start; a first start makes the redo logs, minutes on EBS."""


@dataclass(frozen=True)
class DataNodes(Step):
    """Every ndbmtd of the cluster, started as `ndb_mgm -e show` has it."""

    hosts: MachinePool
    name: str = "ndb storage"
    needs: tuple[str, ...] = ("ndb management server",)
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Ask the management server; None when the cluster has never been started."""
        if "ndb management server" not in ctx.found or not machines_exist(ctx, MACHINES):
            return None
        members = NdbCluster(ctx, self.hosts)
        own = ", ".join(machine.id for machine in members.data_nodes.values())
        if any_stopped(members.all):
            return Found(own, "stopped", drift=(SERVICES_DOWN,))
        marker, shown = members.marker(), members.show()
        if marker is None:
            return None
        return _found(own, members, shown, marker)

    def create(self, ctx: Context) -> Found:
        """Start what does not run; a data node's first start is with --initial."""
        return self._start(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Start what does not run, and restart in turn what runs with an older config.ini."""
        return self._start(ctx)

    def _start(self, ctx: Context) -> Found:
        members = NdbCluster(ctx, self.hosts)
        marker, evidence = members.marker() or InitMarker(), members.evidence()
        initial = initial_nodes(marker, evidence)
        ids = {machine.id: id for id, machine in members.data_nodes.items()}

        def start(machine: Machine) -> None:
            node_id = ids[machine.id]
            machine.write(MY_CNF, members.documents()[MY_CNF], sudo=True)
            _start_one(machine, marker, evidence[node_id], first=node_id in initial)

        self.hosts.each(members.data_nodes.values(), start)
        return Found(", ".join(ids), "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when every data node is started and the manager's marker says so."""
        members, gone = NdbCluster(ctx, self.hosts), set[int]()
        wait_until(
            "every NDB data node is started",
            lambda: _probe(members, gone),
            clock=ctx.clock,
            deadline=START,
            pause=5,
            note=ctx.note,
            hint="look into /usr/local/mysql/data/ndb_*_out.log on the data nodes named",
        )
        marker = members.marker() or InitMarker()
        if marker.stage is not InitStage.COMPLETE:
            done = InitMarker(marker.cluster, marker.machine, InitStage.COMPLETE)
            members.manager.write(MANAGER_MARKER, done.text(), sudo=True)
        restart_in_turn(ctx, members)
        return _found(found.id, members, members.show(), members.marker() or InitMarker())


def _start_one(machine: Machine, marker: InitMarker, node: NodeEvidence, *, first: bool) -> None:
    if node.running:
        return
    if first:
        own = InitMarker(marker.cluster, machine.id, InitStage.BEGUN)
        machine.write(NODE_MARKER, own.text(), sudo=True)
    machine.run([NDBMTD, *(["--initial"] if first else [])], sudo=True, timeout=180)


def _found(own: str, members: NdbCluster, shown: ClusterStatus | None, marker: InitMarker) -> Found:
    states = _states(members, shown)
    names = {id: machine.name for id, machine in members.data_nodes.items()}
    started = [id for id, state in states.items() if state is NodeState.STARTED]
    drift = [
        Drift(f"data node {names[id]}", NodeState.ABSENT.value, "started")
        for id, state in states.items()
        if state is NodeState.ABSENT
    ]
    owed = pending_restarts(members)
    if owed:
        late = ", ".join(names[id] for id in owed if id in names)
        drift.append(Drift("config.ini in use", f"an older one on {late}", "the present one"))
    return Found(
        own,
        f"{len(started)} of {len(states)} started",
        {"data_nodes": {names[id]: state.value for id, state in states.items()}},
        tuple(drift),
        ready=len(started) == len(states) and marker.stage is InitStage.COMPLETE and not owed,
    )


def _states(members: NdbCluster, shown: ClusterStatus | None) -> dict[int, NodeState]:
    return {id: shown.state(id) if shown else NodeState.ABSENT for id in members.data_nodes}


def _probe(members: NdbCluster, gone: set[int]) -> Set[int] | Pending:
    """Answer when all are started; a data node without a process ends the wait.

    Only at the second look, which `gone` remembers: a daemon writes its PID file a moment late.
    """
    shown = members.show()
    if shown is None:
        raise no_manager(members)
    states = _states(members, shown)
    late = {id: state for id, state in states.items() if state is not NodeState.STARTED}
    ended = {
        id
        for id, state in late.items()
        if state is NodeState.ABSENT and not node_runs(id, members.data_nodes[id])
    }
    if ended & gone:
        first = min(ended & gone)
        raise _ended(first, members.data_nodes[first])
    gone.clear()
    gone.update(ended)
    said = ", ".join(f"{members.data_nodes[id].name} {state}" for id, state in late.items())
    return Pending(said) if late else frozenset(states)


def _ended(node_id: int, machine: Machine) -> SetupError:
    return SetupError(
        f"NDB data node {machine.name} (id {node_id}) did not start",
        log_tail(node_id, machine),
        f"mend that on {machine.address}, then run the same command again",
    )
