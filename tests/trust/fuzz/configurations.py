"""Configurations generated from the schema that editors use: most are accepted."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from typing import Any

sre: Any = importlib.import_module("re._parser")
"""The parser of regular expressions; its module has no public name."""

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/config.schema.json").read_text("utf-8"))

LEFT_OUT = frozenset(
    {"aws_profile", "infrastructure_json_path", "ssh_keypair_name", "ssh_key_path"}
)
"""Keys that the operator of the test sets: they lead to files and credentials."""


def configuration(dice: random.Random) -> dict[str, Any]:
    """Return some keys with values that their schemas allow."""
    properties = {key: one for key, one in SCHEMA["properties"].items() if key not in LEFT_OUT}
    chosen = dice.sample(sorted(properties), dice.randint(1, 6))
    return {key: value(properties[key], dice) for key in chosen}


def value(schema: dict[str, Any], dice: random.Random) -> Any:
    """Return a value that a schema allows, one of its examples or its default as often."""
    known = [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]
    if known and dice.random() < 0.5:
        return dice.choice(known)
    if "$ref" in schema:
        found: Any = SCHEMA
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return value(found, dice)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return value(dice.choice(schema[key]), dice)
    if "enum" in schema:
        return dice.choice(schema["enum"])
    if "const" in schema:
        return schema["const"]
    return _of_type(schema, dice)


def _of_type(schema: dict[str, Any], dice: random.Random) -> Any:
    kind = schema.get("type")
    if kind == "boolean":
        return dice.random() < 0.5
    if kind in ("integer", "number"):
        least = schema.get("minimum", 0)
        most = max(schema.get("maximum", least + 100), least)
        return dice.choice((least, min(least + 1, most), dice.randint(int(least), int(most)), most))
    if kind == "array":
        least = schema.get("minItems", 0)
        count = dice.randint(least, max(least, min(schema.get("maxItems", 3), 3)))
        return [value(schema.get("items", {"type": "string"}), dice) for _ in range(count)]
    if kind == "object":
        inner = schema.get("additionalProperties")
        return {"key": value(inner, dice)} if isinstance(inner, dict) else {}
    return None if kind == "null" else _string(schema, dice)


def _string(schema: dict[str, Any], dice: random.Random) -> str:
    if "pattern" in schema:
        return matching(schema["pattern"], dice)
    return dice.choice(("a", "lambda-fs", "10.0.0.0/16", "x" * 40, "λ"))


def matching(pattern: str, dice: random.Random) -> str:
    """Return a text that a regular expression matches, of the constructs that the schema uses."""
    return "".join(_text(part, dice) for part in sre.parse(pattern))


def _text(part: Any, dice: random.Random) -> str:
    kind, details = str(part[0]), part[1]
    if kind == "LITERAL":
        return chr(details)
    if kind == "IN":
        return _member(details, dice)
    if kind == "MAX_REPEAT":
        least, most, inside = details
        count = dice.randint(least, min(int(most), least + 5))
        return "".join(_text(item, dice) for _ in range(count) for item in inside)
    if kind == "SUBPATTERN":
        return "".join(_text(item, dice) for item in details[3])
    if kind == "BRANCH":
        return "".join(_text(item, dice) for item in dice.choice(details[1]))
    return "a" if kind in ("ANY", "NOT_LITERAL", "CATEGORY") else ""


def _member(members: Any, dice: random.Random) -> str:
    kind, details = dice.choice(members)
    if str(kind) == "RANGE":
        return chr(dice.randint(*details))
    return chr(details) if str(kind) == "LITERAL" else "a"
