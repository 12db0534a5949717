"""Accounts with guardrails: policies of an organisation, and denials with conditions.

The policies are of the forms that AWS documents and that AWS Control Tower attaches:
https://docs.aws.amazon.com/controltower/latest/controlreference/primary-region-deny-policy.html
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_iam_mfa-selfmanage.html
"""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission
from tests.support.preflight import Operator, only

pytestmark = pytest.mark.kind("C2")

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
CHANGES = ["ec2:CreateVpc", "ec2:RunInstances", "ec2:CreateVolume"]


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [EVERYTHING, *statements]}


def denying(actions: str | list[str], *, inverse: bool = False, **condition: Any) -> dict[str, Any]:
    name = "NotAction" if inverse else "Action"
    statement = {"Effect": "Deny", name: actions, "Resource": "*"}
    return document({**statement, "Condition": condition} if condition else statement)


GLOBAL = ["iam:*", "sts:*", "pricing:*", "support:*", "organizations:*"]
EXECUTION = "arn:aws:iam::*:role/AWSControlTowerExecution"


def regions(*names: str, exempt: str = EXECUTION, services: Any = GLOBAL) -> dict[str, Any]:
    """Return a denial of every other region, from which one principal is exempt."""
    return denying(
        services,
        inverse=True,
        StringNotEquals={"aws:RequestedRegion": list(names)},
        ArnNotLike={"aws:PrincipalARN": [exempt]},
    )


ME = f"arn:aws:iam::{ACCOUNT}:user/rehearsal"
OFFICE = {"aws:SourceIp": ["52.94.76.0/24"]}
NO_MFA = {"aws:MultiFactorAuthPresent": "false"}
MET = {
    "the region": regions("us-east-1", "eu-west-1"),
    "the region, IAM's too": regions("us-east-1", services=["sts:*"]),
    "the principal": regions("eu-north-1", exempt=ME, services=["sts:*"]),
    "a tag": denying(CHANGES, Null={"aws:RequestTag/CostCenter": "true"}),
    "a tag's value": denying(CHANGES, StringNotLike={"aws:RequestTag/CostCenter": "47*"}),
    "IMDSv2": denying("ec2:RunInstances", StringNotEquals={"ec2:MetadataHttpTokens": "required"}),
    "TLS": denying("*", BoolIfExists={"aws:SecureTransport": "false"}),
}
"""Guardrails that the calls of a run meet, and of which the scripts know that."""

UNKNOWN = {
    "MFA": (denying(["iam:*", "sts:*"], inverse=True, BoolIfExists=NO_MFA), "MultiFactor"),
    "the address": (denying("*", NotIpAddress=OFFICE), "aws:SourceIp"),
    "the type": (
        denying("ec2:RunInstances", StringNotLike={"ec2:InstanceType": ["r5.*", "c5.*"]}),
        "ec2:InstanceType",
    ),
}
"""Guardrails that the calls meet, too; only AWS knows it. With the key that is missing."""

TAGGED: dict[str, Any] = {"tags": {"CostCenter": "4711"}}
ABOUT_PERMISSIONS = ("permission", "service control policy", "stop this deployment")


def about_permissions(ended: dict[str, Any]) -> list[dict[str, str]]:
    listed = ended["warnings"]
    return [one for one in listed if any(text in one["what"] for text in ABOUT_PERMISSIONS)]


def guard(operator: Operator, kind: str, policy: dict[str, Any]) -> None:
    """Put a policy on the account, or on the caller."""
    name = {"organisation": "service_control_policies", "caller": "policies"}[kind]
    setattr(operator.cloud.settings, name, [policy])


KINDS = pytest.mark.parametrize("kind", ["organisation", "caller"])


@KINDS
@pytest.mark.parametrize("name", MET)
def test_a_guardrail_that_the_run_meets_is_no_denial(
    operator: Operator, kind: str, name: str
) -> None:
    guard(operator, kind, MET[name])
    ended = operator.run("plan", **TAGGED)
    assert (ended["exit_code"], about_permissions(ended)) == (0, [])


