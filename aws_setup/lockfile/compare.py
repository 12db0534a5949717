"""What differs between two deployments, by their lock files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.config.lock_file import PARTS

NOT_COMPARED = frozenset({"written", "created"})
"""Dates: they differ between any two deployments."""

NONE = "-"


@dataclass(frozen=True)
class Difference:
    """One value that differs: its name with dots, and both values as text."""

    what: str
    this: str
    other: str


def differences(this: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two documents, sorted; a part that one lacks is one difference.

    Args:
        this: region, configuration and parts of the one deployment.
        other: the same of the other one.
    """
    found, absent = [], []
    for part in PARTS:
        if bool(this.get(part)) != bool(other.get(part)):
            present = {True: "recorded", False: "not deployed"}
            pair = present[bool(this.get(part))], present[bool(other.get(part))]
            found.append(Difference(part, *pair))
            absent.append(part)
    left = dict(_leaves({key: value for key, value in this.items() if value and key not in absent}))
    right = dict(
        _leaves({key: value for key, value in other.items() if value and key not in absent})
    )
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            found.append(Difference(name, left.get(name, NONE), right.get(name, NONE)))
    return found


def moved_images(this: Sequence[str], other: Sequence[str]) -> list[str]:
    """Return the container images of both deployments that are named alike and differ, sorted."""
    digests = dict(image.split("@", 1) for image in other if "@" in image)
    found = (image.split("@", 1) for image in this if "@" in image)
    return sorted({name for name, digest in found if digests.get(name, digest) != digest})


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value with its name; container images by their names, other lists as one text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in NOT_COMPARED:
                yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif name.endswith(".images") and isinstance(value, Sequence):
        for image in map(str, value):
            path, _, digest = image.partition("@")
            yield f"{name}.{path}", digest
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value)) or NONE
    else:
        yield name, NONE if value is None or value == "" else str(value)
