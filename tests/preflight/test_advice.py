"""Looks that are advice only never stop a run, whatever they answer."""

from __future__ import annotations

import pytest

from tests.support.preflight import Operator, only

ADVICE = (
    "pricing.GetProducts",
    "service-quotas.ListServiceQuotas",
    "service-quotas.ListAWSDefaultServiceQuotas",
    "iam.SimulatePrincipalPolicy",
    "ec2.DescribeInstanceTypes",
    "ec2.DescribeInstanceTypeOfferings",
    "eks.DescribeClusterVersions",
)


@pytest.mark.kind("A11")
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "foreign-answer"},
        {"fault": "foreign-answer", "body": ""},
        {"fault": "foreign-answer", "body": "[]"},
        {"fault": "cut-answer"},
    ],
    ids=["html", "nothing", "list", "cut"],
)
def test_an_answer_that_is_none_of_aws_is_a_warning(
    operator: Operator, fault: dict[str, str]
) -> None:
    operator.cloud.faults.add(*(fault | {"action": name} for name in ADVICE))
    ended = operator.run("plan", **only("create_eks_cluster", "create_lambda_fs_client_vm"))
    assert ended["problems"] == []
    warned = {problem["what"] for problem in ended["warnings"]}
    assert "the permissions could not be checked in advance" in warned
    assert any("quota" in what for what in warned)
    hints = [warning["hint"] for warning in ended["warnings"]]
    assert not any("grant the permission" in hint and "if one" not in hint for hint in hints), hints
    assert "did not answer" in ended["prices"]["source"]


@pytest.mark.kind("A11")
@pytest.mark.parametrize("fault", ["foreign-answer", "cut-answer"])
def test_a_list_that_is_none_of_aws_is_no_empty_list(operator: Operator, fault: str) -> None:
    small = only("create_lambda_fs_client_vm")
    assert operator.run("create", "--yes", **small)["exit_code"] == 0
    operator.cloud.faults.add({"fault": fault, "action": "ec2.DescribeVpcs"})
    ended = operator.run("create", "--yes", **small)
    assert ended["exit_code"] != 0
    assert "proxy" in " ".join(problem["hint"] for problem in ended["problems"])
    operator.cloud.faults.clear()
    owned = [item for item in operator.cloud.snapshot() if item.kind == "vpc" and item.tags]
    assert len(owned) == 1


@pytest.mark.kind("A11")
@pytest.mark.parametrize("fault", ["foreign-answer", "cut-answer"])
@pytest.mark.parametrize(
    "action", ["sts.GetCallerIdentity", "autoscaling.DescribeAutoScalingGroups"]
)
def test_a_page_of_a_proxy_is_named_for_every_protocol(
    operator: Operator, fault: str, action: str
) -> None:
    operator.cloud.faults.add({"fault": fault, "action": action})
    ended = operator.run("plan", **only("create_autoscaling_groups", "create_launch_templates"))
    assert ended["problems"]
    for problem in ended["problems"]:
        assert "not one of AWS" in problem["why"]
        assert "proxy" in problem["hint"]
