"""The log group that EKS makes for a cluster's logs: it stays, and destroy names it."""

from __future__ import annotations

import pytest

from aws_setup.rehearsal.core.settings import DeniedPermission
from tests.support.aws import client
from tests.support.preflight import Operator, only, operator, settings

__all__ = ["operator", "settings"]

GROUP = "/aws/eks/lambda-fs-eks-cluster/cluster"


def _groups(user: Operator) -> list[str]:
    return [item.id for item in user.cloud.snapshot() if item.kind == "log group"]


@pytest.mark.kind("A7")
def test_destroy_names_the_log_group_that_stays(operator: Operator) -> None:
    keys = only("create_eks_cluster")
    assert operator.run("create", "--yes", **keys)["exit_code"] == 0
    assert _groups(operator) == []
    # Logs that are switched on later are written, too.
    assert operator.run("create", "--yes", **keys, eks_log_types=["audit"])["exit_code"] == 0
    assert _groups(operator) == [GROUP]
    # EKS knows that they are enabled, where the configuration no longer says so.
    ended = operator.run("destroy", "--yes", **keys)
    assert (ended["exit_code"], _groups(operator)) == (0, [GROUP])
    [fix] = [problem["hint"] for problem in ended["warnings"] if GROUP in problem["what"]]
    assert f"delete-log-group --log-group-name {GROUP} --region us-east-1" in fix


@pytest.mark.kind("A7")
@pytest.mark.parametrize("denied", [False, True])
def test_it_is_named_as_well_where_logs_were_switched_off(operator: Operator, denied: bool) -> None:
    """Only AWS knows that they were enabled; who may not ask is told nothing that may be false."""
    keys = only("create_eks_cluster")
    assert operator.run("create", "--yes", **keys, eks_log_types=["audit"])["exit_code"] == 0
    assert operator.run("create", "--yes", **keys)["exit_code"] == 0
    if denied:
        operator.cloud.settings.deny = [DeniedPermission(action="logs:DescribeLogGroups")]
    ended = operator.run("destroy", "--yes", **keys)
    assert (ended["exit_code"], _groups(operator)) == (0, [GROUP])
    named = [problem["hint"] for problem in ended["warnings"] if GROUP in problem["what"]]
    assert len(named) == int(not denied)
    client("logs").delete_log_group(logGroupName=GROUP)
    operator.cloud.settings.deny = []
    ended = operator.run("destroy", "--yes", **keys)
    assert not [problem for problem in ended["warnings"] if GROUP in problem["what"]]


@pytest.mark.kind("A7")
def test_enabled_logs_are_named_to_who_may_not_ask_for_them(operator: Operator) -> None:
    keys = only("create_eks_cluster")
    assert operator.run("create", "--yes", **keys, eks_log_types=["audit"])["exit_code"] == 0
    operator.cloud.settings.deny = [DeniedPermission(action="logs:DescribeLogGroups")]
    ended = operator.run("destroy", "--yes", **keys)
    [fix] = [problem["hint"] for problem in ended["warnings"] if GROUP in problem["what"]]
    assert f"--log-group-name {GROUP}" in fix


@pytest.mark.kind("A7")
def test_without_logs_nothing_is_said_of_a_log_group(operator: Operator) -> None:
    keys = only("create_eks_cluster")
    for verb in ("create", "destroy"):
        ended = operator.run(verb, "--yes", **keys)
        assert ended["exit_code"] == 0
        assert not [problem for problem in ended["warnings"] if "log group" in problem["what"]]
