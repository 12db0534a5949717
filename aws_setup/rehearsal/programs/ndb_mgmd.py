"""Stands in for ndb_mgmd: reads its configuration at its start, as that has it, tracks the nodes.

A data node has the configuration of its own start. It connects to the others at the addresses that
it knows from then, so a data node with another one is not connected to by those that run already.
https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-ndbd-definition.html#ndbparam-ndbd-hostname
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.programs.common import (
    MANAGER_DATA,
    daemonise,
    has_fault,
    record_start,
)
from aws_setup.rehearsal.programs.manager_client import (
    MANAGEMENT_PORT,
    fail,
    print_line,
    send,
)

FREE_PORT = 37213
"""Port of data nodes without ServerPort: the kernel chooses one of the ephemeral ports."""

NO_FREE_ID = "No free node id found"

VERSION = "mysql-8.0.26 ndb-8.0.26"


REPLICAS = 2


@dataclass
class ConnectedNode:
    """A connected node; `generation` stands for its rows, '' for a data node without any.

    `hosts` are the data nodes' addresses in the configuration that it has been started with.
    """

    id: int
    host: str
    kind: str
    connection: socket.socket
    generation: str = ""
    nowait: frozenset[int] = frozenset()
    hosts: dict[int, str] = field(default_factory=dict)
    state: str = "starting"


@dataclass
class ManagementServer:
    """The cluster: its configuration and its connected nodes."""

    sections: list[tuple[str, dict[str, str]]]
    nodes: dict[int, ConnectedNode] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    first_rows: dict[int, str] = field(default_factory=dict)
    """Data nodes in their cluster's first start, which have not begun yet -> their first rows."""

    def members(self) -> dict[int, str]:
        """Return the configured data nodes: id -> address."""
        found = [values for name, values in self.sections if name == "ndbd"]
        return {int(values["NodeId"]): values["HostName"] for values in found}

    def address(self) -> str:
        """Return the manager's address."""
        return next(values["HostName"] for name, values in self.sections if name == "ndb_mgmd")

    def figures(self) -> dict[str, str]:
        """Return the parameters of all data nodes."""
        return dict(next(values for name, values in self.sections if name == "ndbd default"))

    def started_nodes(self) -> list[tuple[str, int]]:
        """Return address and ServerPort of each data node that has started."""
        port = int(self.figures().get("ServerPort", FREE_PORT))
        with self.lock:
            nodes = [self.nodes.get(id) for id in self.members()]
            return [(node.host, port) for node in nodes if node and node.state == "started"]

    def first_api(self) -> int:
        """Return the lowest id of an API node."""
        return max(self.members(), default=1) + 1

    def join(self, connection: socket.socket, request: dict[str, Any]) -> ConnectedNode | str:
        """Add a node, or return the error message."""
        with self.lock:
            node_id = request.get("id") or self._id_for(request)
            if node_id is None:
                return f"{NO_FREE_ID} for {request['kind']} at {request['host']}"
            data = request["kind"] == "ndbd"
            started = [node for node in self.nodes.values() if node.state == "started"]
            holders = [node for node in started if node.kind == "ndbd"]
            if data and holders and not request["files"] and not request["initial"]:
                return "Error: no file system on a node of a cluster that holds data"
            known = request.get("hosts") or self.members()
            node = ConnectedNode(
                node_id,
                request["host"],
                request["kind"],
                connection,
                request.get("generation", ""),
                frozenset(request.get("nowait", ())),
                {int(id): host for id, host in known.items()},
            )
            node.state = "starting" if data and not request.get("hosts") else "started"
            self.nodes[node_id] = node
            return node

    def _id_for(self, request: dict[str, Any]) -> int | None:
        if request["kind"] == "ndbd":
            free_ids = [id for id, host in self.members().items() if host == request["host"]]
        else:
            count = sum(name == "api" for name, _ in self.sections)
            free_ids = list(range(self.first_api(), self.first_api() + count))
        return next((id for id in free_ids if id not in self.nodes), None)

    def leave(self, node: ConnectedNode) -> None:
        """Remove a node whose connection ended."""
        with self.lock:
            if self.nodes.get(node.id) is node:
                del self.nodes[node.id]

    def rows_for(self, node: ConnectedNode) -> str | None:
        """Return the rows with which a data node may start; None while it has to wait.

        One with rows waits until all others are connected, but for those of --nowait-nodes: without
        it NDB waits for StartPartitionedTimeout, which is 0, without end. One without rows waits
        for a started data node of its group, from which it copies; in a cluster that has never had
        any rows for all the others.
        https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-programs-ndbd.html#option_ndbd_nowait-nodes
        """
        with self.lock:
            data = {it.id: it for it in self.nodes.values() if it.kind == "ndbd"}
            started = [it for it in data.values() if it.state == "started"]
            if any(it.hosts.get(node.id) != node.host for it in started):
                return None
            whole = {it.id for it in data.values() if it.generation}
            if node.generation:
                waits = set(self.members()) - data.keys() - node.nowait
                return node.generation if started or not waits else None
            if not whole and not self.first_rows and data.keys() == self.members().keys():
                rows = [uuid.uuid4().hex for _ in data]
                self.first_rows = {id: rows[self._group(id)] for id in data}
            if node.id in self.first_rows:
                return self.first_rows.pop(node.id)
            peers = [it for it in started if self._group(it.id) == self._group(node.id)]
            return next((it.generation for it in peers if it.generation), None)

    def _group(self, node_id: int) -> int:
        """Return the number of a data node's group: NDB forms groups in the order of the ids."""
        return sorted(self.members()).index(node_id) // REPLICAS

    def show(self) -> str:
        """Return the text of `show`."""
        with self.lock:
            data = [self._line(id, host) for id, host in self.members().items()]
            apis = [
                self._line(id, "any host") for id in range(self.first_api(), self.first_api() + 5)
            ]
        manager = f"id=1\t@{self.address()}  ({VERSION})"
        parts = [
            "Cluster Configuration\n---------------------",
            f"[ndbd(NDB)]\t{len(data)} node(s)\n" + "\n".join(data),
            f"\n[ndb_mgmd(MGM)]\t1 node(s)\n{manager}",
            f"\n[mysqld(API)]\t{len(apis)} node(s)\n" + "\n".join(apis) + "\n",
        ]
        return "\n".join(parts)

    def _line(self, node_id: int, host: str) -> str:
        node = self.nodes.get(node_id)
        if node is None:
            return f"id={node_id} (not connected, accepting connect from {host})"
        if node.kind != "ndbd":
            return f"id={node_id}\t@{node.host}  ({VERSION})"
        group = f"Nodegroup: {self._group(node_id)}"
        master = ", *" if node_id == min(self.members()) else ""
        change = f"{node.state}, " if node.state != "started" else ""
        return f"id={node_id}\t@{node.host}  ({VERSION}, {change}{group}{master})"


