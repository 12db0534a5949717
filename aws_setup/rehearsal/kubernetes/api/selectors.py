"""Label and field selectors.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api
https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kubernetes.api import metadata
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject, bad_request

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^=!<>\s]+)\s*(?P<op>==|=|!=)\s*(?P<value>\S*)$")
_COMPARED = re.compile(r"^(?P<key>[^=!<>\s]+)\s*(?P<op><|>)\s*(?P<value>\d+)$")
_KEY = re.compile(r"^(?P<no>!?)\s*(?P<key>[A-Za-z0-9./_-]+)$")

Test = Callable[[dict[str, str]], bool]


def by_labels(text: str) -> Test:
    """Return the test of a label selector such as `a=b,c in (d, e),!f`.

    Raises:
        ApiError: 400, the selector is malformed.
    """
    if not text.strip():
        return lambda _: True
    tests = [_term(term.strip()) for term in re.split(r",(?![^(]*\))", text)]
    return lambda labels: all(test(labels) for test in tests)


def _check_term(term: str, key: str, *values: str) -> None:
    why = metadata.qualified_name(key)
    why = why or next(filter(None, map(metadata.label_value, values)), "")
    if why:
        raise bad_request(f"unable to parse requirement: {term!r}: {why}")


def _term(term: str) -> Test:
    if found := _SET.match(term):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        _check_term(term, key, *values)
        inside = found["op"] == "in"
        if inside:
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(term):
        name, expected, same = found["key"], found["value"], found["op"] != "!="
        _check_term(term, name, expected)
        return lambda labels: (labels.get(name) == expected) == same
    if found := _COMPARED.match(term):
        name, limit, more = found["key"], int(found["value"]), found["op"] == ">"
        _check_term(term, name)

        def compares(labels: dict[str, str]) -> bool:
            value = labels.get(name, "")
            return value.isdigit() and (int(value) > limit if more else int(value) < limit)

        return compares
    if found := _KEY.match(term):
        held, no = found["key"], bool(found["no"])
        _check_term(term, held)
        return lambda labels: (held in labels) != no
    raise bad_request(f"unable to parse requirement: {term!r}")


FIELD_LABELS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        }
    ),
    "events": frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "secrets": frozenset({"type"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
    "replicasets": frozenset({"status.replicas"}),
    "jobs": frozenset({"status.successful"}),
}
"""Fields by which each kind can be selected, beside name and namespace."""

COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
OTHER_PATHS = {"source": ["source", "component"], "status.successful": ["status", "succeeded"]}


def by_fields(text: str, plural: str) -> Callable[[KubeObject], bool]:
    """Return the test of a field selector such as `metadata.name=x,status.phase!=Running`.

    Raises:
        ApiError: 400, the selector is malformed, or the kind cannot be selected by its field.
    """
    terms = []
    for term in filter(None, text.split(",")):
        found = _EQUAL.match(term.strip())
        if not found:
            raise bad_request(f"invalid field selector: {term!r}; can't understand '{term}'")
        key = found["key"]
        if key not in COMMON_FIELDS | FIELD_LABELS.get(plural, frozenset()):
            raise bad_request(f"field label not supported: {key}")
        path = OTHER_PATHS.get(key) or key.split(".")
        terms.append((path, found["value"], found["op"] != "!="))
    return lambda obj: all((_text(obj, path) == expected) == same for path, expected, same in terms)


def _text(obj: KubeObject, path: list[str]) -> str:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def matches(selector: KubeObject, labels: dict[str, str]) -> bool:
    """Return whether labels meet a LabelSelector object; an empty one meets everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(
        expression(requirement, labels) for requirement in selector.get("matchExpressions", [])
    )


def expression(requirement: KubeObject, labels: dict[str, str]) -> bool:
    """Return whether labels meet one match expression (In, NotIn, Exists, DoesNotExist)."""
    value, values = labels.get(requirement["key"]), requirement.get("values", [])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(requirement["operator"], False)
