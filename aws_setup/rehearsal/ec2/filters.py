"""Filters, paging and ids of Describe calls, applied to parsed answers as EC2 documents them.

EC2 API reference, "List and filter your resources": values are joined by or, filters by and,
case-sensitive, `*` and `?` are wildcards; an unknown filter is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.rules import AwsError, Call

Item = dict[str, Any]
Paths = Mapping[str, str]
"""Filter name to the path of its values in an item; lists on the way are walked through."""


def values_at_path(item: Any, path: str) -> list[str]:
    """Return the texts at the end of a dotted path."""
    here: list[Any] = [item]
    for name in path.split("."):
        here = [found for one in here for found in _step(one, name)]
    return [_text(value) for value in here]


def _step(one: Any, name: str) -> list[Any]:
    value = one.get(name) if isinstance(one, dict) else None
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def apply_filters(items: Iterable[Item], filters: Sequence[Item], paths: Paths) -> list[Item]:
    """Return the items that match every filter; raises AwsError for an unknown filter."""
    wanted = [(one["Name"], _pattern(one.get("Values", []))) for one in filters]
    for name, _ in wanted:
        if not name.startswith("tag:") and name not in paths and name != "tag-key":
            message = f"The filter '{name}' is invalid, or not in the rehearsal cloud"
            raise AwsError("InvalidParameterValue", message)
    return [item for item in items if all(_matches(item, one, paths) for one in wanted)]


def _matches(item: Item, wanted: tuple[str, re.Pattern[str]], paths: Paths) -> bool:
    name, pattern = wanted
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        found = [tag["Value"] for tag in item.get("Tags", []) if tag["Key"] == key]
    else:
        found = values_at_path(item, "Tags.Key" if name == "tag-key" else paths[name])
    return any(pattern.fullmatch(value) for value in found)


def _pattern(values: Sequence[str]) -> re.Pattern[str]:
    texts = (re.escape(str(value)).replace(r"\*", ".*").replace(r"\?", ".") for value in values)
    return re.compile("|".join(f"(?:{text})" for text in texts) or r"(?!)", re.DOTALL)


def paginate(call: Call, items: list[Item], key: str) -> dict[str, Any]:
    """Return the page that a call asks for, with the token of the next one."""
    start = int(call.params.get("NextToken") or 0)
    size = call.params.get("MaxResults")
    end = start + int(size) if size else len(items)
    answer: dict[str, Any] = {key: items[start:end]}
    if end < len(items):
        answer["NextToken"] = str(end)
    return answer
