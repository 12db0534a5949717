"""Updates and deletions of EKS that are still in progress, or that it has given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import create_aws_infrastructure
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.clock import advance_by_calls
from tests.support.cluster import Lab, lab
from tests.support.eks import NODE_POLICIES, role
from tests.support.scripts import prepare, run, write_config

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
    """Return the states of the node group and of the add-on, as far as they exist."""
    eks, found = client("eks"), {}
    if NODES in eks.list_nodegroups(clusterName="zoo")["nodegroups"]:
        group = eks.describe_nodegroup(clusterName="zoo", nodegroupName=NODES)["nodegroup"]
        found[NODES] = group["status"]
    if ADDON in eks.list_addons(clusterName="zoo")["addons"]:
        addon = eks.describe_addon(clusterName="zoo", addonName=ADDON)["addon"]
        found[ADDON] = addon["status"]
    return found


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


def updates_take(cloud: RehearsalCloud, calls: int) -> None:
    """Let the next updates of EKS last for so many calls; a second each."""
    advance_by_calls(cloud, 1.0)
    for kind in ("cluster update", "node group update", "addon active"):
        cloud.latencies[kind] = float(calls)


def accepted(cloud: RehearsalCloud, action: str) -> int:
    """Return how many updates EKS has accepted."""
    return sum(call.status == 200 for call in cloud.calls.named(action))


def test_the_update_of_a_killed_run_is_waited_for_and_not_repeated(zoo: Lab) -> None:
    eks = client("eks")
    updates_take(zoo.cloud, 150)
    group = {"clusterName": "zoo", "nodegroupName": NODES}
    two = {"minSize": 2, "maxSize": 2, "desiredSize": 2}
    eks.update_nodegroup_config(**group, scalingConfig=two)
    eks.update_addon(clusterName="zoo", addonName=ADDON, addonVersion=older(eks))
    assert states() == {NODES: "UPDATING", ADDON: "UPDATING"}
    zoo.save(num_openwhisk_core_vms=2, eks_addon_versions={ADDON: older(eks)})
    zoo.run("configure", *STEPS)
    assert accepted(zoo.cloud, "UpdateNodegroupConfig") == 1, (
        "the earlier update was the wanted one"
    )
    assert accepted(zoo.cloud, "UpdateAddon") == 1
    found = eks.describe_nodegroup(**group)["nodegroup"]
    assert (found["status"], found["scalingConfig"]) == ("ACTIVE", two)


def test_after_the_update_of_a_killed_run_what_still_differs_is_updated(zoo: Lab) -> None:
    eks = client("eks")
    updates_take(zoo.cloud, 150)
    group = {"clusterName": "zoo", "nodegroupName": NODES}
    eks.update_nodegroup_config(**group, labels={"addOrUpdateLabels": {"team": "storage"}})
    eks.update_addon(clusterName="zoo", addonName=ADDON, resolveConflicts="PRESERVE")
    assert states() == {NODES: "UPDATING", ADDON: "UPDATING"}
    zoo.save(eks_node_disk_size=77, eks_addon_versions={ADDON: older(eks)})
    zoo.save(num_openwhisk_core_vms=2)
    zoo.run("configure", *STEPS, "--only", f"{NODES} template")
    found = eks.describe_nodegroup(**group)["nodegroup"]
    assert found["scalingConfig"]["desiredSize"] == 2
    assert found["launchTemplate"]["version"] == "2"
    assert found["labels"]["team"] == "storage"
    addon = eks.describe_addon(clusterName="zoo", addonName=ADDON)["addon"]
    assert (addon["status"], addon["addonVersion"]) == ("ACTIVE", older(eks))


def test_an_update_that_is_not_shown_is_waited_for(zoo: Lab) -> None:
    """EKS's own update of a cluster, during which that is ACTIVE."""
    busy = {"code": "ResourceInUseException", "status": 409, "times": 2}
    for action in ("UpdateNodegroupConfig", "UpdateAddon"):
        zoo.cloud.faults.add({"fault": "fail", "action": action, **busy})
    zoo.save(num_openwhisk_core_vms=2, eks_addon_versions={ADDON: older(client("eks"))})
    zoo.run("configure", *STEPS)
    assert {row["action"] for row in zoo.run("configure", *STEPS)["steps"]} == {"exists"}


def older(eks: Any) -> str:
    """Return the oldest version of the add-on."""
    (listed,) = eks.describe_addon_versions(addonName=ADDON)["addons"]
    return str(listed["addonVersions"][-1]["addonVersion"])


