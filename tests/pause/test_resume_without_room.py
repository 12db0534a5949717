"""resume where AWS cannot launch: the quota is checked before, and the cause is said soon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import NODES, act, client, deploy, instances, node_group, shape
from tests.support.copies import SHARED, World, shared_cloud


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        folder = deploy(tmp_path_factory.mktemp("world") / "work")
        act(folder, "pause")
        yield World(cloud, folder)


VCPUS = {"r5.4xlarge": 16, "r5.xlarge": 4}


def test_a_quota_that_is_too_small_now_is_named_before_anything_starts(
    deployed: RehearsalCloud, folder: Path
) -> None:
    before, stopped = shape(), instances().values()
    groups = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    scaled = sum(not group["AutoScalingGroupName"].startswith("eks-") for group in groups)
    needed = sum(VCPUS[item["InstanceType"]] for item in stopped) + 16 * scaled
    needed += sum(VCPUS[node_group(name)["instanceTypes"][0]] * n for name, n in NODES.items())
    deployed.settings.quotas.vcpus = needed - 1
    ec2 = client("ec2")
    (key,) = ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    ec2.delete_key_pair(KeyName=key["KeyName"])
    refused = act(folder, "resume", code=2)
    problem, lost = sorted(refused["problems"], key=lambda it: "no key pair" in it["what"])
    assert key["KeyName"] in lost["what"], "with which AWS launches nodes and scaled machines"
    ec2.import_key_pair(KeyName=key["KeyName"], PublicKeyMaterial=key["PublicKey"].encode())
    assert f"{needed} are needed and 0 are in use" in problem["why"]
    assert shape() == before
    deployed.settings.quotas.vcpus = needed
    act(folder, "resume")
    assert {item["State"]["Name"] for item in instances().values()} == {"running"}


def test_nodes_that_cannot_be_launched_end_the_wait_with_the_cause(
    deployed: RehearsalCloud, folder: Path
) -> None:
    issue: dict[str, Any] = {
        "code": "AsgInstanceLaunchFailures",
        "message": "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested "
        "more vCPU capacity than your current vCPU limit of 64 allows.",
    }
    for zone in client("ec2").describe_availability_zones()["AvailabilityZones"]:
        lack = {"zone": zone["ZoneName"], "instance_type": "r5.xlarge"}
        deployed.faults.add({"fault": "no-capacity", **lack})
    deployed.faults.add({"fault": "health-issue", "kind": "nodegroup", "name": "core*", **issue})
    failed = act(folder, "resume", code=1)
    assert failed["seconds"] < 300
    (problem,) = [it for it in failed["problems"] if it["what"].startswith("core-nodes")]
    assert "VcpuLimitExceeded" in problem["why"]
    assert "request an increase" in problem["hint"]
    deployed.faults.clear()
    # Auto Scaling tries again by itself; the emulated one, whose delays are off, when it is asked.
    name = node_group("core-nodes")["resources"]["autoScalingGroups"][0]["name"]
    client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    act(folder, "resume")
    assert {item["State"]["Name"] for item in instances().values()} == {"running"}
