"""The fields of every served kind with their types, and the decoding of bodies by them.

`schema.json` is written by `python -m tests.regenerate_kubernetes_schema` from the official
client's models. Types: `str`, `int`, `bool`, `float`, `time`, `quantity`, `intstr` (a number or
a text), `bytes` (base64), `any`, `[T]`, `{T}` (a map), or the name of another type.
https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.kubernetes.api import quantities
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", dict: "object"}
GO_NAMES = {"str": "string", "int": "int32", "bool": "bool", "float": "float64", "{": "map"}


class WrongType(Exception):
    """A value of a body has another type than its field; the text is the server's."""


@dataclass
class Decoded:
    """A decoded body: its known fields, and the paths of those that the schema lacks."""

    obj: KubeObject = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


@cache
def document() -> KubeObject:
    """Return the schema: `kinds` (group/version/Kind to type) and `types` (type to fields)."""
    text = Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
    found: KubeObject = json.loads(text)
    return found


def decode(kind: str, value: Any) -> Decoded:
    """Decode a body by the schema of `group/version/Kind`.

    Nulls count as absent, but as an empty text in a map of texts; empty maps and lists are left
    out, as the server's types do; unknown fields are left out and listed.

    Raises:
        WrongType: a value has another type than its field.
    """
    decoded = Decoded()
    name = document()["kinds"][kind]
    decoded.obj = _reader(name)(value, kind.rpartition("/")[2], "", decoded.unknown)
    return decoded


Reader = Callable[[Any, str, str, list[str]], Any]
"""Reads a value: (value, Go's name of the field, path, unknown fields found so far)."""


@cache
def _reader(text: str) -> Reader:
    """Return the reader of a type."""
    if text in ATOMS:
        return ATOMS[text]
    if text[0] == "[":
        return _list_reader(text[1:-1])
    if text[0] == "{":
        return _map_reader(text[1:-1])
    return _struct_reader(text)


def _struct_reader(name: str) -> Reader:
    fields: dict[str, str] = document()["types"][name]
    readers: dict[str, Reader] = {}

    def read(value: Any, go: str, path: str, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise _mismatch(value, go, name)
        found = {}
        for key, item in value.items():
            if item is None and key in fields:
                continue
            reader = readers.get(key)
            below = f"{path}.{key}" if path else key
            if reader is None:
                if key not in fields:
                    unknown.append(below)
                    continue
                reader = readers[key] = _reader(fields[key])
            read_item = reader(item, f"{go}.{key}", below, unknown)
            if (read_item or fields[key][0] not in "[{") or read_item is None:
                found[key] = read_item
        return found

    return read


def _list_reader(item_type: str) -> Reader:
    def read(value: Any, go: str, path: str, unknown: list[str]) -> Any:
        if type(value) is not list:
            raise _mismatch(value, go, f"[]{GO_NAMES.get(item_type, item_type)}")
        reader = _reader(item_type)
        empty: Any = "" if item_type == "str" else {}
        return [
            empty if item is None else reader(item, go, f"{path}[{at}]", unknown)
            for at, item in enumerate(value)
        ]

    return read


def _map_reader(item_type: str) -> Reader:
    def read(value: Any, go: str, path: str, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise _mismatch(value, go, f"map[string]{GO_NAMES.get(item_type, item_type)}")
        reader = _reader(item_type)
        empty: Any = EMPTY.get(item_type, {})
        return {
            key: empty if item is None else reader(item, go, f"{path}.{key}", unknown)
            for key, item in value.items()
        }

    return read


def _mismatch(value: Any, go: str, wanted: str) -> WrongType:
    found = JSON_NAMES.get(type(value), "array")
    number = f" {value}" if isinstance(value, float) else ""
    return WrongType(
        f"json: cannot unmarshal {found}{number} into Go struct field {go} of type "
        f"{GO_NAMES.get(wanted, wanted)}"
    )


def _exactly(name: str, *types: type) -> Reader:
    def read(value: Any, go: str, _path: str, _unknown: list[str]) -> Any:
        if type(value) not in types:
            raise _mismatch(value, go, name)
        return value

    return read


def _quantity(value: Any, go: str, path: str, unknown: list[str]) -> Any:
    if type(value) not in {str, int, float}:
        raise _mismatch(value, go, "resource.Quantity")
    try:
        return quantities.canonical(str(value))
    except ValueError as error:
        raise WrongType(str(error)) from error


def _time(value: Any, go: str, path: str, unknown: list[str]) -> Any:
    if type(value) is not str:
        raise _mismatch(value, go, "string")
    if not _TIME.match(value):
        raise WrongType(
            f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}"'
        )
    return value


def _bytes(value: Any, go: str, path: str, unknown: list[str]) -> Any:
    if type(value) is not str:
        raise _mismatch(value, go, "[]uint8")
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongType(f"illegal base64 data at input byte 0: {path}: {error}") from error
    return value


def _any(value: Any, go: str, path: str, unknown: list[str]) -> Any:
    return value


EMPTY = {"str": "", "bytes": "", "quantity": "0"}
"""What a null in a map of these becomes: Go's zero value."""

ATOMS: dict[str, Reader] = {
    "str": _exactly("str", str),
    "int": _exactly("int", int),
    "bool": _exactly("bool", bool),
    "float": _exactly("float", int, float),
    "intstr": _exactly("intstr.IntOrString", int, str),
    "quantity": _quantity,
    "time": _time,
    "bytes": _bytes,
    "any": _any,
}
