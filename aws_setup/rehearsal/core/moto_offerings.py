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
