"""Updates and deletions that EKS accepts and then gives up: each fix that is named works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)

NODES, ADDON = "core-nodes", "coredns"
STEPS = ("--only", NODES, "--only", f"{ADDON} add-on")
WHY = {"code": "AccessDenied", "message": "a policy of the account forbids it"}
CAPACITY = {
    "code": "AsgInstanceLaunchFailures",
    "message": "Could not launch: InsufficientInstanceCapacity - no r5.xlarge in us-east-1a",
}


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        made.run("configure", *STEPS)
        yield made


def states() -> dict[str, str]:
    """Return the states of the node group and of the add-on."""
    eks = client("eks")
    group = eks.describe_nodegroup(clusterName="zoo", nodegroupName=NODES)["nodegroup"]
    addon = eks.describe_addon(clusterName="zoo", addonName=ADDON)["addon"]
    return {NODES: group["status"], ADDON: addon["status"]}


def fail(zoo: Lab, kind: str, **more: Any) -> None:
    """Let updates or deletions of a kind fail, `times` of them or all."""
    zoo.cloud.faults.add({"fault": "resource-failure", "kind": kind, **WHY, **more})


def problem_of(zoo: Lab, name: str, *words: str) -> dict[str, str]:
    """Run configure, which fails, and return what it says of one step."""
    problems = zoo.run("configure", *(words or STEPS), code=1)["problems"]
    (found,) = [one for one in problems if one["what"].startswith(name)]
    return dict(found)


def test_an_add_on_whose_update_failed_is_updated_again(zoo: Lab) -> None:
    fail(zoo, "addon-update")
    client("eks").update_addon(clusterName="zoo", addonName=ADDON, resolveConflicts="PRESERVE")
    assert states()[ADDON] == "UPDATE_FAILED"
    problem = problem_of(zoo, ADDON)
    assert "a policy of the account" in problem["why"]
    assert "updates the add-on again" in problem["hint"]
    zoo.cloud.faults.clear()
    before = client("eks").describe_addon(clusterName="zoo", addonName=ADDON)["addon"]
    zoo.run("configure", *STEPS)
    after = client("eks").describe_addon(clusterName="zoo", addonName=ADDON)["addon"]
    assert after["status"] == "ACTIVE"
    assert after["addonVersion"] == before["addonVersion"]
    assert after["addonArn"] == before["addonArn"], "it is not re-created"


def test_what_was_not_deleted_is_deleted_again_and_re_created(zoo: Lab) -> None:
    fail(zoo, "addon-deletion", times=1)
    fail(zoo, "nodegroup-deletion", times=1)
    eks = client("eks")
    eks.delete_addon(clusterName="zoo", addonName=ADDON)
    eks.delete_nodegroup(clusterName="zoo", nodegroupName=NODES)
    assert states() == {NODES: "DELETE_FAILED", ADDON: "DELETE_FAILED"}
    zoo.run("configure", *STEPS)
    assert states() == {NODES: "ACTIVE", ADDON: "ACTIVE"}
    assert {row["action"] for row in zoo.run("configure", *STEPS)["steps"]} == {"exists"}


def test_a_degraded_node_group_without_capacity_is_told_what_changes_it(zoo: Lab) -> None:
    zoo.cloud.faults.add({"fault": "health-issue", "kind": "nodegroup", "name": NODES, **CAPACITY})
    problem = problem_of(zoo, NODES, "--only", NODES)
    assert "DEGRADED" in problem["what"]
    assert "re-creates" not in problem["hint"], "a DEGRADED one is not re-created"
    assert f"delete the node group {NODES}" in problem["hint"]
    # What the hint says, done.
    zoo.cloud.faults.clear()
    client("eks").delete_nodegroup(clusterName="zoo", nodegroupName=NODES)
    zoo.save(openwhisk_core_instance_type="m5.xlarge")
    zoo.run("configure", "--only", NODES)
    group = client("eks").describe_nodegroup(clusterName="zoo", nodegroupName=NODES)["nodegroup"]
    assert (group["status"], group["instanceTypes"]) == ("ACTIVE", ["m5.xlarge"])
