"""The machines of the NDB cluster: its nodes, their processes, data and restarts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from aws_setup.aws.context import Context
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.software.machines import machines_exist, machines_of
from aws_setup.software.ndb.config_files import (
    CONFIG_INI,
    MANAGER_DATA,
    MANAGER_ID,
    MANAGER_LOG,
    MY_CNF,
    NODE_DATA,
    NdbNode,
    config_ini,
    members,
    my_cnf,
    nodes,
    sizing,
)
from aws_setup.software.ndb.initial_start import (
    MANAGER_MARKER,
    NODE_MARKER,
    DataFiles,
    InitMarker,
    InitStage,
    NodeEvidence,
    read_marker,
)
from aws_setup.software.ndb.ndb_mgm import ClusterStatus, NodeState, parse_show
from aws_setup.ssh.files import ABSENT
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.survey import Question, Survey

MACHINES = ("ndb manager", "ndb data nodes 1", "ndb data nodes 2")
"""The steps whose machines form the cluster."""


def manager_exists(ctx: Context) -> bool:
    """Tell whether the manager exists: without a data node, too, the cluster may hold data."""
    return machines_exist(ctx, MACHINES[:1])


NDB_MGM = "/usr/local/bin/ndb_mgm"
NDB_MGMD = "/usr/local/bin/ndb_mgmd"
NDBMTD = "/usr/local/bin/ndbmtd"

CLOUD_INIT_RECORDS = "/var/lib/cloud/instance/sem"
"""cloud-init's records of this instance; the oldest dates from its first boot."""

_DATA_FILES = """\
set -- "$2" "$1"/ndb_*_fs
boot=$1
shift
[ -e "$1" ] || { echo none; exit 0; }
first=$(ls -tr -- "$boot" 2>/dev/null | head -n 1)
[ -n "$first" ] || { echo written; exit 0; }
newer=$(find "$@" -type f -newer "$boot/$first" -print -quit) || exit 1
if [ -n "$newer" ]; then echo written; else echo image; fi
"""
"""Arguments: data folder, cloud-init's records. Prints a value of DataFiles."""

_RUNNING = """\
pid=$(cat -- "$1" 2>/dev/null) || { echo no; exit 0; }
name=$(cat "/proc/$pid/comm" 2>/dev/null) || { echo no; exit 0; }
if [ "$name" = "$2" ]; then echo yes; else echo no; fi
"""
"""Arguments: PID file, process name. A PID reused by another process does not count."""


_SHOW = f"""\
pid=$(cat -- "$1" 2>/dev/null) || exit {ABSENT}
[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = ndb_mgmd ] || exit {ABSENT}
exec {NDB_MGM} -e show
"""
"""Argument: PID file. Prints the status; ABSENT while the server's process does not run."""

SHOW = Question(_SHOW, (f"{MANAGER_DATA}/ndb_{MANAGER_ID}.pid",))


@dataclass(frozen=True)
class NdbCluster:
    """The machines of one cluster; data nodes have the ids from config.ini."""

    ctx: Context
    pool: MachinePool
    survey: Survey | None = None
    """Answers that this run has read already, if they count."""

    @cached_property
    def manager(self) -> Machine:
        """The management node's machine."""
        return machines_of(self.ctx, self.pool, MACHINES[0])[0]

    @cached_property
    def machines(self) -> list[Machine]:
        """The machines of the data nodes: type 1 first, then by name."""
        return machines_of(self.ctx, self.pool, *MACHINES[1:])

    @cached_property
    def data_nodes(self) -> Mapping[int, Machine]:
        """Node id -> its machine, of those that have one."""
        found = {machine.private_ip: machine for machine in self.machines}
        return {node.id: found[node.address] for node in self.nodes if node.address in found}

    @cached_property
    def members(self) -> list[NdbNode]:
        """The data nodes of a cluster that holds data, as its config.ini has them; else none.

        Their ids must not change: each node's files belong to its id.
        """
        if not self.manager.address:
            return []
        marker = self.marker()
        if marker is None or marker.stage is not InitStage.COMPLETE:
            return []
        return members(self.read(CONFIG_INI) or "")

    @cached_property
    def nodes(self) -> list[NdbNode]:
        """The data nodes in the order of config.ini: known ones, else in their machines' order."""
        return self.members or nodes([machine.private_ip for machine in self.machines])

    @property
    def lost(self) -> list[NdbNode]:
        """The data nodes of a cluster that holds data which have no machine any more."""
        return [node for node in self.members if node.id not in self.data_nodes]

    @property
    def all(self) -> list[Machine]:
        """Every machine, the manager first."""
        return [self.manager, *self.machines]

    @property
    def complete(self) -> bool:
        """Tell whether the configured number of data nodes exists."""
        return len(self.data_nodes) == self.ctx.config.num_ndb_datanodes

    def config_files(self) -> dict[str, str]:
        """Return path -> desired content of the manager's two files."""
        address = self.manager.private_ip
        ini = config_ini(address, self.nodes, sizing(self.ctx.config))
        return {CONFIG_INI: ini, MY_CNF: my_cnf(address)}

    def status(self) -> ClusterStatus | None:
        """Return the status from the management server; None when it is down or does not answer."""
        known = self.survey.answer(self.manager, SHOW) if self.survey else None
        if known:
            return None if known.code else parse_show(known.stdout)
        if not self.manager_runs():
            return None
        # ndb_mgm itself retries for a minute while the server is starting.
        result = self.manager.run(
            [NDB_MGM, "-e", "show"], repeatable=True, timeout=90, check=False, changes=False
        )
        return None if result.code else parse_show(result.stdout)

    def manager_runs(self) -> bool:
        """Tell whether the process of the management server runs."""
        return running(self.manager, f"{MANAGER_DATA}/ndb_{MANAGER_ID}.pid", "ndb_mgmd")

    def marker(self) -> InitMarker | None:
        """Return the manager's marker."""
        return read_marker(self.read(MANAGER_MARKER))

    def read(self, path: str) -> str | None:
        """Return the text of a file on the manager; None when it does not exist."""
        return (self.survey or Survey()).read(self.manager, path, sudo=True)

    def evidence(self) -> dict[int, NodeEvidence]:
        """Return the evidence on each data node's machine, collected in parallel."""
        ids = {machine.id: id for id, machine in self.data_nodes.items()}
        found = self.pool.each(self.data_nodes.values(), lambda m: node_evidence(ids[m.id], m))
        return dict(zip(self.data_nodes, found, strict=True))


