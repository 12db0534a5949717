"""moto's lists of the instance types that each zone offers, read when a region is asked for.

moto reads the lists of all regions when it is imported: 35 MiB and a fifth of a second, for each
process that emulates AWS.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

MODULE = "moto.ec2.models.instance_types"
FOLDER = "instance_type_offerings"

Offering = dict[str, str]


class Offerings(Mapping[str, list[Offering]]):
    """What is offered at places of one kind ("availability-zone", …), by region."""

    def __init__(self, kind: str, files: Mapping[str, str]) -> None:
        self._kind, self._files = kind, files

    def __getitem__(self, region: str) -> list[Offering]:
        return _read(self._kind, self._files[region])

    def __contains__(self, region: object) -> bool:
        return region in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@functools.cache
def _read(kind: str, file: str) -> list[Offering]:
    from moto.utilities.utils import load_resource

    offerings: list[Offering] = load_resource(file)
    for offering in offerings:
        offering["LocationType"] = kind
    return offerings


def install() -> None:
    """Import moto's EC2 without reading the lists; does nothing if it was imported before."""
    if MODULE in sys.modules:
        return
    from moto.utilities import utils

    plain = utils.load_resource
    files: dict[str, dict[str, str]] = defaultdict(dict)

    def load(resource: str) -> Any:
        path = PurePath(resource)
        if path.parent.parent.name != FOLDER:
            return plain(resource)
        files[path.parent.name][path.name.partition(".")[0]] = resource
        return []

    utils.load_resource = load
    try:
        module: Any = importlib.import_module(MODULE)
    finally:
        utils.load_resource = plain
    for kind, by_region in files.items():
        module.INSTANCE_TYPE_OFFERINGS[kind] = Offerings(kind, by_region)
    _look_types_up(module)


def _look_types_up(module: Any) -> None:
    """Let moto filter only what is offered of the types that a filter names.

    It tries each filter on all offerings of a region and on all types: 15 ms for one type.
    """

    @functools.cache
    def by_type(location_type: str, region: str) -> dict[str, list[Offering]]:
        found = defaultdict(list)
        for offering in module.INSTANCE_TYPE_OFFERINGS[location_type].get(region, []):
            found[offering["InstanceType"]].append(offering)
        return dict(found)

    def offerings(self: Any, location_type: str | None = None, filters: Any = None) -> list[Any]:
        kind, rest = location_type or "region", dict(filters or {})
        names = rest.pop("instance-type", None)
        if names is None:
            every: list[Any] = plain_offerings(self, location_type, filters)
            return every
        held = by_type(kind, self.region_name)
        of_types = (held.get(name, ()) for name in dict.fromkeys(names))
        return [
            offering
            for some in of_types
            for offering in some
            if self.matches_filters(offering, rest, kind)
        ]

    plain_offerings = module.InstanceTypeOfferingBackend.describe_instance_type_offerings
    all_types = {one["InstanceType"]: one for one in module.InstanceTypeBackend.instance_types}
    plain = module.InstanceTypeBackend.describe_instance_types

    def types(self: Any, instance_types: Any = None, filters: Any = None) -> list[Any]:
        names = (filters or {}).get("instance-type", ["*"])
        if instance_types or any(set(name) & set("*?") for name in names):
            found: list[Any] = plain(self, instance_types, filters)
            return found
        few = [all_types[name] for name in dict.fromkeys(names) if name in all_types]
        return list(module.generic_filter(filters, few))

    module.InstanceTypeOfferingBackend.describe_instance_type_offerings = offerings
    module.InstanceTypeBackend.describe_instance_types = types
