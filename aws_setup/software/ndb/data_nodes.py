"""The step that starts NDB's data nodes in parallel and waits until all are started."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cluster_members import mark_members
from aws_setup.infrastructure.vm_groups import RECREATE
from aws_setup.software.daemons import start_daemon
from aws_setup.software.machines import SERVICES_STOPPED, any_stopped
from aws_setup.software.ndb.cluster import (
    NDBMTD,
    NdbCluster,
    log_tail,
    manager_down,
    manager_exists,
    node_runs,
    pending_restarts,
    rolling_restart,
)
from aws_setup.software.ndb.config_files import MY_CNF, NODE_DATA, node_groups
from aws_setup.software.ndb.initial_start import (
    MANAGER_MARKER,
    NODE_MARKER,
    InitMarker,
    InitStage,
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
        if "ndb management server" not in ctx.found or not manager_exists(ctx):
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
        copies = initial if marker.stage is InitStage.COMPLETE else frozenset()
        refuse_lost_groups(cluster, copies)
        # The others would wait for those without end, because the cluster might be split in two:
        # https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-programs-ndbd.html#option_ndbd_nowait-nodes
        absent = ",".join(map(str, sorted(copies)))
        options = [f"--nowait-nodes={absent}"] if absent else []

        def start(machine: Machine) -> None:
            node_id, first = ids[machine.id], ids[machine.id] in initial
            machine.write(MY_CNF, cluster.config_files()[MY_CNF], sudo=True)
            if evidence[node_id].running:
                return
            if first and not copies:
                begun = InitMarker(marker.cluster, machine.id, InitStage.BEGUN)
                machine.write(NODE_MARKER, begun.text(), sudo=True)
            start_daemon(machine, [NDBMTD, *(["--initial"] if first else options)], timeout=180)

        nodes = cluster.data_nodes
        self.pool.each([machine for id, machine in nodes.items() if id not in copies], start)
        if copies:
            _wait_until_started(ctx, cluster, nodes.keys() - copies)
            begin_copies(cluster, marker, copies)
            self.pool.each([nodes[id] for id in sorted(copies)], start)
        return Found(", ".join(ids), "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when all data nodes are started with this config.ini, and the marker says so."""
        cluster = NdbCluster(ctx, self.pool)
        _wait_until_started(ctx, cluster, frozenset(node.id for node in cluster.nodes))
        record_started(cluster, cluster.marker() or InitMarker())
        mark_members(ctx, [machine.id for machine in cluster.all])
        rolling_restart(ctx, cluster)
        return _found(found.id, cluster, cluster.status(), cluster.marker() or InitMarker())


def _wait_until_started(ctx: Context, cluster: NdbCluster, ids: Set[int]) -> None:
    missing_before = set[int]()
    ctx.wait_until(
        "every NDB data node is started",
        lambda: _probe(cluster, ids, missing_before),
        deadline=START_TIMEOUT,
        pause=5,
        hint=f"check {NODE_DATA}/ndb_*_out.log there, then run the same command again",
    )


def refuse_lost_groups(cluster: NdbCluster, copies: Set[int]) -> None:
    """Refuse to copy within a node group of which no data node has the rows.

    Raises:
        SetupError: there is such a group.
    """
    for group in node_groups(cluster.nodes):
        if all(node.id in copies for node in group):
            names = ", ".join(cluster.data_nodes[node.id].name for node in group)
            raise SetupError(
                f"the node group of {names} has no data node with its rows any more",
                "both were replaced, and each would copy the other's data",
                f"its rows exist nowhere else: {RECREATE}",
            )


def begin_copies(cluster: NdbCluster, marker: InitMarker, ids: Set[int]) -> None:
    """Record on the manager which machines' data nodes are about to copy their peers' data."""
    machines = {cluster.data_nodes[id].id for id in ids}
    begun = replace(marker, copying=tuple(sorted(machines | set(marker.copying))))
    if begun != marker:
        cluster.manager.write(MANAGER_MARKER, begun.text(), sudo=True)


def record_started(cluster: NdbCluster, marker: InitMarker) -> None:
    """Record that every data node has been started, and so has copied what it had to copy."""
    for machine in cluster.data_nodes.values():
        if machine.id in marker.copying:
            joined = InitMarker(marker.cluster, machine.id, InitStage.COMPLETE)
            machine.write(NODE_MARKER, joined.text(), sudo=True)
    done = replace(marker, stage=InitStage.COMPLETE, copying=())
    if done != marker:
        cluster.manager.write(MANAGER_MARKER, done.text(), sudo=True)


def _found(
    ids: str, cluster: NdbCluster, status: ClusterStatus | None, marker: InitMarker
) -> Found:
    states = _states(cluster, status)
    names = {node.id: node.address for node in cluster.nodes}
    names |= {id: machine.name for id, machine in cluster.data_nodes.items()}
    started = [id for id, state in states.items() if state is NodeState.STARTED]
    drift = [
        Drift(f"data node {names[id]}", NodeState.ABSENT.value, "started")
        for id, state in states.items()
        if state is NodeState.ABSENT
    ]
    copying = [it.name for it in cluster.data_nodes.values() if it.id in marker.copying]
    if copying:
        drift.append(
            Drift("copies of the peers' data", f"begun on {', '.join(copying)}", "complete")
        )
    pending = pending_restarts(cluster)
    if pending:
        nodes = ", ".join(names[id] for id in pending if id in names)
        drift.append(Drift("config.ini in use", f"an older one on {nodes}", "the current one"))
    return Found(
        ids,
        f"{len(started)} of {len(states)} started",
        {"data_nodes": {names[id]: state.value for id, state in states.items()}},
        tuple(drift),
        ready=len(started) == len(states)
        and marker.stage is InitStage.COMPLETE
        and not (pending or copying),
    )


def _states(cluster: NdbCluster, status: ClusterStatus | None) -> dict[int, NodeState]:
    ids = [node.id for node in cluster.nodes]
    return {id: status.state(id) if status else NodeState.ABSENT for id in ids}


def _probe(cluster: NdbCluster, ids: Set[int], missing_before: set[int]) -> Set[int] | Pending:
    """Return when these are started; a data node without a process ends the wait.

    It must be missing in two polls, `missing_before` has those of the last one: a daemon writes
    its PID file with a short delay.
    """
    status = cluster.status()
    if status is None:
        raise manager_down(cluster)
    states = {id: state for id, state in _states(cluster, status).items() if id in ids}
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
