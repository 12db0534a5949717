"""What is wrong with a value, in the user's words: pydantic's findings as Problems with a place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from aws_setup.config.yaml_source import YamlValue, leaves
from aws_setup.errors import Problem

BLANK = re.compile(r"^\s*<[^<>]*>\s*$")
"""A blank to be filled in, such as <FILL THIS IN>, <FILL_THIS_IN> or <IP1>."""

WORDS = {
    "bool_parsing": "{input!r} is neither True nor False",
    "bool_type": "True or False is wanted here",
    "int_parsing": "{input!r} is not a whole number",
    "int_from_float": "{input!r} is not a whole number",
    "int_type": "a whole number is wanted here",
    "string_type": "one text is wanted here, not a list",
    "tuple_type": "a list is wanted here, as in [a, b]",
    "list_type": "a list is wanted here, as in [a, b]",
    "dict_type": "a mapping is wanted here, as in {{a: b}}",
    "ip_v4_address": "{input!r} is not an IPv4 address",
    "string_pattern_mismatch": "{input!r} is not well formed",
    "greater_than_equal": "{input} is less than the least that is allowed, {ge}",
    "less_than_equal": "{input} is more than the most that is allowed, {le}",
    "too_short": "it has {actual_length} items and needs {min_length}",
    "too_long": "it has {actual_length} items and takes {max_length} at most",
    "literal_error": "{input!r} is not one of {expected}",
    "value_error": "{error}",
}
"""pydantic's kinds of error, and how we say them."""


def unfilled(key: str, entry: YamlValue, value: Any, field: FieldInfo) -> list[Problem]:
    """Return a problem for each blank to be filled in, or one when there is no value at all."""
    optional = field.default is None and not field.is_required()
    if (value is None and not optional) or (isinstance(value, str) and not value.strip()):
        return [Problem(f"{entry.at()}: {key}", "it has no value", about(field))]
    return [
        Problem(f"{entry.at(path)}: {key}", f"{leaf.strip()} is still a blank", about(field))
        for path, leaf in leaves(value)
        if isinstance(leaf, str) and BLANK.match(leaf)
    ]


def missing(key: str, label: str, field: FieldInfo) -> Problem:
    """Return the problem of a key that must be there and is not."""
    return Problem(f"{label}: {key}", "this key is missing", about(field))


def from_pydantic(
    detail: ErrorDetails, entries: Mapping[str, YamlValue], fields: Mapping[str, FieldInfo]
) -> Problem:
    """Return one of pydantic's findings as a problem; its location begins with the key."""
    key, *path = detail["loc"]
    field, entry = fields[str(key)], entries[str(key)]
    words = WORDS.get(detail["type"], "{msg}")
    context = {"input": detail["input"], "msg": detail["msg"]} | dict(detail.get("ctx", {}))
    return Problem(f"{entry.at(path)}: {key}", words.format(**context), about(field))


def in_file_order(faults: Iterable[Problem]) -> list[Problem]:
    """Return problems sorted by line and column, those without a line at the end."""

    def place(fault: Problem) -> tuple[float, float]:
        found = re.search(r":(\d+):(\d+)", fault.what)
        return (int(found[1]), int(found[2])) if found else (float("inf"), 0)

    return sorted(faults, key=place)


def about(field: FieldInfo) -> str:
    """Return what a key is for, with an example where there is one."""
    description = " ".join((field.description or "").split())
    example = field.examples[0] if field.examples else field.default
    if field.is_required() and not field.examples:
        return description
    return f"{description} Example: {shown(example)}" if example not in (None, ()) else description


def shown(value: Any) -> str:
    """Return a value as the configuration file writes it."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return str(value)
