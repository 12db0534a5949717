"""The NDB cluster as its machines show it: who is a member, what runs, what the disks hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from aws_setup.aws.context import Context
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.software.machines import machines
from aws_setup.software.ndb.config_files import (
    CONFIG_INI,
    MANAGER_DATA,
    MANAGER_ID,
    MY_CNF,
    NODE_DATA,
    NdbNode,
    config_ini,
    my_cnf,
    nodes,
    sizing,
)
from aws_setup.software.ndb.initial_start import (
    MANAGER_MARKER,
    NODE_MARKER,
    DataFiles,
    InitMarker,
    NodeEvidence,
    read_marker,
)
from aws_setup.software.ndb.ndb_mgm import ClusterStatus, NodeState, parse_show
from aws_setup.ssh import Machine, MachinePool

MACHINES = ("ndb manager", "ndb data nodes 1", "ndb data nodes 2")
"""The steps whose machines form the cluster."""

NDB_MGM = "/usr/local/bin/ndb_mgm"
NDB_MGMD = "/usr/local/bin/ndb_mgmd"
NDBMTD = "/usr/local/bin/ndbmtd"

FIRST_BOOT = "/var/lib/cloud/instance/sem"
"""cloud-init's records of this very instance; the oldest is as old as its first boot."""

_FILES = """\
set -- "$2" "$1"/ndb_*_fs
boot=$1
shift
[ -e "$1" ] || { echo none; exit 0; }
first=$(ls -tr -- "$boot" 2>/dev/null | head -n 1)
[ -n "$first" ] || { echo own; exit 0; }
newer=$(find "$@" -type f -newer "$boot/$first" -print -quit) || exit 1
if [ -n "$newer" ]; then echo own; else echo image; fi
"""
"""Arguments: data folder, cloud-init's records. Prints a value of Files."""

_RUNNING = """\
pid=$(cat -- "$1" 2>/dev/null) || { echo no; exit 0; }
name=$(cat "/proc/$pid/comm" 2>/dev/null) || { echo no; exit 0; }
if [ "$name" = "$2" ]; then echo yes; else echo no; fi
"""
"""Arguments: PID file, name of the process. A PID used again by another process does not count."""


@dataclass(frozen=True)
class NdbCluster:
    """The machines of one cluster; data nodes have the ids of config.ini."""

    ctx: Context
    hosts: MachinePool

    @cached_property
    def manager(self) -> Machine:
        """The management node's machine."""
        return machines(self.ctx, self.hosts, MACHINES[0])[0]

    @cached_property
    def data_nodes(self) -> Mapping[int, Machine]:
        """Node id -> its machine."""
        found = machines(self.ctx, self.hosts, *MACHINES[1:])
        return {node.id: machine for node, machine in zip(self.nodes, found, strict=True)}

    @cached_property
    def nodes(self) -> list[NdbNode]:
        """The data nodes as config.ini lists them: type 1 first, by name."""
        found = machines(self.ctx, self.hosts, *MACHINES[1:])
        return nodes([machine.private_ip for machine in found])

    @property
    def all(self) -> list[Machine]:
        """Every machine, the manager first."""
        return [self.manager, *self.data_nodes.values()]

    @property
    def complete(self) -> bool:
        """Tell whether as many data nodes exist as the configuration wants."""
        return len(self.nodes) == self.ctx.config.num_ndb_datanodes

    def documents(self) -> dict[str, str]:
        """Return path -> wanted text of the manager's two files."""
        address = self.manager.private_ip
        ini = config_ini(address, self.nodes, sizing(self.ctx.config))
        return {CONFIG_INI: ini, MY_CNF: my_cnf(address)}

    def show(self) -> ClusterStatus | None:
        """Return what the management server says; None when none runs, or it does not answer."""
        if not running(self.manager, f"{MANAGER_DATA}/ndb_{MANAGER_ID}.pid", "ndb_mgmd"):
            return None
        # ndb_mgm itself tries for a minute to reach a server that is just starting.
        result = self.manager.run([NDB_MGM, "-e", "show"], repeatable=True, timeout=90, check=False)
        return None if result.code else parse_show(result.stdout)

    def marker(self) -> InitMarker | None:
        """Return the manager's marker."""
        return read_marker(self.manager.read(MANAGER_MARKER, sudo=True))

    def evidence(self) -> dict[int, NodeEvidence]:
        """Return what each data node's machine shows, asked in parallel."""
        ids = {machine.id: id for id, machine in self.data_nodes.items()}
        found = self.hosts.each(self.data_nodes.values(), lambda m: node_evidence(ids[m.id], m))
        return dict(zip(self.data_nodes, found, strict=True))


