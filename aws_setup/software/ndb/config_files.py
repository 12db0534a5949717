"""config.ini and my.cnf: writing, parsing and comparing MySQL NDB's configuration, as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.config import Config
from aws_setup.config.ndb_nodes import MAX_NODES
from aws_setup.engine.decoding import whole_number
from aws_setup.errors import Refused
from aws_setup.infrastructure.ingress_rules import NDB_DATA_NODES

CONFIG_INI = "/var/lib/mysql-cluster/config.ini"
MY_CNF = "/etc/my.cnf"
MANAGER_DATA = "/var/lib/mysql-cluster"
NODE_DATA = "/usr/local/mysql/data"

MANAGER_ID = 1
MANAGER_LOG = f"{MANAGER_DATA}/ndb_{MANAGER_ID}_cluster.log"
FIRST_NODE_ID = 2
REPLICAS = 2

FIXED = {
    "NoOfReplicas": str(REPLICAS),
    "RedoBuffer": "64M",
    "FragmentLogFileSize": "16M",
    "NoOfFragmentLogFiles": "16",
    "AutomaticThreadConfig": "1",
    "NoOfFragmentLogParts": "8",
    "MaxNoOfOrderedIndexes": "2048",
    "MaxNoOfAttributes": "3000",
    "TimeBetweenEpochs": "100",
    "MaxNoOfConcurrentTransactions": "10000",
    "MaxNoOfConcurrentOperations": "1000000",
    "MaxNoOfConcurrentIndexOperations": "30000",
    "MaxNoOfConcurrentScans": "500",
    "MaxNoOfUniqueHashIndexes": "4096",
    "MaxNoOfTriggers": "768",
    "LockPagesInMainMemory": "1",
    "ServerPort": str(NDB_DATA_NODES.first),
}
"""λFS's settings for every data node, independent of its size."""

CHANGEABLE = frozenset({"DataMemory", "SharedGlobalMemory", "ServerPort"})
"""Settings that a rolling restart changes; others need re-created data node files.

`ServerPort` needs the restarts in the order of the ids: of two data nodes the one with the lower id
listens, and a node that still runs with a port that was chosen freely asks the management server.
"""

_HEAD = "# Written by the λFS AWS setup, which writes it again when the configuration changes.\n"


@dataclass(frozen=True, order=True)
class NdbNode:
    """A data node: its id in the cluster and its private address."""

    id: int
    address: str


def nodes(addresses: Sequence[str]) -> list[NdbNode]:
    """Return the data nodes with their ids, in the order of their machines."""
    return [NdbNode(FIRST_NODE_ID + index, address) for index, address in enumerate(addresses)]


def config_ini(manager: str, data_nodes: Sequence[NdbNode], sizes: NdbSizing) -> str:
    """Return config.ini of a cluster: one manager, its data nodes, and API nodes up to 255."""
    sizing_values = {
        "NumCPUs": str(sizes.cpus),
        "DataMemory": sizes.data_memory,
        "SharedGlobalMemory": sizes.shared_global_memory,
    }
    parts = [
        _section("ndbd default", FIXED | sizing_values),
        _section(
            "ndb_mgmd",
            {"NodeId": str(MANAGER_ID), "HostName": manager, "DataDir": MANAGER_DATA},
        ),
    ]
    parts += [
        _section("ndbd", {"NodeId": str(node.id), "HostName": node.address, "DataDir": NODE_DATA})
        for node in data_nodes
    ]
    applications = MAX_NODES - 1 - len(data_nodes)
    return _HEAD + "\n".join(parts) + "\n" + "[api]\n" * applications


def my_cnf(manager: str) -> str:
    """Return my.cnf, which is the same on the manager and on every data node."""
    return (
        _HEAD
        + "[mysqld]\nndbcluster\n\n"
        + _section("mysql_cluster", {"ndb-connectstring": manager})
    )


def _section(name: str, values: dict[str, str]) -> str:
    lines = "".join(f"{key}={value}\n" for key, value in values.items())
    return f"[{name}]\n{lines}"


