"""Evaluation of IAM policies: wildcards, denials, and each operator of conditions.

Pages: IAM user guide, reference_policies_evaluation-logic and
reference_policies_elements_condition_operators.
"""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.policy_evaluator import (
    Decision,
    Request,
    UnsupportedPolicy,
    evaluate,
    matches,
    missing_keys,
)

pytestmark = pytest.mark.kind("C2")

ROLE = "arn:aws:iam::123456789012:role/lambda-fs-node"


def policy(**statement: Any) -> list[dict[str, Any]]:
    whole = {"Effect": "Allow", "Action": "iam:*", "Resource": "*"} | statement
    return [{"Version": "2012-10-17", "Statement": whole}]


def decided(request: Request, *policies: list[dict[str, Any]]) -> Decision:
    return evaluate([one for listed in policies for one in listed], request)


def test_what_nothing_allows_is_denied_and_a_denial_overrides() -> None:
    request = Request("iam:CreateRole", ROLE)
    assert decided(request) is Decision.IMPLICIT_DENY
    assert decided(request, policy(Action="iam:Delete*")) is Decision.IMPLICIT_DENY
    assert decided(request, policy(Action=["IAM:create?ole"])) is Decision.ALLOWED
    denial = policy(Effect="Deny", Action="*")
    assert decided(request, policy(), denial) is Decision.EXPLICIT_DENY
    assert decided(request, denial, policy()) is Decision.EXPLICIT_DENY


@pytest.mark.parametrize(
    ("pattern", "text", "yes"),
    [
        ("arn:aws:iam::*:role/a-*", "arn:aws:iam::1:role/a-b/c", True),
        ("arn:aws:iam::1:role/a", "arn:aws:iam::1:role/ab", False),
        ("a?c", "abc", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("*", "", True),
    ],
)
def test_only_star_and_question_mark_are_wildcards(pattern: str, text: str, yes: bool) -> None:
    assert matches(pattern, text) is yes


@pytest.mark.parametrize(
    ("condition", "yes"),
    [
        ({"StringEquals": {"IAM:key": "value"}}, True),
        ({"StringEquals": {"iam:key": ["other", "value"]}}, True),
        ({"StringEquals": {"iam:key": "Value"}}, False),
        ({"StringEqualsIgnoreCase": {"iam:key": "Value"}}, True),
        ({"StringEquals": {"iam:key": "val*"}}, False),
        ({"StringLike": {"iam:key": "val*"}}, True),
        ({"StringEquals": {"iam:absent": "x"}}, False),
        ({"StringEqualsIfExists": {"iam:absent": "x"}}, True),
        ({"StringNotEquals": {"iam:key": "value"}}, False),
        ({"StringNotEquals": {"iam:absent": "x"}}, True),
        ({"ArnEquals": {"iam:arn": "arn:aws:iam::aws:policy/*"}}, True),
        ({"ArnEquals": {"iam:arn": "arn:aws:iam::*"}}, False),
        ({"ArnNotLike": {"iam:arn": "arn:aws:iam::aws:policy/A*"}}, False),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False),
        ({"NotIpAddress": {"aws:absent": "192.0.2.0/24"}}, True),
        ({"BoolIfExists": {"aws:absent": "false"}}, True),
        ({"Null": {"iam:absent": "true"}}, True),
        ({"Null": {"iam:key": "true"}}, False),
        ({"Null": {"iam:key": "false"}}, True),
        ({"ForAllValues:StringEquals": {"iam:many": ["a", "b", "c"]}}, True),
        ({"ForAllValues:StringEquals": {"iam:many": ["a"]}}, False),
        ({"ForAnyValue:StringEquals": {"iam:many": ["a"]}}, True),
        ({"StringEquals": {"iam:key": "value", "iam:arn": "other"}}, False),
        ({"StringEquals": {"iam:key": "value"}, "Null": {"iam:key": "true"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], yes: bool) -> None:
    context = {
        "iam:key": "value",
        "iam:arn": "arn:aws:iam::aws:policy/Admin",
        "iam:many": ["a", "b"],
        "aws:SourceIp": "192.0.2.7",
    }
    request = Request("iam:CreateRole", ROLE, context)
    assert (decided(request, policy(Condition=condition)) is Decision.ALLOWED) is yes


def test_a_statement_of_all_actions_but_some() -> None:
    (one,) = policy(Effect="Deny")
    del one["Statement"]["Action"]
    one["Statement"]["NotAction"] = ["iam:Get*", "sts:*"]
    asked = [decided(Request(it), policy(Action="*"), [one]) for it in ("iam:GetRole", "ec2:X")]
    assert asked == [Decision.ALLOWED, Decision.EXPLICIT_DENY]


def test_what_is_not_evaluated_is_refused_instead_of_ignored() -> None:
    request = Request("iam:CreateRole", ROLE, {"a:b": "c"})
    for statement in (
        {"NotAction": "iam:*"},
        {"NotResource": "*"},
        {"Resource": "arn:aws:iam::1:user/${aws:username}"},
        {"Condition": {"NumericLessThan": {"a:b": "1"}}},
    ):
        with pytest.raises(UnsupportedPolicy):
            decided(request, policy(**statement))


def test_the_keys_that_a_denial_depends_on_are_named() -> None:
    limited = policy(Condition={"StringEquals": {"aws:ResourceTag/a": "b"}})
    assert missing_keys(limited, Request("iam:CreateRole")) == ["aws:ResourceTag/a"]
    known = Request("iam:CreateRole", "*", {"AWS:resourcetag/a": "c"})
    assert missing_keys(limited, known) == []
