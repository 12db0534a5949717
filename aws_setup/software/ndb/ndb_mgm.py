"""The parser of `ndb_mgm -e show`: the nodes of the cluster and their states."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from aws_setup.errors import SetupError

_SECTION = re.compile(r"^\[(ndbd\(NDB\)|ndb_mgmd\(MGM\)|mysqld\(API\))\]\s+(\d+) node\(s\)")
_NODE = re.compile(r"^id=([0-9]{1,5})\s*+(?:@(\S++)\s*+)?+\((.*)\)\s*$")
"""Possessive, so that a line of any length is read in one pass."""
_GROUP = re.compile(r"Nodegroup: ([0-9]{1,5})")


class NodeState(StrEnum):
    """The state of a data node."""

    STARTED = "started"
    STARTING = "starting"
    STOPPING = "shutting down"
    ABSENT = "not connected"


@dataclass(frozen=True)
class NodeStatus:
    """One line of `show`: a node's id, its address ('' when not connected), and its state.

    `group` is the number of a data node's node group; None while it is in none.
    """

    id: int
    address: str
    state: NodeState
    group: int | None = None


@dataclass(frozen=True)
class ClusterStatus:
    """The output of `show`: data nodes, and connected applications (mysqld is one)."""

    data_nodes: tuple[NodeStatus, ...]
    applications: tuple[NodeStatus, ...]

    def state(self, node_id: int) -> NodeState:
        """Return a data node's state; one that the manager does not list is not connected."""
        states = {node.id: node.state for node in self.data_nodes}
        return states.get(node_id, NodeState.ABSENT)

    def application_at(self, address: str) -> bool:
        """Tell whether an application at this address is connected to the cluster."""
        return any(node.address == address for node in self.applications)


def parse_show(text: str) -> ClusterStatus:
    """Parse the output of `ndb_mgm -e show`.

    Raises:
        SetupError: the text is not such an output.
    """
    sections: dict[str, list[NodeStatus]] = {}
    current: list[NodeStatus] | None = None
    for line in text.splitlines():
        if header := _SECTION.match(line):
            current = sections.setdefault(header[1], [])
        elif (node := _NODE.match(line)) and current is not None:
            current.append(_node_status(node))
    if "ndbd(NDB)" not in sections:
        raise SetupError(
            "ndb_mgm -e show printed no list of data nodes",
            text.strip().splitlines()[-1] if text.strip() else "it printed nothing",
            "run `/usr/local/bin/ndb_mgm -e show` on the NDB manager and check its output",
        )
    api = sections.get("mysqld(API)", [])
    connected = tuple(node for node in api if node.state is not NodeState.ABSENT)
    return ClusterStatus(tuple(sections["ndbd(NDB)"]), connected)


def _node_status(found: re.Match[str]) -> NodeStatus:
    words = [word.strip() for word in found[3].split(",")]
    if "not connected" in words:
        return NodeStatus(int(found[1]), "", NodeState.ABSENT)
    state = NodeState.STARTED
    if "starting" in words:
        state = NodeState.STARTING
    elif "stopping" in words or "shutting down" in words:
        state = NodeState.STOPPING
    elif "not started" in words:
        state = NodeState.STARTING
    group = _GROUP.search(found[3])
    return NodeStatus(int(found[1]), found[2] or "", state, int(group[1]) if group else None)
