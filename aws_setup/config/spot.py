"""The key `spot`: which machines may be Spot Instances, which AWS takes back when it needs them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

_STATE = MappingProxyType(
    {
        "ndb": "NDB keeps the tables in the memory of its data nodes",
        "zookeeper": "the ensemble loses its quorum when several servers are taken at once",
        "core": "the core nodes run OpenWhisk's CouchDB and Kafka, whose volumes are in one zone",
        "namenodes": "HopsFS's NameNodes serve what its clients write (λFS's are on the invokers)",
    }
)
"""Part that may not be Spot -> the reason; its other names begin in the same way."""


def _spot_parts(value: Any) -> Any:
    """Refuse the parts that would lose data, each with its reason."""
    for part in value if isinstance(value, list) else ():
        name = str(part).lower()
        for known, why in _STATE.items():
            if name.startswith((known, "zk") if known == "zookeeper" else known):
                raise ValueError(
                    f"{part} cannot be Spot: AWS takes a Spot machine back two minutes after a "
                    f"notice, and {why}; only invokers and clients lose no data"
                )
    return value


SpotParts = Annotated[tuple[Literal["invokers", "clients"], ...], BeforeValidator(_spot_parts)]
"""Parts of the deployment whose machines are Spot Instances."""


FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "c5": ("c5", "c5a", "c6i", "c6a"),
        "m5": ("m5", "m5a", "m5n", "m6i", "m6a"),
        "r5": ("r5", "r5a", "r5n", "r6i", "r6a"),
        "t3": ("t3", "t3a"),
    }
)
"""Family -> families whose types of the same size have the same vCPUs, memory and architecture.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-type-specifications.html
"""


def alternatives(instance_type: str) -> tuple[str, ...]:
    """Return a type and those that can take its place, the type itself first."""
    family, _, size = instance_type.partition(".")
    return tuple(f"{each}.{size}" for each in FAMILIES.get(family, (family,)))
