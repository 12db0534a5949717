"""Configurations generated from the schema that editors use: most are accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/config.schema.json").read_text("utf-8"))

LEFT_OUT = frozenset(
    {"aws_profile", "infrastructure_json_path", "ssh_keypair_name", "ssh_key_path"}
)
"""Keys that the operator of the test sets: they lead to files and credentials."""


def configurations() -> SearchStrategy[dict[str, Any]]:
    """Return a strategy for some keys with values that their schemas allow."""
    properties = {key: it for key, it in SCHEMA["properties"].items() if key not in LEFT_OUT}
    keys = st.lists(st.sampled_from(sorted(properties)), min_size=1, max_size=6, unique=True)
    return keys.flatmap(
        lambda chosen: st.fixed_dictionaries({key: values(properties[key]) for key in chosen})
    )


def values(schema: dict[str, Any]) -> SearchStrategy[Any]:
    """Return a strategy for what a schema allows; its examples and its default are half of it."""
    known = [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]
    allowed = _allowed(schema)
    return st.sampled_from(known) | allowed if known else allowed


def _allowed(schema: dict[str, Any]) -> SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of([values(one) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _TYPES[schema["type"]](schema)


def _lists(schema: dict[str, Any]) -> SearchStrategy[Any]:
    least = schema.get("minItems", 0)
    most = min(schema.get("maxItems", least + 3), least + 3)
    return st.lists(values(schema["items"]), min_size=least, max_size=most)


def _numbers(schema: dict[str, Any]) -> SearchStrategy[Any]:
    least = int(schema.get("minimum", 0))
    return st.integers(least, int(schema.get("maximum", least + 100)))


def _objects(schema: dict[str, Any]) -> SearchStrategy[Any]:
    """Return a strategy for objects with the patterns of their keys, or with any keys."""
    patterns = schema.get("patternProperties")
    [(pattern, inner)] = patterns.items() if patterns else [("a[a-z]{0,9}", _inner(schema))]
    return st.dictionaries(_matching(pattern), values(inner), max_size=2)


def _inner(schema: dict[str, Any]) -> dict[str, Any]:
    inner = schema.get("additionalProperties")
    return inner if isinstance(inner, dict) else {"type": "string"}


def _strings(schema: dict[str, Any]) -> SearchStrategy[str]:
    if "pattern" in schema:
        return _matching(schema["pattern"])
    known = st.sampled_from(("a", "lambda-fs", "10.0.0.0/16", "x" * 40, "λ"))
    return known | st.text(min_size=schema.get("minLength", 0), max_size=40)


def _matching(pattern: str) -> SearchStrategy[str]:
    return st.from_regex(pattern.removeprefix("^").removesuffix("$"), fullmatch=True)


_TYPES: dict[str, Callable[[dict[str, Any]], SearchStrategy[Any]]] = {
    "array": _lists,
    "object": _objects,
    "string": _strings,
    "integer": _numbers,
    "number": _numbers,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}
