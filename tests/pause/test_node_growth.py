"""Node groups that exist: more nodes of them, and what somebody has deleted of their parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import (
    CLUSTER,
    NODE_SCRIPT,
    NODES,
    SMALL,
    act,
    client,
    deploy,
    instances,
    node_group,
)
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import run, write_config


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


def configure(folder: Path, verb: str = "configure") -> dict[str, Any]:
    nodes = [word for name in NODES for word in ("--only", name)]
    return run(NODE_SCRIPT, folder, verb, *nodes, "--yes", "--json").document


def running(name: str) -> int:
    tags = [{tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in instances().values()]
    return sum(one.get("eks:nodegroup-name") == name for one in tags)


def test_nodes_that_cannot_be_launched_are_no_success(
    deployed: RehearsalCloud, folder: Path
) -> None:
    write_config(folder, **{**SMALL, "num_openwhisk_invoker_vms": 4})
    deployed.settings.quotas.vcpus = 0
    failed = configure(folder)
    assert failed["result"] == "failed"
    (problem,) = failed["problems"]
    assert "invoker-nodes: 2 of 4 nodes" in problem["what"]
    assert "vCPU" in problem["why"]
    assert "request an increase" in problem["hint"]
    assert node_group("invoker-nodes")["status"] == "ACTIVE", "EKS itself says nothing"


def test_a_run_ends_when_the_new_nodes_are_there(deployed: RehearsalCloud, folder: Path) -> None:
    write_config(folder, **{**SMALL, "num_openwhisk_invoker_vms": 4})
    assert configure(folder)["result"] == "ok"
    assert running("invoker-nodes") == 4


def delete_scaling_group() -> None:
    (group,) = node_group("core-nodes")["resources"]["autoScalingGroups"]
    client("autoscaling").delete_auto_scaling_group(
        AutoScalingGroupName=group["name"], ForceDelete=True
    )


def delete_template_of_eks() -> None:
    (named,) = node_group("core-nodes")["resources"]["autoScalingGroups"]
    found = client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[named["name"]]
    )
    template = found["AutoScalingGroups"][0]["LaunchTemplate"]["LaunchTemplateId"]
    client("ec2").delete_launch_template(LaunchTemplateId=template)


def delete_our_template() -> None:
    template = node_group("core-nodes")["launchTemplate"]["id"]
    client("ec2").delete_launch_template(LaunchTemplateId=template)


@pytest.mark.kind("A2")
@pytest.mark.parametrize(
    ("delete", "what"),
    [
        (delete_scaling_group, "status"),
        (delete_template_of_eks, "status"),
        (delete_our_template, "launch template"),
    ],
)
def test_a_node_group_that_lost_a_part_is_made_again(
    deployed: RehearsalCloud, folder: Path, delete: Any, what: str
) -> None:
    before = node_group("core-nodes")["nodegroupArn"]
    delete()
    row = next(it for it in configure(folder, "plan")["steps"] if it["name"] == "core-nodes")
    assert (row["action"], row["drift"][0]["what"]) == ("update", what)
    assert "its nodes are deleted, then new ones created" in row["drift"][0]["wants"]
    assert configure(folder)["result"] == "ok"
    after = node_group("core-nodes")
    assert (after["status"], running("core-nodes")) == ("ACTIVE", 1)
    assert after["nodegroupArn"] != before
    assert {it["action"] for it in configure(folder, "plan")["steps"]} == {"exists"}


@pytest.mark.kind("A2")
def test_nodes_whose_scaling_group_is_gone_neither_stop_a_pause_nor_a_resume(
    deployed: RehearsalCloud, folder: Path
) -> None:
    delete_scaling_group()
    act(folder, "pause")
    assert {it["State"]["Name"] for it in instances().values()} == {"stopped"}
    act(folder, "resume")
    assert configure(folder)["result"] == "ok"
    assert (running("core-nodes"), running("invoker-nodes")) == (1, 2)


@pytest.mark.kind("A2")
def test_a_resume_of_nodes_without_a_template_names_what_makes_them_again(
    deployed: RehearsalCloud, folder: Path
) -> None:
    act(folder, "pause")
    delete_template_of_eks()
    (problem,) = act(folder, "resume", code=1)["problems"]
    assert "Ec2LaunchTemplateNotFound" in problem["why"]
    assert "configure" in problem["hint"]
    assert configure(folder)["result"] == "ok"
    assert running("core-nodes") == 1


@pytest.mark.kind("A2")
def test_a_number_of_nodes_that_was_set_in_the_scaling_group_is_shown_and_brought_back(
    deployed: RehearsalCloud, folder: Path
) -> None:
    (group,) = node_group("invoker-nodes")["resources"]["autoScalingGroups"]
    client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=group["name"], MaxSize=4, DesiredCapacity=4
    )
    rows = {it["name"]: it for it in configure(folder, "plan")["steps"]}
    assert [(it["has"], it["wants"]) for it in rows["invoker-nodes"]["drift"]] == [("4", "2")]
    assert configure(folder)["result"] == "ok"
    assert running("invoker-nodes") == 2


@pytest.mark.kind("A2")
def test_an_access_entry_of_the_nodes_that_was_deleted_is_made_again(
    deployed: RehearsalCloud, folder: Path
) -> None:
    eks, arn = client("eks"), node_group("core-nodes")["nodeRole"]
    entry = {"clusterName": CLUSTER, "principalArn": arn}
    before = eks.describe_access_entry(**entry)["accessEntry"]
    eks.delete_access_entry(**entry)
    rows = {it["name"]: it for it in configure(folder, "plan")["steps"]}
    assert rows["node role"]["action"] == "update"
    assert configure(folder)["result"] == "ok"
    after = eks.describe_access_entry(**entry)["accessEntry"]
    assert (after["type"], after["username"]) == (before["type"], before["username"])
    assert {it["action"] for it in configure(folder, "plan")["steps"]} == {"exists"}


@pytest.mark.kind("A2")
@pytest.mark.parametrize("lost", [("lambda-fs:deployment",), ("lambda-fs:deployment", "*")])
def test_a_node_group_that_has_lost_tags_is_kept_and_gets_them_again(
    deployed: RehearsalCloud, folder: Path, lost: tuple[str, ...]
) -> None:
    eks, before = client("eks"), node_group("core-nodes")
    arn = before["nodegroupArn"]
    keys = [*before["tags"]] if "*" in lost else [*lost]
    eks.untag_resource(resourceArn=arn, tagKeys=keys)
    planned = configure(folder, "plan")
    row = next(it for it in planned["steps"] if it["name"] == "core-nodes")
    if "*" in lost:
        assert row["action"] == "conflict"
        command = planned["problems"][0]["hint"].partition("`")[2].partition("`")[0]
        *_, named, _, tag = command.split()
        assert named == arn
        eks.tag_resource(resourceArn=named, tags=dict([tag.split("=")]))
    assert configure(folder)["result"] == "ok"
    after = node_group("core-nodes")
    assert after["nodegroupArn"] == arn
    keys = [key for key in before["tags"] if key.startswith("lambda-fs:") and "dead" not in key]
    assert {key: after["tags"].get(key) for key in keys} == {
        key: before["tags"][key] for key in keys
    }