@pytest.mark.parametrize("kinds", [["api"], ["audit"]])
def test_the_update_of_a_cluster_is_waited_for_and_then_compared_again(
    cloud: RehearsalCloud, tmp_path: Path, kinds: list[str]
) -> None:
    folder = prepare(tmp_path / "work")
    only = ("--yes", "--json", "--only", "eks cluster")
    assert run(create_aws_infrastructure.SCRIPT, folder, *only).exit_code == 0
    eks, name = client("eks"), "lambda-fs-eks-cluster"
    updates_take(cloud, 150)
    api = {"clusterLogging": [{"types": ["api"], "enabled": True}]}
    eks.update_cluster_config(name=name, logging=api)
    assert eks.describe_cluster(name=name)["cluster"]["status"] == "UPDATING"
    write_config(folder, eks_log_types=kinds)
    ended = run(create_aws_infrastructure.SCRIPT, folder, *only)
    assert ended.exit_code == 0, ended.document["problems"]
    cluster = eks.describe_cluster(name=name)["cluster"]
    on = [it["types"] for it in cluster["logging"]["clusterLogging"] if it["enabled"]]
    assert (cluster["status"], on) == ("ACTIVE", [kinds])
    assert accepted(cloud, "UpdateClusterConfig") == (1 if kinds == ["api"] else 2)


def seconds_of_clock(zoo: Lab) -> float:
    """Return the seconds that have passed for the cloud."""
    return float(zoo.cloud.clock.now())


@pytest.mark.parametrize(
    ("step", "kind", "action", "requests"),
    [
        (NODES, "nodegroup-deletion", "DeleteNodegroup", 2),
        (f"{ADDON} add-on", "addon-deletion", "DeleteAddon", 1),
    ],
)
def test_a_deletion_that_eks_gives_up_fails_with_its_reason(
    zoo: Lab, step: str, kind: str, action: str, requests: int
) -> None:
    fail(zoo, kind)
    advance_by_calls(zoo.cloud, 5.0)
    began = seconds_of_clock(zoo)
    ended = zoo.run("destroy", "--only", step, code=None)
    assert ended["result"] in ("failed", "leftovers")
    (problem,) = [one for one in ended["problems"] if one["what"].startswith(step)]
    assert "DELETE_FAILED" in problem["what"]
    assert "a policy of the account forbids it" in problem["why"]
    assert len(zoo.cloud.calls.named(action)) == requests, "a node group is tried twice"
    assert seconds_of_clock(zoo) - began < 900, "it does not wait until the deadline"
    zoo.cloud.faults.clear()
    assert zoo.run("destroy", "--only", step)["result"] == "ok"
    assert not states().get(step.split(maxsplit=1)[0])


def test_a_node_group_that_is_deleted_at_the_second_attempt_is_no_failure(zoo: Lab) -> None:
    fail(zoo, "nodegroup-deletion", times=1)
    assert zoo.run("destroy", "--only", NODES)["result"] == "ok"
    assert NODES not in states()


@pytest.mark.parametrize("kind", ["cluster-deletion", "nodegroup-deletion"])
def test_a_destroy_whose_deletion_eks_gives_up_says_why_and_goes_on_later(
    cloud: RehearsalCloud, tmp_path: Path, kind: str
) -> None:
    folder = prepare(tmp_path / "work")
    script = create_aws_infrastructure.SCRIPT
    assert run(script, folder, "--yes", "--only", "eks cluster").exit_code == 0
    if kind == "nodegroup-deletion":
        add_node_group("mine")
    why = {"code": "ResourceNotFound", "message": "the subnet of the cluster is gone"}
    cloud.faults.add({"fault": "resource-failure", "kind": kind, **why})
    ended = run(script, folder, "destroy", "--yes", "--json")
    assert ended.exit_code in (1, 3)
    what = "EKS cluster lambda-fs-eks-cluster" if kind == "cluster-deletion" else "node group mine"
    (problem,) = [one for one in ended.document["problems"] if what in one["what"]]
    assert "the subnet of the cluster is gone" in problem["why"]
    cloud.faults.clear()
    assert run(script, folder, "destroy", "--yes").exit_code == 0
    assert client("eks").list_clusters()["clusters"] == []


def add_node_group(name: str) -> None:
    """Add a node group to the cluster, as a user does in the console."""
    eks, cluster = client("eks"), "lambda-fs-eks-cluster"
    network = eks.describe_cluster(name=cluster)["cluster"]["resourcesVpcConfig"]
    eks.create_nodegroup(
        clusterName=cluster,
        nodegroupName=name,
        subnets=network["subnetIds"][:2],
        nodeRole=role("mine", "ec2.amazonaws.com", *NODE_POLICIES),
        scalingConfig={"minSize": 0, "maxSize": 1, "desiredSize": 0},
    )
