"""Validation errors as Problems: pydantic's errors with the key, its line and its column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from aws_setup.config.base import FORMS
from aws_setup.config.descriptions import descriptions
from aws_setup.config.model import Config
from aws_setup.config.yaml_source import SHOWN, PlacedProblem, YamlValue, leaves, problem_at
from aws_setup.errors import Problem

PLACEHOLDER = re.compile(r"^\s*<[^<>]*>\s*$")
"""A placeholder, such as <FILL THIS IN>, <FILL_THIS_IN> or <IP1>."""

MESSAGES = {
    "bool_parsing": "{input!r} is neither True nor False",
    "bool_type": "expected True or False",
    "int_parsing": "{input!r} is not an integer",
    "int_from_float": "{input!r} is not an integer",
    "int_type": "expected an integer",
    "string_type": "expected a string",
    "tuple_type": "expected a list, such as [a, b]",
    "list_type": "expected a list, such as [a, b]",
    "dict_type": "expected a mapping, such as {{a: b}}",
    "ip_v4_address": "{input!r} is not an IPv4 address",
    "string_pattern_mismatch": "{input!r} has an invalid format: expected {form}",
    "greater_than_equal": "{input} is below the minimum, {ge}",
    "less_than_equal": "{input} is above the maximum, {le}",
    "too_short": "the number of items is {actual_length}; at least {min_length} required",
    "too_long": "the number of items is {actual_length}; at most {max_length} allowed",
    "literal_error": "{input!r} is not one of {expected}",
    "value_error": "{error}",
}
"""pydantic's error type -> the message."""


def unfilled(key: str, entry: YamlValue, value: Any, field: FieldInfo) -> list[Problem]:
    """Return a problem for each placeholder in a value, or one if there is no value at all."""
    optional = field.default is None and not field.is_required()
    if (value is None and not optional) or (isinstance(value, str) and not value.strip()):
        return [problem_at(entry.at(), key, "it has no value", how_to_set(key, field))]
    return [
        problem_at(
            entry.at(path),
            key,
            f"the placeholder {leaf.strip()[:SHOWN]} is not replaced by a value",
            how_to_set(key, field),
        )
        for path, leaf in leaves(value)
        if isinstance(leaf, str) and PLACEHOLDER.match(leaf)
    ]


def missing(key: str, label: str, field: FieldInfo) -> Problem:
    """Return the problem of a required key that is missing."""
    return Problem(f"{label}: {key}", "this required key is missing", how_to_set(key, field))


def from_pydantic(
    detail: ErrorDetails, entries: Mapping[str, YamlValue], fields: Mapping[str, FieldInfo]
) -> Problem:
    """Return one of pydantic's errors as a problem; its location begins with the key."""
    key, *path = detail["loc"]
    field, entry = fields[str(key)], entries[str(key)]
    message = MESSAGES.get(detail["type"], "{msg}")
    given = detail["input"]
    if isinstance(given, str) and len(given) > SHOWN:
        given = f"{given[:SHOWN]}…"
    context = {"input": given, "msg": detail["msg"]} | dict(detail.get("ctx", {}))
    context["form"] = FORMS.get(str(context.get("pattern")), "another")
    why = message.format(**context)
    return problem_at(entry.at(path), str(key), why, how_to_set(str(key), field))


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems sorted by line and column, those without a line at the end."""

    def place(problem: Problem) -> tuple[float, int]:
        at = problem.position if isinstance(problem, PlacedProblem) else None
        return (at.line, at.column) if at and at.line else (float("inf"), 0)

    ordered = sorted(problems, key=place)
    return [Problem(problem.what, problem.why, problem.hint) for problem in ordered]


def how_to_set(key: str, field: FieldInfo) -> str:
    """Return the fix of a key's value: its description, with an example if there is one."""
    fix = f"set {key} as described: {' '.join(descriptions(Config)[key].split())}"
    example = field.examples[0] if field.examples else field.default
    if field.is_required() and not field.examples:
        return fix
    return f"{fix} Example: {yaml_text(example)}" if example not in (None, ()) else fix


def yaml_text(value: Any) -> str:
    """Return a value as the configuration file writes it."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(yaml_text(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {json.dumps(v)}" for name, v in value.items()) + "}"
    return str(value)