def node_evidence(node_id: int, machine: Machine) -> NodeEvidence:
    """Return what a data node's machine shows."""
    listed = machine.run(
        ["sh", "-c", _FILES, "lambda-fs", NODE_DATA, FIRST_BOOT], sudo=True, repeatable=True
    )
    return NodeEvidence(
        machine=machine.id,
        name=machine.name,
        marker=read_marker(machine.read(NODE_MARKER, sudo=True)),
        files=DataFiles(listed.stdout.strip()),
        running=node_runs(node_id, machine),
    )


def node_runs(node_id: int, machine: Machine) -> bool:
    """Tell whether ndbmtd runs on a data node's machine, started or not."""
    return running(machine, f"{NODE_DATA}/ndb_{node_id}.pid", "ndbmtd")


def running(machine: Machine, pid_file: str, name: str) -> bool:
    """Tell whether the process that wrote a PID file still runs."""
    command = ["sh", "-c", _RUNNING, "lambda-fs", pid_file, name]
    return machine.run(command, sudo=True, repeatable=True).stdout.strip() == "yes"


def log_tail(node_id: int, machine: Machine) -> str:
    """Return the end of a data node's log, where it says why it did not start."""
    paths = [f"{NODE_DATA}/ndb_{node_id}_{kind}.log" for kind in ("error", "out")]
    for path in paths:
        result = machine.run(["tail", "-n", "20", path], sudo=True, check=False)
        lines = [line for line in result.stdout.splitlines() if line.strip(" -")]
        told = [line for line in lines if "Message:" in line or "Error" in line] or lines
        if result.code == 0 and told:
            return told[-1].strip()
    return "its logs in /usr/local/mysql/data say nothing"


def no_manager(members: NdbCluster) -> SetupError:
    """Return the error of a management server that does not run."""
    return SetupError(
        f"ndb_mgmd does not run on {members.manager.name}",
        "it was stopped, or ended by itself",
        f"look into {MANAGER_DATA}/ndb_{MANAGER_ID}_cluster.log there, then run this again",
    )


LIST = f"{MANAGER_DATA}/lambda-fs-restarts"
"""Ids of the data nodes that run with an older config.ini, one a line."""

RESTART = 1800.0
"""Seconds that one data node gets to come back; it reads its data from disk."""


def schedule_restarts(members: NdbCluster, ids: Iterable[int]) -> None:
    """Write down which data nodes must be restarted; an empty list removes the file."""
    text = "".join(f"{id}\n" for id in sorted(ids))
    if text:
        members.manager.write(LIST, text, sudo=True)
    else:
        members.manager.run(["rm", "-f", LIST], sudo=True, repeatable=True)


def pending_restarts(members: NdbCluster) -> list[int]:
    """Return the ids of the data nodes that must be restarted."""
    text = members.manager.read(LIST, sudo=True) or ""
    return [int(line) for line in text.split() if line.isdigit()]


def restart_in_turn(ctx: Context, members: NdbCluster) -> None:
    """Restart the data nodes that owe it, one after the other: the cluster stays up throughout."""
    owed = pending_restarts(members)
    while owed:
        node_id = owed.pop(0)
        ctx.note(f"{members.data_nodes[node_id].name} restarts")
        members.manager.run([NDB_MGM, "-e", f"{node_id} restart"], timeout=RESTART)
        _wait_until_started(ctx, members, node_id)
        schedule_restarts(members, owed)


def _wait_until_started(ctx: Context, members: NdbCluster, node_id: int) -> None:
    def probe() -> bool | Pending:
        shown = members.show()
        state = shown.state(node_id) if shown else NodeState.ABSENT
        return True if state is NodeState.STARTED else Pending(state.value)

    wait_until(
        f"{members.data_nodes[node_id].name} is back after its restart",
        probe,
        clock=ctx.clock,
        deadline=RESTART,
        pause=5,
        note=ctx.note,
        hint=f"look into /usr/local/mysql/data/ndb_{node_id}_error.log on it, then run this again",
    )
