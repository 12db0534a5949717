"""A small deployment in the emulated cloud with node groups, and what the tests read of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import configure_eks_cluster
import create_aws_infrastructure
from aws_setup.cli.script import Story
from tests.support import aws
from tests.support.scripts import Ended, prepare, run

SCRIPT = create_aws_infrastructure.SCRIPT
CLUSTER = "lambda-fs-eks-cluster"
NODES = {"core-nodes": 1, "invoker-nodes": 2}
SMALL: dict[str, Any] = {
    "num_ndb_datanodes": 2,
    "num_lambda_fs_zk_vms": 1,
    "num_openwhisk_core_vms": 1,
    "num_openwhisk_invoker_vms": 2,
    "num_namenode_deployments": 10,
    "autoscaling_group_desired_capacity": 1,
}


def without_helm() -> Story:
    """Return the second script's story without its checks, one of which needs helm."""
    found = configure_eks_cluster.SCRIPT.story()
    return replace(found, prepare=lambda _: None, preflight=lambda *_: None)


NODE_SCRIPT = replace(configure_eks_cluster.SCRIPT, story=without_helm)
STATES = ("pending", "running", "stopping", "stopped")


@cache
def _client(service: str, endpoint: str) -> Any:
    return aws.client(service)


def client(service: str) -> Any:
    """Return the boto3 client of the test's cloud; making one takes longer than its calls."""
    return _client(service, os.environ["AWS_ENDPOINT_URL"])


def forget_clients() -> None:
    """Let `client` make new ones: in a fork nothing answers on the connections of the old ones."""
    _client.cache_clear()


def deploy(folder: Path, **settings: Any) -> Path:
    """Create the infrastructure with the script, and node groups with the second script."""
    prepare(folder, **{**SMALL, **settings})
    act(folder, "create")
    nodes = [word for name in NODES for word in ("--only", name)]
    ended = run(NODE_SCRIPT, folder, "configure", *nodes, "--yes", "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    return folder


def act(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """Run the first script with consent and return its JSON document."""
    ended: Ended = run(SCRIPT, folder, *words, "--yes", "--json")
    assert ended.exit_code == code, (words, ended.document["problems"], ended.stderr)
    return ended.document


def instances() -> dict[str, dict[str, Any]]:
    """Return the deployment's instances by id."""
    filters = [{"Name": "instance-state-name", "Values": list(STATES)}]
    answer = client("ec2").describe_instances(Filters=filters)
    return {
        item["InstanceId"]: item
        for reservation in answer["Reservations"]
        for item in reservation["Instances"]
    }


def shape() -> dict[str, Any]:
    """Return everything that pause changes and resume restores; nodes have new ids."""
    vms = {
        item["InstanceId"]: (item["State"]["Name"], item["PrivateIpAddress"], marks(item["Tags"]))
        for item in instances().values()
        if not any(tag["Key"] == "aws:autoscaling:groupName" for tag in item["Tags"])
    }
    groups = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    sizes = {
        group["AutoScalingGroupName"]: (
            group["MinSize"],
            group["MaxSize"],
            group["DesiredCapacity"],
            len(group["Instances"]),
            marks(group["Tags"]),
        )
        for group in groups
        if not group["AutoScalingGroupName"].startswith("eks-")
    }
    nodes = {name: (node_group(name)["scalingConfig"], eks_marks(name)) for name in NODES}
    gateways = client("ec2").describe_nat_gateways()["NatGateways"]
    live = sum(item["State"] in ("pending", "available") for item in gateways)
    addresses = len(client("ec2").describe_addresses()["Addresses"])
    return {"vms": vms, "groups": sizes, "nodes": nodes, "nat": live, "addresses": addresses}


def marks(tags: list[dict[str, str]]) -> list[str]:
    """Return the keys of the tags that say that a resource is paused."""
    keys = ("lambda-fs:paused", "lambda-fs:paused-sizes")
    return sorted(tag["Key"] for tag in tags if tag["Key"] in keys)


def node_group(name: str) -> dict[str, Any]:
    """Describe a node group."""
    answer = client("eks").describe_nodegroup(clusterName=CLUSTER, nodegroupName=name)
    return dict(answer["nodegroup"])


def eks_marks(name: str) -> list[str]:
    """Return the keys of a node group's tags that say that it is paused."""
    tags = node_group(name)["tags"]
    return marks([{"Key": key, "Value": value} for key, value in tags.items()])


def receipt(folder: Path) -> dict[str, Any]:
    """Return the steps of the receipt."""
    text = (folder / "receipts" / "lambda-fs.json").read_text(encoding="utf-8")
    steps: dict[str, Any] = json.loads(text)["steps"]
    return steps