@KINDS
@pytest.mark.parametrize("name", UNKNOWN)
def test_a_guardrail_of_which_only_aws_knows_is_a_warning(
    operator: Operator, kind: str, name: str
) -> None:
    policy, key = UNKNOWN[name]
    operator.cloud.settings.mfa = True
    guard(operator, kind, policy)
    ended = operator.run("plan")
    assert ended["exit_code"] == 0, ended["problems"]
    (warning,) = about_permissions(ended)
    assert "ec2:RunInstances" in warning["why"]
    if kind == "caller":
        assert key in warning["why"]
    else:
        assert "service control policy of your organisation" in warning["what"]
        assert "ec2:CreateVpc" not in warning["why"], "EC2 itself was asked, and allows it"


@KINDS
def test_under_a_guardrail_everything_is_made_and_has_a_deadline(
    operator: Operator, kind: str
) -> None:
    guard(operator, kind, UNKNOWN["the address"][0])
    ended = operator.run("create", "--yes", **only("create_lambda_fs_client_vm"))
    assert ended["exit_code"] == 0, ended["problems"]
    assert ended["deadline"]["state"] == "set", ended["warnings"]


def test_a_region_that_the_organisation_closes_is_refused_before_the_first_write(
    operator: Operator,
) -> None:
    elsewhere = {"aws:RequestedRegion": "eu-west-1"}
    creates = ["ec2:Create*", "ec2:Allocate*", "ec2:Run*"]
    guard(operator, "organisation", denying(creates, StringNotEquals=elsewhere))
    (problem,) = operator.refused(**only())
    assert f"{ME} may not ec2:AllocateAddress, ec2:CreateInternetGateway, ec2:CreateVpc" in problem
    assert "only your organisation's administrators can change" in problem


def test_behind_a_denial_of_the_organisation_missing_permissions_are_still_found(
    operator: Operator,
) -> None:
    guard(operator, "organisation", denying("*", NotIpAddress=OFFICE))
    guard(operator, "caller", denying("eks:CreateCluster"))
    (problem,) = operator.refused()
    assert f"permissions are missing: {ME} may not eks:CreateCluster ->" in problem


def test_what_the_organisation_denies_is_named_where_ec2_cannot_say_it(operator: Operator) -> None:
    guard(operator, "organisation", denying("eks:CreateCluster"))
    (warning,) = about_permissions(operator.run("plan"))
    assert "says so of eks:CreateCluster;" in warning["why"]
    assert "ask your organisation's administrators" in warning["hint"]


@KINDS
def test_without_the_simulator_the_dry_runs_have_the_tags_that_a_policy_demands(
    operator: Operator, kind: str
) -> None:
    guard(operator, kind, MET["a tag"])
    operator.cloud.settings.deny = [DeniedPermission(action="iam:SimulatePrincipalPolicy")]
    ended = operator.run("plan", **TAGGED)
    assert ended["exit_code"] == 0, ended["problems"]
    (problem,) = operator.refused(**only())
    assert "may not ec2:CreateVpc" in problem


def test_a_key_that_is_missing_for_a_named_resource_is_missing(operator: Operator) -> None:
    """The simulator lists it in the part of that resource (API_ResourceSpecificResult)."""
    guard(operator, "caller", denying("eks:CreateCluster", BoolIfExists=NO_MFA))
    operator.cloud.settings.mfa = True
    (warning,) = about_permissions(operator.run("plan"))
    assert "aws:MultiFactorAuthPresent" in warning["why"]
    assert warning["why"].endswith("may deny eks:CreateCluster")


def test_a_dry_run_that_may_not_tag_names_the_permission_to_tag(operator: Operator) -> None:
    """EC2 names ec2:CreateTags where the call that tags what it creates is allowed."""
    guard(operator, "caller", denying("ec2:CreateTags"))
    operator.cloud.settings.deny = [DeniedPermission(action="iam:SimulatePrincipalPolicy")]
    (problem,) = operator.refused(**only())
    assert "may not ec2:CreateTags" in problem
