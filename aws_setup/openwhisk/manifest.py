"""YAML that helm printed: the objects of a chart or of a release."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import yaml

from aws_setup.engine.decoding import SHAPE_ERRORS, Undecodable

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML has it: a manifest of OpenWhisk takes 20 ms instead of 400."""


def documents(text: str) -> Iterator[Any]:
    """Yield the value of each document of a stream, as `yaml.safe_load_all` does.

    Raises:
        Undecodable: it is not YAML, a value is not what its tag says, or it is nested too deep.
    """
    try:
        values = _values(text)
    except (yaml.YAMLError, *SHAPE_ERRORS) as error:
        raise Undecodable(" ".join(str(error).split())) from None
    yield from values


KEPT_CHARACTERS = 4 << 20
"""Length of the longest text whose value is kept."""


def _values(text: str) -> list[Any]:
    if len(text) > KEPT_CHARACTERS:
        return _read.__wrapped__(text)
    try:
        # What aliases share in the text the copies share, too: a few lines can name millions.
        copied: list[Any] = _copied(_read(text), {})
    except RecursionError:
        return _read.__wrapped__(text)
    return copied


@functools.lru_cache(maxsize=16)
def _read(text: str) -> list[Any]:
    """Read a text once: several steps of a run read the manifests of the same few revisions."""
    return list(yaml.load_all(text, Loader=_LOADER))  # a safe loader, whichever


def _copied(value: Any, known: dict[int, Any]) -> Any:
    """Return a copy of a value of YAML, whose lists and mappings a caller may change."""
    if type(value) not in (dict, list):
        return value
    if id(value) in known:
        return known[id(value)]
    if type(value) is list:
        items: list[Any] = []
        known[id(value)] = items
        items.extend(_copied(item, known) for item in value)
        return items
    members: dict[Any, Any] = {}
    known[id(value)] = members
    members.update((key, _copied(item, known)) for key, item in value.items())
    return members
