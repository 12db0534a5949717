"""config.ini and my.cnf: the pure text of MySQL NDB's configuration, and reading it back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.config import Config
from aws_setup.errors import Refused

CONFIG_INI = "/var/lib/mysql-cluster/config.ini"
MY_CNF = "/etc/my.cnf"
MANAGER_DATA = "/var/lib/mysql-cluster"
NODE_DATA = "/usr/local/mysql/data"

MANAGER_ID = 1
FIRST_NODE_ID = 2
REPLICAS = 2

NODES = 255
"""Nodes of a cluster in all: NDB 8.0's greatest node id."""

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
}
"""λFS's own figures for every data node, whatever its size."""

IN_PLACE = frozenset({"DataMemory", "SharedGlobalMemory"})
"""Figures that a rolling restart changes; any other wants the data nodes' files made anew."""

_HEAD = "# Written by the λFS AWS setup, which writes it again when the configuration changes.\n"


@dataclass(frozen=True)
class NdbNode:
    """A data node: its id in the cluster and its private address."""

    id: int
    address: str


def nodes(addresses: Sequence[str]) -> list[NdbNode]:
    """Return the data nodes with their ids, in the order of their machines."""
    return [NdbNode(FIRST_NODE_ID + index, address) for index, address in enumerate(addresses)]


def config_ini(manager: str, members: Sequence[NdbNode], figures: NdbSizing) -> str:
    """Return config.ini of a cluster: one manager, its data nodes, and API nodes up to 255."""
    sizes = {
        "NumCPUs": str(figures.cpus),
        "DataMemory": figures.data_memory,
        "SharedGlobalMemory": figures.shared_global_memory,
    }
    parts = [
        _section("ndbd default", FIXED | sizes),
        _section(
            "ndb_mgmd",
            {"NodeId": str(MANAGER_ID), "HostName": manager, "DataDir": MANAGER_DATA},
        ),
    ]
    parts += [
        _section("ndbd", {"NodeId": str(node.id), "HostName": node.address, "DataDir": NODE_DATA})
        for node in members
    ]
    applications = NODES - 1 - len(members)
    return _HEAD + "\n".join(parts) + "\n" + "[api]\n" * applications


def my_cnf(manager: str) -> str:
    """Return my.cnf, the same on the manager and on every data node."""
    return (
        _HEAD
        + "[mysqld]\nndbcluster\n\n"
        + _section("mysql_cluster", {"ndb-connectstring": manager})
    )


def _section(name: str, values: dict[str, str]) -> str:
    lines = "".join(f"{key}={value}\n" for key, value in values.items())
    return f"[{name}]\n{lines}"


def parse(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return config.ini's sections in their order, each a name and its values."""
    sections: list[tuple[str, dict[str, str]]] = []
    for raw in text.splitlines():
        line = raw.split("#")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            sections.append((line[1:-1].strip().lower(), {}))
        elif "=" in line and sections:
            key, _, value = line.partition("=")
            sections[-1][1][key.strip()] = value.strip()
    return sections


def differences(has: str, wants: str) -> dict[str, tuple[str, str]]:
    """Return what differs between two config.ini: name -> (value now, value wanted).

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
    members = []
    for name, values in parse(text):
        if name == "ndbd default":
            found |= values
        elif name == "ndb_mgmd":
            found["manager"] = values.get("HostName", "")
        elif name == "ndbd":
            members.append(values.get("HostName", ""))
    return found | {"data nodes": ", ".join(members)}


GIB_PER_CPU = {"c": 2, "m": 4, "r": 8}
"""Family letter -> memory per vCPU, in GiB (AWS's instance type pages)."""

_TYPE = re.compile(r"^([cmr])[0-9]+[a-z]*(?:-flex)?\.(medium|large|xlarge|([0-9]+)xlarge)$")
_CPUS = {"medium": 1, "large": 2, "xlarge": 4}


@dataclass(frozen=True)
class NdbSizing:
    """What a data node may use; memory as config.ini writes it."""

    cpus: int
    data_memory: str
    shared_global_memory: str


def sizing(config: Config) -> NdbSizing:
    """Return the figures of the data nodes: those of the configuration, else the type's share.

    An r5.4xlarge (16 vCPUs, 128 GiB) comes to λFS's own 16, 8G and 512M.

    Raises:
        Refused: the type's size is not known from its name and some figure is not set.
    """
    chosen = (config.ndb_num_cpus, config.ndb_data_memory, config.ndb_shared_global_memory)
    cpus, data, shared = chosen
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
            f"the memory of {instance_type} is not known",
            "MySQL NDB's figures follow the instance type, and its name does not tell its size",
            "set ndb_num_cpus, ndb_data_memory and ndb_shared_global_memory",
        )
    family, size, multiple = found.groups()
    cpus = 4 * int(multiple) if multiple else _CPUS[size]
    return cpus, cpus * GIB_PER_CPU[family] * 1024.0


def _megabytes(mebibytes: float) -> str:
    whole = int(mebibytes)
    return f"{whole // 1024}G" if whole % 1024 == 0 else f"{whole}M"
