"""What a run launches for groups that exist is checked like the launches of new ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.aws.tags import STEP_TAG
from aws_setup.eks.node_group_problems import REPLACED
from aws_setup.eks.node_groups import CONFIG, VERSION, NodeGroup
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action, Drift, DriftKey, Found
from aws_setup.preflight.cluster import _launched_nodes
from aws_setup.rehearsal.aws.ec2.images import Images
from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission
from tests.support.aws import client
from tests.support.preflight import Operator, only

ZOOKEEPER = only("create_zookeeper_vms") | {"num_lambda_fs_zk_vms": 1}
SCALING = only("create_launch_templates", "create_autoscaling_groups")
DESIRED = "autoscaling_group_desired_capacity"


def made(operator: Operator, **keys: Any) -> None:
    ended = operator.run("create", "--yes", **keys)
    assert ended["result"] == "ok", ended["problems"]


def remove_image(operator: Operator, ami: str) -> None:
    """Deregister a published AMI, as its owner can."""
    images = operator.cloud.store_of(Images)
    del images["us-east-1", ami]


def test_more_machines_of_a_group_count_against_the_quota(operator: Operator) -> None:
    made(operator, **ZOOKEEPER)
    operator.cloud.settings.quotas.vcpus = 16 * 3 - 1
    (problem,) = operator.refused(**ZOOKEEPER | {"num_lambda_fs_zk_vms": 3})
    assert "32 are needed and 16 are in use" in problem
    operator.cloud.settings.quotas.vcpus = 16 * 3
    made(operator, **ZOOKEEPER | {"num_lambda_fs_zk_vms": 3})


def test_a_deleted_key_pair_of_launch_templates_is_what_status_warns_of(operator: Operator) -> None:
    made(operator, **SCALING)
    assert operator.run("status", **SCALING)["warnings"] == []
    client("ec2").delete_key_pair(KeyName="researcher")
    before = len(operator.cloud.calls)
    assert operator.run("create", "--yes", **SCALING)["warnings"] == []
    assert "DescribeKeyPairs" not in [call.action for call in operator.cloud.calls[before:]]
    (warning,) = operator.run("status", **SCALING)["warnings"]
    assert warning["what"] == "us-east-1 has no key pair researcher"
    assert "hopsfs_clients" in warning["why"]
    assert "aws ec2 import-key-pair --key-name researcher" in warning["hint"]


def test_a_terminated_machine_is_replaced_only_where_it_can_be(operator: Operator) -> None:
    keys = ZOOKEEPER | {"num_lambda_fs_zk_vms": 2}
    made(operator, **keys)
    filters = [{"Name": f"tag:{STEP_TAG}", "Values": ["zookeeper"]}]
    answer = client("ec2").describe_instances(Filters=filters)["Reservations"]
    client("ec2").terminate_instances(InstanceIds=[answer[0]["Instances"][0]["InstanceId"]])
    ami = str(answer[0]["Instances"][0]["ImageId"])
    client("ec2").delete_key_pair(KeyName="researcher")
    remove_image(operator, ami)
    key_pair, image = sorted(operator.refused(**keys), key=lambda one: ami in one)
    assert "us-east-1 has no key pair researcher" in key_pair
    assert f"us-east-1 has no AMI {ami} (zookeeper_ami)" in image
    assert "it was deregistered" in image
    assert "copy-amis" not in image
    assert "create-image --no-reboot" in image


def machines(step: str) -> list[dict[str, Any]]:
    """Return the running machines of a group, in the order of their names."""
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    filters = [{"Name": f"tag:{STEP_TAG}", "Values": [step]}, *states]
    answer = client("ec2").describe_instances(Filters=filters)["Reservations"]
    found: list[dict[str, Any]] = [item for one in answer for item in one["Instances"]]
    return sorted(found, key=lambda item: item["InstanceId"])


def image_of(operator: Operator, machine: dict[str, Any]) -> str:
    """Make an AMI of a machine, as the command of the fix does; it belongs to the account."""
    images = operator.cloud.store_of(Images)
    source = next(image for (_, ami), image in images.items() if ami == machine["ImageId"])
    made = source | {"ImageId": "ami-0aaaaaaaaaaaaaaaa", "OwnerId": ACCOUNT, "Public": False}
    images["us-east-1", made["ImageId"]] = made
    return str(made["ImageId"])


NDB = only("create_ndb_cluster") | {"num_ndb_datanodes": 4}


@pytest.mark.parametrize(
    ("keys", "step", "key"),
    [
        (NDB, "ndb data nodes 1", "ndb_datanode1_ami"),
        (ZOOKEEPER | {"num_lambda_fs_zk_vms": 3}, "zookeeper", "zookeeper_ami"),
    ],
)
def test_a_lost_machine_whose_ami_was_withdrawn_is_replaced_from_another_one(
    operator: Operator, keys: dict[str, Any], step: str, key: str
) -> None:
    made(operator, **keys)
    lost, *kept = machines(step)
    client("ec2").terminate_instances(InstanceIds=[lost["InstanceId"]])
    copy = image_of(operator, kept[0])
    remove_image(operator, lost["ImageId"])
    (problem,) = operator.refused(**keys)
    assert f"--instance-id {kept[0]['InstanceId']}" in problem
    assert f"set {key} to an AMI of us-east-1" in problem
    assert "machines that exist keep theirs" in problem
    made(operator, **keys | {key: copy})
    after = {item["InstanceId"]: item["ImageId"] for item in machines(step)}
    assert sorted(after.values()) == sorted([copy, *(item["ImageId"] for item in kept)])
    again = operator.run("create", "--yes", **keys | {key: copy})
    row = next(row for row in again["steps"] if row["name"] == step)
    assert row["action"] == "exists"
    assert row["notes"] == [f"made from {lost['ImageId']}; new ones are made from {copy}"]
    assert not [one for one in again["warnings"] if step in one["what"]]


def test_another_ami_of_machines_that_exist_is_for_later_ones(operator: Operator) -> None:
    made(operator, **ZOOKEEPER)
    copy = image_of(operator, machines("zookeeper")[0])
    ended = operator.run("create", "--yes", **ZOOKEEPER | {"zookeeper_ami": copy})
    assert ended["result"] == "ok"
    (warning,) = [one for one in ended["warnings"] if "zookeeper" in one["what"]]
    assert f"{copy} (zookeeper_ami) is for machines launched later" in warning["what"]
    assert 'run destroy --only "zookeeper", then create' in warning["hint"]


def test_disks_are_compared_with_the_ami_that_their_machine_was_made_from(
    operator: Operator,
) -> None:
    made(operator, **ZOOKEEPER)
    (machine,) = machines("zookeeper")
    copy = image_of(operator, machine)
    volume = machine["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    client("ec2").modify_volume(VolumeId=volume, VolumeType="gp3", Iops=4000)
    planned = operator.run("plan", **ZOOKEEPER | {"zookeeper_ami": copy})
    row = next(row for row in planned["steps"] if row["name"] == "zookeeper")
    assert row["action"] == "update"


def test_a_denied_launch_of_a_missing_machine_is_known_before(operator: Operator) -> None:
    made(operator, **ZOOKEEPER)
    operator.cloud.settings.deny.append(DeniedPermission(action="ec2:RunInstances"))
    problems = operator.refused(**ZOOKEEPER | {"num_lambda_fs_zk_vms": 2})
    assert any("zookeeper" in one or "ec2:RunInstances" in one for one in problems)


def test_more_machines_of_a_scaling_group_count_against_the_quota(operator: Operator) -> None:
    made(operator, **SCALING)
    operator.cloud.settings.quotas.vcpus = 16 * 6 - 1
    (problem,) = operator.refused(**SCALING | {DESIRED: 2})
    assert "96 are needed and 0 are in use" in problem
    operator.cloud.settings.quotas.vcpus = 16 * 6
    made(operator, **SCALING | {DESIRED: 2})


def test_a_template_that_changes_needs_its_ami(operator: Operator) -> None:
    made(operator, **SCALING)
    problems = operator.refused(**SCALING | {"hopsfs_ami": "ami-0123456789abcdef0"})
    (problem,) = problems
    assert "us-east-1 has no AMI ami-0123456789abcdef0 (hopsfs_ami)" in problem


def row(action: Action, *keys: str) -> Row:
    step = NodeGroup(NodeGroupSpec("invoker-nodes", "invoker", "r5.4xlarge", 12))
    drift = tuple(Drift("", "", "", key=key) for key in keys)
    found = None if action is Action.CREATE else Found("invoker-nodes", drift=drift)
    return Row(step, action, found)


@pytest.mark.parametrize(
    ("planned", "counts"),
    [
        (row(Action.CREATE), [12]),
        (row(Action.UPDATE, CONFIG), [4]),
        (row(Action.UPDATE, DriftKey.STATUS), [4]),
        (row(Action.UPDATE, REPLACED), [12]),
        (row(Action.UPDATE, VERSION), [4]),
        (row(Action.UPDATE, "tags"), []),
        (row(Action.EXISTS), []),
    ],
)
def test_the_nodes_that_a_configure_launches(planned: Row, counts: list[int]) -> None:
    """Eight exist, and twelve are wanted."""
    tags = [{"Key": STEP_TAG, "Value": "invoker-nodes"}]
    nodes = [{"InstanceId": f"i-{n}", "State": {"Name": "running"}, "Tags": tags} for n in range(8)]
    ctx: Any = SimpleNamespace(inventory=SimpleNamespace(of_step=lambda *_, **__: nodes))
    assert [launch.count for launch in _launched_nodes(ctx, planned)] == counts