def parse(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return the sections of config.ini in their order, each a name and its values."""
    sections: list[tuple[str, dict[str, str]]] = []
    for raw in text.splitlines():
        line = raw.split("#")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            sections.append((line[1:-1].strip().lower(), {}))
        elif "=" in line and sections:
            key, _, value = line.partition("=")
            sections[-1][1][key.strip()] = value.strip()
    return sections


def members(text: str) -> list[NdbNode]:
    """Return the data nodes that a config.ini has, with the ids that it gives them."""
    found = [values for name, values in parse(text) if name == "ndbd"]
    sections = [{key.lower(): value for key, value in values.items()} for values in found]
    ids = [whole_number(values.get("nodeid") or values.get("id") or "") for values in sections]
    addresses = [values.get("hostname", "") for values in sections]
    if None in ids:
        return nodes(addresses)
    pairs = zip(ids, addresses, strict=True)
    return sorted(NdbNode(id, address) for id, address in pairs if id is not None)


def node_groups(data_nodes: Sequence[NdbNode]) -> list[list[NdbNode]]:
    """Return the node groups of data nodes: NDB forms them in the order of the ids.

    https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-nodes-groups.html
    """
    ordered = sorted(data_nodes)
    return [ordered[at : at + REPLICAS] for at in range(0, len(ordered), REPLICAS)]


def differences(has: str, wants: str) -> dict[str, tuple[str, str]]:
    """Return what differs between two config.ini: name -> (current value, desired value).

    The data nodes' addresses count as one value named "data nodes".
    """
    before, after = _values(has), _values(wants)
    names = [*after, *(name for name in before if name not in after)]
    return {
        name: (before.get(name, "not set"), after.get(name, "not set"))
        for name in names
        if before.get(name) != after.get(name)
    }


def _values(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    data_nodes = []
    for name, values in parse(text):
        if name == "ndbd default":
            found |= values
        elif name == "ndb_mgmd":
            found["manager"] = values.get("HostName", "")
        elif name == "ndbd":
            data_nodes.append(values.get("HostName", ""))
    return found | {"data nodes": ", ".join(data_nodes)}


GIB_PER_CPU = {"c": 2, "m": 4, "r": 8}
"""Family letter -> memory per vCPU, in GiB (AWS's instance type pages)."""

_TYPE = re.compile(r"^([cmr])[0-9]+[a-z]*(?:-flex)?\.(medium|large|xlarge|([0-9]+)xlarge)$")
_CPUS = {"medium": 1, "large": 2, "xlarge": 4}


@dataclass(frozen=True)
class NdbSizing:
    """The CPUs and memory that a data node uses; memory in config.ini's notation."""

    cpus: int
    data_memory: str
    shared_global_memory: str


def sizing(config: Config) -> NdbSizing:
    """Return the sizes of the data nodes: as configured, else a share of the instance type's.

    For an r5.4xlarge (16 vCPUs, 128 GiB) they are those of λFS: 16, 8G and 512M.

    Raises:
        Refused: the memory of the type is unknown and some size is not configured.
    """
    cpus, data, shared = (
        config.ndb_num_cpus,
        config.ndb_data_memory,
        config.ndb_shared_global_memory,
    )
    if cpus and data and shared:
        return NdbSizing(cpus, data, shared)
    type_cpus, memory = _capacity(config.ndb_datanode_instance_type)
    return NdbSizing(
        cpus or type_cpus,
        data or _megabytes(memory / 16),
        shared or _megabytes(max(memory / 256, 128)),
    )


def _capacity(instance_type: str) -> tuple[int, float]:
    """Return vCPUs and memory in MiB of an instance type of the families c, m and r."""
    found = _TYPE.match(instance_type)
    if not found:
        raise Refused(
            f"the memory of {instance_type} is unknown",
            "MySQL NDB's sizes depend on the instance type, and its name does not show it",
            "set ndb_num_cpus, ndb_data_memory and ndb_shared_global_memory",
        )
    family, size, multiple = found.groups()
    cpus = 4 * int(multiple) if multiple else _CPUS[size]
    return cpus, cpus * GIB_PER_CPU[family] * 1024.0


def memory_bytes(text: str) -> int:
    """Return a memory size in config.ini's notation (512M, 8G) in bytes; 0 for anything else."""
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text.strip(), re.ASCII | re.IGNORECASE)
    return int(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " ") if found else 0


def _megabytes(mebibytes: float) -> str:
    rounded = int(mebibytes)
    return f"{rounded // 1024}G" if rounded % 1024 == 0 else f"{rounded}M"
