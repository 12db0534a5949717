"""The step that starts NDB's data nodes in parallel and waits until all are started."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.software.daemons import start_daemon
from aws_setup.software.machines import SERVICES_STOPPED, any_stopped, machines_exist
from aws_setup.software.ndb.cluster import (
    MACHINES,
    NDBMTD,
    NdbCluster,
    log_tail,
    manager_down,
    node_runs,
    pending_restarts,
    rolling_restart,
)
from aws_setup.software.ndb.config_files import MY_CNF, NODE_DATA
from aws_setup.software.ndb.initial_start import (
    MANAGER_MARKER,
    NODE_MARKER,
    InitMarker,
    InitStage,
    NodeEvidence,
    initial_nodes,
)
from aws_setup.software.ndb.ndb_mgm import ClusterStatus, NodeState
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

START_TIMEOUT = 1800.0
"""Deadline for all data nodes to start, in seconds; writing the redo logs takes minutes."""


@dataclass(frozen=True)
class DataNodes(Step):
    """Every ndbmtd of the cluster, `started` in the output of `ndb_mgm -e show`.

    There is nothing to delete: the data is on the machines' disks.
    """

    pool: MachinePool
    name: str = "ndb storage"
    needs: tuple[str, ...] = ("ndb management server",)
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Query the management server; None when the cluster has never been started."""
        if "ndb management server" not in ctx.found or not machines_exist(ctx, MACHINES):
            return None
        cluster = NdbCluster(ctx, self.pool, self.pool.survey)
        ids = ", ".join(machine.id for machine in cluster.data_nodes.values())
        if any_stopped(cluster.all):
            return Found(ids, "stopped", drift=(SERVICES_STOPPED,))
        marker, status = cluster.marker(), cluster.status()
        if marker is None:
            return None
        return _found(ids, cluster, status, marker)

    def create(self, ctx: Context) -> Found:
        """Start the data nodes that are down; a first start uses --initial."""
        return self._start(ctx)

    def update(self, ctx: Context, found: Found) -> Found:
        """Start the data nodes that are down; `wait` restarts those with an older config.ini."""
        return self._start(ctx)

    def _start(self, ctx: Context) -> Found:
        cluster = NdbCluster(ctx, self.pool)
        marker, evidence = cluster.marker() or InitMarker(), cluster.evidence()
        initial = initial_nodes(marker, evidence)
        ids = {machine.id: id for id, machine in cluster.data_nodes.items()}

        def start(machine: Machine) -> None:
            node_id = ids[machine.id]
            machine.write(MY_CNF, cluster.config_files()[MY_CNF], sudo=True)
            _start_one(machine, marker, evidence[node_id], first=node_id in initial)

        self.pool.each(cluster.data_nodes.values(), start)
        return Found(", ".join(ids), "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when all data nodes are started with this config.ini, and the marker says so."""
        cluster, missing_before = NdbCluster(ctx, self.pool), set[int]()
        ctx.wait_until(
            "every NDB data node is started",
            lambda: _probe(cluster, missing_before),
            deadline=START_TIMEOUT,
            pause=5,
            hint=f"check {NODE_DATA}/ndb_*_out.log there, then run the same command again",
        )
        marker = cluster.marker() or InitMarker()
        if marker.stage is not InitStage.COMPLETE:
            done = InitMarker(marker.cluster, marker.machine, InitStage.COMPLETE)
            cluster.manager.write(MANAGER_MARKER, done.text(), sudo=True)
        rolling_restart(ctx, cluster)
        return _found(found.id, cluster, cluster.status(), cluster.marker() or InitMarker())


def _start_one(machine: Machine, marker: InitMarker, node: NodeEvidence, *, first: bool) -> None:
    if node.running:
        return
    if first:
        begun = InitMarker(marker.cluster, machine.id, InitStage.BEGUN)
        machine.write(NODE_MARKER, begun.text(), sudo=True)
    start_daemon(machine, [NDBMTD, *(["--initial"] if first else [])], timeout=180)


def _found(
    ids: str, cluster: NdbCluster, status: ClusterStatus | None, marker: InitMarker
) -> Found:
    states = _states(cluster, status)
    names = {id: machine.name for id, machine in cluster.data_nodes.items()}
    started = [id for id, state in states.items() if state is NodeState.STARTED]
    drift = [
        Drift(f"data node {names[id]}", NodeState.ABSENT.value, "started")
        for id, state in states.items()
        if state is NodeState.ABSENT
    ]
    pending = pending_restarts(cluster)
    if pending:
        nodes = ", ".join(names[id] for id in pending if id in names)
        drift.append(Drift("config.ini in use", f"an older one on {nodes}", "the current one"))
    return Found(
        ids,
        f"{len(started)} of {len(states)} started",
        {"data_nodes": {names[id]: state.value for id, state in states.items()}},
        tuple(drift),
        ready=len(started) == len(states) and marker.stage is InitStage.COMPLETE and not pending,
    )


def _states(cluster: NdbCluster, status: ClusterStatus | None) -> dict[int, NodeState]:
    return {id: status.state(id) if status else NodeState.ABSENT for id in cluster.data_nodes}


def _probe(cluster: NdbCluster, missing_before: set[int]) -> Set[int] | Pending:
    """Return when all are started; a data node without a process ends the wait.

    It must be missing in two polls, `missing_before` has those of the last one: a daemon writes
    its PID file with a short delay.
    """
    status = cluster.status()
    if status is None:
        raise manager_down(cluster)
    states = _states(cluster, status)
    pending = {id: state for id, state in states.items() if state is not NodeState.STARTED}
    ended = {
        id
        for id, state in pending.items()
        if state is NodeState.ABSENT and not node_runs(id, cluster.data_nodes[id])
    }
    if ended & missing_before:
        first = min(ended & missing_before)
        raise _ended(first, cluster.data_nodes[first])
    missing_before.clear()
    missing_before.update(ended)
    text = ", ".join(f"{cluster.data_nodes[id].name} {state}" for id, state in pending.items())
    return Pending(text) if pending else frozenset(states)


def _ended(node_id: int, machine: Machine) -> SetupError:
    return SetupError(
        f"NDB data node {machine.name} (id {node_id}) did not start",
        log_tail(node_id, machine),
        f"fix that on {machine.address}, then run the same command again",
    )
