"""moto's answers, serialised with a third of its processor time and the same result.

moto makes several objects for each member of each answer, and examines each name of an element by
seven rules; half of the time of a call of the rehearsal cloud went into that.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from moto.core import parse, serialize
from moto.core import utils as moto_utils

MISSING = moto_utils.MISSING


def install() -> None:
    """Replace the slow parts of moto's serialisers, once per process."""
    serializer: Any = serialize.ResponseSerializer
    if serializer.get_value is _value:
        return
    serializer.get_value = _value
    for kind in (serialize.BaseXMLSerializer, serialize.EC2Serializer):
        declared = kind is serialize.EC2Serializer
        xml: Any = kind
        xml._serialize_body = functools.partialmethod(_body, declared=declared)
    parser: Any = parse.QueryParser
    parser._gonna_recurse = _is_absent
    utils: Any = moto_utils
    utils.create_loader = functools.cache(utils.create_loader)


def _value(self: Any, value: Any, key: str, shape: Any) -> Any:
    """Return a member of a result: the first of its possible names that the result has."""
    picker = self._value_picker
    if not isinstance(picker, serialize.AttributePicker):
        return moto_utils.get_value(value, key, None)
    found = None
    plain = type(value) is dict
    for name in _names(picker, value, key, shape):
        simple = plain and "." not in name
        item = value.get(name, MISSING) if simple else moto_utils.get_value(value, name, MISSING)
        if item is not MISSING:
            found = item
            break
    transformers = picker.response_transformers
    if transformers:
        for path in _transformed(tuple(transformers), key):
            if f"{'.'.join(self.path)}.{key}".endswith(path):
                return transformers[path](found)
    return found


def _names(picker: Any, value: Any, key: str, shape: Any) -> tuple[str, ...]:
    """Return the names under which a result may have a member, in moto's order.

    They depend on the classes of the picker and of the result, and on the member's shape; a shape
    belongs to one member, and keeps them.
    """
    known: dict[Any, tuple[str, ...]] = shape.__dict__.setdefault("_possible_names", {})
    kind = (type(picker), type(value), key, shape.__dict__.get("parent"))
    names = known.get(kind)
    if names is None:
        context = serialize.AttributePickerContext(obj=value, key=key, shape=shape)
        names = known[kind] = tuple(dict.fromkeys(picker.get_possible_keys(context)))
    return names


@functools.cache
def _transformed(paths: tuple[str, ...], key: str) -> tuple[str, ...]:
    """Return which of the paths may be that of a member with this name."""
    return tuple(path for path in paths if key.endswith(path.rpartition(".")[2]))


def _is_absent(self: Any, query_params: Any, prefix: str) -> bool:
    """Return whether no name begins with `prefix`; a parser is made for each request."""
    if not prefix:
        return False
    names = self.__dict__.get("_sorted_names")
    if names is None:
        names = self._sorted_names = sorted(query_params)
    at = bisect.bisect_left(names, prefix)
    return at == len(names) or not names[at].startswith(prefix)


def _body(self: Any, body: Mapping[str, Any], *, declared: bool) -> str:
    """Return an answer's XML, as xmltodict's unparse does."""
    parts = ['<?xml version="1.0" encoding="utf-8"?>\n'] if declared else []
    for name, value in body.items():
        _write(parts, name, value)
    return "".join(parts)


def _write(parts: list[str], name: str, value: Any) -> None:
    """Add an element, or each of a list; attributes start with @, an empty list is no element."""
    if isinstance(value, list | tuple):
        for item in value:
            _write(parts, name, item)
        return
    start, attributes = len(parts), ""
    parts.append("")
    if isinstance(value, dict):
        for key, item in value.items():
            if key[0] == "@":
                attributes += f" {key[1:]}={quoteattr(_text(item))}"
            else:
                _write(parts, key, item)
    elif text := _text(value):
        parts.append(escape(text))
    if len(parts) == start + 1:
        parts[start] = f"<{name}{attributes}/>"
    else:
        parts[start] = f"<{name}{attributes}>"
        parts.append(f"</{name}>")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
