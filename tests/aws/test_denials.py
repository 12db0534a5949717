"""A denial of AWS keeps its reason, and names who can lift it."""

from __future__ import annotations

import pytest

from tests.support.aws_errors import of_code

DENIED = "User: arn:aws:iam::123456789012:user/u is not authorized to perform: ec2:RunInstances "
ON = "on resource: arn:aws:ec2:us-east-1:123456789012:instance/* "


@pytest.mark.kind("A3")
@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("with an explicit deny in a service control policy", "your organisation's administrators"),
        (
            "with an explicit deny in a service control policy: "
            "arn:aws:organizations::1:policy/o-a/service_control_policy/p-b",
            "your organisation's administrators",
        ),
        ("with an explicit deny in a resource control policy", "your organisation's"),
        ("with an explicit deny in a permissions boundary", "the permissions boundary"),
        ("because no permissions boundary allows the ec2:RunInstances action", "boundary"),
        ("because no service control policy allows the ec2:RunInstances action", "organisation"),
        ("with an explicit deny in an identity-based policy", "another permission does not help"),
        ("because no session policy allows the ec2:RunInstances action", "without that session"),
        ("with an explicit deny in a VPC endpoint policy", "VPC endpoint"),
        ("with an explicit deny in a resource-based policy", "owner of the resource"),
    ],
)
def test_a_denial_keeps_the_reason_and_names_who_can_lift_it(reason: str, hint: str) -> None:
    problem = of_code("UnauthorizedOperation", f"You are not authorized. {DENIED}{ON}{reason}")
    assert reason.partition(" ")[2] in problem.why
    assert "ec2:RunInstances on arn:aws:ec2:us-east-1" in problem.why
    assert hint in problem.hint
    assert "for this permission" not in problem.hint


@pytest.mark.kind("A3")
@pytest.mark.parametrize(
    ("code", "message", "kept", "hint"),
    [
        (
            "AccessDeniedException",
            "User: u is not authorized to perform: kms:CreateGrant on this resource because the "
            "resource does not exist in this Region, no resource-based policies allow access, or a "
            "resource-based policy explicitly denies access",
            "does not exist in this Region",
            "owner of the resource",
        ),
        (
            "AccessDenied",
            "User: u is not authorized to perform: sts:AssumeRole on resource: r because no role "
            "trust policy allows the sts:AssumeRole action",
            "no role trust policy",
            "its trust policy",
        ),
        (
            "AccessDenied",
            "User: u is not authorized to perform: iam:CreateRole with an explicit deny. Custom "
            "message: ask team X",
            "ask team X",
            "another permission does not help",
        ),
        (
            "UnauthorizedOperation",
            "This functionality has been disabled by a Declarative Policy. Custom Message: no",
            "Custom Message: no",
            "your organisation's administrators",
        ),
        ("Client.UnauthorizedOperation", "You are not authorized.", "authorized", "permissions.md"),
        ("403", "Forbidden", "Forbidden", "permissions.md"),
        ("AccessDenied", None, "may not call RunInstances", "permissions.md"),
        (
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. Encoded authorization failure "
            "message: Ab-cd_12",
            "may not call RunInstances",
            "decode-authorization-message",
        ),
        ("InvalidAMIID.NotAllowed", "Not allowed.", "Not allowed.", "Allowed AMIs|owner"),
        ("OperationNotPermitted", "VPC Block Public Access is on", "is on", "exclusion"),
        ("RegionDisabledException", "STS is not activated in this region", "STS", "activate it"),
        ("UnauthorizedException", "Session token not found or invalid", "session", "log in again"),
    ],
)
def test_a_denial_of_another_wording_keeps_its_cause(
    code: str, message: str, kept: str, hint: str
) -> None:
    problem = of_code(code, message)
    assert kept in problem.why
    assert "None" not in problem.why
    assert any(words in problem.hint for words in hint.split("|"))


@pytest.mark.kind("A3")
def test_a_tag_policy_is_told_as_such() -> None:
    text = "The tag policy does not allow the specified value for the following tag key: 'Owner'."
    problem = of_code("TagPolicyViolation", text)
    assert "'Owner'" in problem.why
    assert "set tags" in problem.hint
