"""The figures of a data node that follow its instance type: CPUs and memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_setup.config import Config
from aws_setup.errors import Refused

GIB_PER_CPU = {"c": 2, "m": 4, "r": 8}
"""Family letter -> memory per vCPU, in GiB (AWS's instance type pages)."""

_TYPE = re.compile(r"^([cmr])[0-9]+[a-z]*(?:-flex)?\.(medium|large|xlarge|([0-9]+)xlarge)$")
_CPUS = {"medium": 1, "large": 2, "xlarge": 4}


@dataclass(frozen=True)
class Sizing:
    """What a data node may use; memory as config.ini writes it."""

    cpus: int
    data_memory: str
    shared_global_memory: str


def sizing(config: Config) -> Sizing:
    """Return the figures of the data nodes: those of the configuration, else the type's share.

    An r5.4xlarge (16 vCPUs, 128 GiB) comes to λFS's own 16, 8G and 512M.

    Raises:
        Refused: the type's size is not known from its name and some figure is not set.
    """
    chosen = (config.ndb_num_cpus, config.ndb_data_memory, config.ndb_shared_global_memory)
    cpus, data, shared = chosen
    if cpus and data and shared:
        return Sizing(cpus, data, shared)
    type_cpus, memory = _capacity(config.ndb_datanode_instance_type)
    return Sizing(
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