def parse(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return config.ini's sections; several may have the same name."""
    sections: list[tuple[str, dict[str, str]]] = []
    for raw in text.splitlines():
        line = raw.split("#")[0].strip()
        if line.startswith("["):
            sections.append((line.strip("[]"), {}))
        elif "=" in line:
            key, _, value = line.partition("=")
            sections[-1][1][key.strip()] = value.strip()
    return sections


def main() -> None:
    """Start the server in the background, or exit with a code other than 0."""
    record_start()
    if "-f" not in sys.argv:
        fail("Error: no configuration file named (-f)")
    config = Path(sys.argv[sys.argv.index("-f") + 1])
    if not config.exists():
        fail(f"Error opening '{config}', error: 2, No such file or directory")
    sections = parse(configuration(config))
    if sum(name == "ndbd" for name, _ in sections) % 2:
        fail("Error line 1: The number of data nodes must be a multiple of NoOfReplicas")
    try:
        listener = socket.create_server(("", MANAGEMENT_PORT), backlog=64)
    except OSError:
        fail(f"ERROR: Unable to setup management server port: {MANAGEMENT_PORT}!")
    print_line(f"MySQL Cluster Management Server {VERSION}")
    daemonise(MANAGER_DATA / "ndb_1.pid")
    management = ManagementServer(sections)
    while True:
        connection, caller = listener.accept()
        arguments = (management, connection, caller[0])
        threading.Thread(target=serve, args=arguments, daemon=True).start()


def configuration(config: Path) -> str:
    """Return the configuration: the file's with --initial or --reload, else the last cached one.

    https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-programs-ndb-mgmd.html
    """
    text = config.read_text(encoding="utf-8")
    if "--skip-config-cache" in sys.argv:
        return text
    cached = sorted(MANAGER_DATA.glob("ndb_1_config.bin.*"), key=lambda path: int(path.suffix[1:]))
    if "--initial" in sys.argv:
        for path in cached:
            path.unlink()
        cached = []
    if cached and "--reload" not in sys.argv:
        return cached[-1].read_text(encoding="utf-8")
    number = int(cached[-1].suffix[1:]) + 1 if cached else 1
    (MANAGER_DATA / f"ndb_1_config.bin.{number}").write_text(text, encoding="utf-8")
    return text


def serve(management: ManagementServer, connection: socket.socket, host: str) -> None:
    """Answer one connection: a client's request, or a node until it disconnects."""
    with connection:
        text = connection.makefile("r", encoding="utf-8").readline()
        request = json.loads(text or "{}")
        if request.get("op") == "join":
            keep_node_connected(management, connection, request | {"host": host})
        elif request.get("op") == "show" and has_fault("ndb_mgmd hangs"):
            send(connection, {"error": "The cluster configuration is not confirmed yet"})
        elif request.get("op") == "show":
            send(connection, {"text": management.show()})
        elif request.get("op") == "nodes":
            send(connection, {"nodes": management.started_nodes()})
        elif request.get("op") == "stop":
            send(connection, {"text": "Node 1 has shutdown."})
            os._exit(0)
        elif request.get("op") == "shutdown":
            shut_down(management, connection)
        elif request.get("op") == "restart":
            restart(management, connection, int(request["node"]))


def keep_node_connected(
    management: ManagementServer, connection: socket.socket, request: dict[str, Any]
) -> None:
    """Keep a node in the cluster until its connection ends."""
    node = management.join(connection, request)
    if isinstance(node, str):
        send(connection, {"error": node, "again": node.startswith(NO_FREE_ID)})
        return
    hosts = management.members()
    send(connection, {"id": node.id, "figures": management.figures(), "hosts": hosts})
    try:
        while node.kind == "ndbd" and node.state == "starting":
            if rows := management.rows_for(node):
                send(connection, {"go": True, "generation": rows})
                node.generation = rows
                break
            time.sleep(0.05)
        for text in connection.makefile("r", encoding="utf-8"):
            node.state = json.loads(text)["state"]
    except OSError:
        pass
    finally:
        management.leave(node)


def shut_down(management: ManagementServer, connection: socket.socket) -> None:
    """End every data node, then this server; a node that is still starting ends, too."""
    nodes = [node for node in list(management.nodes.values()) if node.kind == "ndbd"]
    for node in nodes:
        node.state = "stopping"
        send(node.connection, {"shutdown": True})
    while any(management.nodes.get(node.id) is node for node in nodes):
        time.sleep(0.05)
    # The text of MySQL NDB's manual, "Commands in the NDB Cluster Management Client".
    text = f"{len(nodes)} NDB Cluster node(s) have shutdown.\n"
    send(connection, {"text": f"{text}Disconnecting to allow management server to shutdown."})
    os._exit(0)


def restart(management: ManagementServer, connection: socket.socket, node_id: int) -> None:
    """Restart a data node."""
    node = management.nodes.get(node_id)
    if node is None:
        send(connection, {"error": f"Node {node_id}: not connected"})
        return
    # Before the message: a node that joins again at once must find its id free.
    management.leave(node)
    send(node.connection, {"restart": True})
    send(connection, {"text": f"Node {node_id} is being restarted"})
