"""Evaluation of IAM policies: actions, resources and conditions of identity-based policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html

Not evaluated, and refused instead: NotResource, Principal, policy variables, and the operators that
OPERATORS does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

Context = Mapping[str, str | Sequence[str]]
"""Condition key -> the value or values that a request has for it."""


class Decision(StrEnum):
    """The decision about a request, in the words of IAM's simulator."""

    ALLOWED = "allowed"
    IMPLICIT_DENY = "implicitDeny"
    EXPLICIT_DENY = "explicitDeny"


@dataclass(frozen=True)
class Request:
    """One permission that a call needs: an action on one resource, in its context."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


class UnsupportedPolicy(ValueError):
    """A policy has an element that this evaluator does not know."""


def evaluate(policies: Sequence[Mapping[str, Any]], request: Request) -> Decision:
    """Return the decision of identity-based policies about a request.

    Raises:
        UnsupportedPolicy: a policy has an element that is not evaluated.
    """
    decision = Decision.IMPLICIT_DENY
    for policy in policies:
        for statement in _listed(policy["Statement"]):
            if not applies(statement, request):
                continue
            if statement["Effect"] == "Deny":
                return Decision.EXPLICIT_DENY
            decision = Decision.ALLOWED
    return decision


def applies(statement: Mapping[str, Any], request: Request) -> bool:
    """Say whether a statement applies to a request."""
    _check(statement)
    resources = _listed(statement["Resource"])
    return (
        _has_action(statement, request.action.lower())
        and any(matches(pattern, request.resource) for pattern in resources)
        and all(
            _holds(operator, key, _listed(values), request.context)
            for operator, block in statement.get("Condition", {}).items()
            for key, values in block.items()
        )
    )


def _has_action(statement: Mapping[str, Any], action: str) -> bool:
    """Say whether a statement is about an action: about one of Action, or none of NotAction."""
    patterns = _listed(statement.get("Action") or statement.get("NotAction"))
    named = any(matches(pattern.lower(), action) for pattern in patterns)
    return named is ("Action" in statement)


def missing_keys(policies: Sequence[Mapping[str, Any]], request: Request) -> list[str]:
    """Return the condition keys of which a denial depends and that the request does not have."""
    known = {key.lower() for key in request.context}
    found: set[str] = set()
    for policy in policies:
        for statement in _listed(policy["Statement"]):
            if applies({**statement, "Condition": {}}, request):
                blocks = statement.get("Condition", {}).values()
                found |= {key for block in blocks for key in block if key.lower() not in known}
    return sorted(found)


def matches(pattern: str, text: str) -> bool:
    """Say whether a text matches a pattern with `*` and `?`; nothing else is special in IAM's."""
    return bool(_compiled(pattern).match(text))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(letter) or re.escape(letter) for letter in pattern)
    return re.compile(rf"{expression}\Z", re.DOTALL)


def _check(statement: Mapping[str, Any]) -> None:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "NotAction", "Resource", "Condition"}
    if len(statement.keys() & {"Action", "NotAction"}) != 1:
        unknown = unknown | {"a statement without Action, or with NotAction, too"}
    if unknown or "${" in str(statement):
        what = ", ".join(sorted(unknown)) or "policy variables"
        raise UnsupportedPolicy(f"the rehearsal does not evaluate {what}")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _arn_like(pattern: str, value: str) -> bool:
    """Compare the six parts of two ARNs; in each part `*` stays within the part."""
    wanted, given = pattern.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) and all(map(matches, wanted, given))


def _in_range(wanted: str, value: str) -> bool:
    return ip_address(value) in ip_network(wanted)


Test = Callable[[str, str], bool]

OPERATORS: Mapping[str, Test] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": matches,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "IpAddress": _in_range,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
}
"""Operator -> its test of a value of the policy and a value of the request."""

NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
}
"""Operator -> the one that it negates; it also holds where the request has no such key."""


def _holds(operator: str, key: str, values: Sequence[Any], context: Context) -> bool:
    given = next((v for name, v in context.items() if name.lower() == key.lower()), None)
    if operator == "Null":
        return (given is None) is (str(values[0]).lower() == "true")
    if operator.endswith("IfExists"):
        return given is None or _holds(operator.removesuffix("IfExists"), key, values, context)
    qualifier, _, name = operator.rpartition(":")
    if name in NEGATED:
        return given is None or not _compare(NEGATED[name], qualifier, values, _listed(given))
    if given is None:
        return qualifier == "ForAllValues"
    return _compare(name, qualifier, values, _listed(given))


def _compare(operator: str, qualifier: str, values: Sequence[Any], given: Sequence[str]) -> bool:
    if operator not in OPERATORS or qualifier not in ("", "ForAnyValue", "ForAllValues"):
        raise UnsupportedPolicy(f"the rehearsal does not evaluate the operator {operator}")
    test = OPERATORS[operator]
    results = [any(test(str(wanted), value) for wanted in values) for value in given]
    return all(results) if qualifier == "ForAllValues" else any(results)