def node_evidence(node_id: int, machine: Machine) -> NodeEvidence:
    """Return the evidence on a data node's machine: marker, data files, process."""
    listed = machine.run(
        ["sh", "-c", _DATA_FILES, "lambda-fs", NODE_DATA, CLOUD_INIT_RECORDS],
        sudo=True,
        repeatable=True,
        label="list the data files",
    )
    return NodeEvidence(
        machine=machine.id,
        name=machine.name,
        marker=read_marker(machine.read(NODE_MARKER, sudo=True)),
        files=DataFiles(listed.stdout.strip()),
        running=node_runs(node_id, machine),
    )


def node_runs(node_id: int, machine: Machine) -> bool:
    """Tell whether the process ndbmtd runs on a data node's machine."""
    return running(machine, f"{NODE_DATA}/ndb_{node_id}.pid", "ndbmtd")


def running(machine: Machine, pid_file: str, name: str) -> bool:
    """Tell whether the process in a PID file is still running."""
    command = ["sh", "-c", _RUNNING, "lambda-fs", pid_file, name]
    answer = machine.run(command, sudo=True, repeatable=True, changes=False)
    return answer.stdout.strip() == "yes"


def log_tail(node_id: int, machine: Machine) -> str:
    """Return the line of a data node's log that says why it did not start."""
    paths = [f"{NODE_DATA}/ndb_{node_id}_{kind}.log" for kind in ("error", "out")]
    for path in paths:
        result = machine.run(["tail", "-n", "20", path], sudo=True, check=False)
        lines = [line for line in result.stdout.splitlines() if line.strip(" -")]
        messages = [line for line in lines if "Message:" in line or "Error" in line] or lines
        if result.code == 0 and messages:
            return messages[-1].strip()
    return f"its logs in {NODE_DATA} contain no error"


def manager_down(cluster: NdbCluster) -> SetupError:
    """Return the error of a management server that is down."""
    return SetupError(
        f"ndb_mgmd is not running on {cluster.manager.name}",
        "it was stopped, or it exited",
        f"check {MANAGER_LOG} there, then run the same command again",
    )


RESTART_LIST = f"{MANAGER_DATA}/lambda-fs-restarts"
"""Ids of the data nodes that run with an older config.ini, one per line."""

RESTART_TIMEOUT = 1800.0
"""Deadline of one data node's restart, in seconds; it reads its data from disk."""


def schedule_restarts(cluster: NdbCluster, ids: Iterable[int]) -> None:
    """Record which data nodes must be restarted; without any the file is deleted."""
    text = "".join(f"{id}\n" for id in sorted(ids))
    if text:
        cluster.manager.write(RESTART_LIST, text, sudo=True)
    else:
        cluster.manager.run(["rm", "-f", RESTART_LIST], sudo=True, repeatable=True)


def pending_restarts(cluster: NdbCluster) -> list[int]:
    """Return the ids of the data nodes that must be restarted."""
    text = cluster.read(RESTART_LIST) or ""
    ids = (whole_number(word) for word in text.split())
    return [found for found in ids if found is not None and found in cluster.data_nodes]


def rolling_restart(ctx: Context, cluster: NdbCluster) -> None:
    """Restart the recorded data nodes one at a time, so that the cluster stays up."""
    pending = pending_restarts(cluster)
    while pending:
        node_id = pending.pop(0)
        ctx.note(f"restarting {cluster.data_nodes[node_id].name}")
        cluster.manager.run([NDB_MGM, "-e", f"{node_id} restart"], timeout=RESTART_TIMEOUT)
        _wait_until_started(ctx, cluster, node_id)
        schedule_restarts(cluster, pending)


def _wait_until_started(ctx: Context, cluster: NdbCluster, node_id: int) -> None:
    def probe() -> bool | Pending:
        status = cluster.status()
        state = status.state(node_id) if status else NodeState.ABSENT
        return True if state is NodeState.STARTED else Pending(state.value)

    ctx.wait_until(
        f"{cluster.data_nodes[node_id].name} is started again",
        probe,
        deadline=RESTART_TIMEOUT,
        pause=5,
        hint=f"check {NODE_DATA}/ndb_{node_id}_error.log there, then run the same command again",
    )
