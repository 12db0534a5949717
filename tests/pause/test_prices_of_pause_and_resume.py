"""What pause and resume say that a deployment costs, against what status counts of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.aws.pricing import TABLE
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import CLUSTER, SCRIPT, act, client, deploy, instances
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import run

OWNED = {"Key": f"kubernetes.io/cluster/{CLUSTER}", "Value": "owned"}


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


def use_the_cluster() -> None:
    """Make a load balancer and a volume as the cluster makes them for a program of the user."""
    ec2 = client("ec2")
    tag = {"Name": "tag:lambda-fs:step", "Values": ["public subnet 1"]}
    (subnet,) = ec2.describe_subnets(Filters=[tag])["Subnets"]
    client("elb").create_load_balancer(
        LoadBalancerName="dashboard",
        Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 443, "InstancePort": 30443}],
        Subnets=[subnet["SubnetId"]],
        Tags=[OWNED],
    )
    ec2.create_volume(
        AvailabilityZone=subnet["AvailabilityZone"],
        Size=200,
        VolumeType="gp3",
        TagSpecifications=[{"ResourceType": "volume", "Tags": [OWNED]}],
    )


def hourly(folder: Path) -> float:
    return float(act(folder, "status")["cost"]["hourly_usd"])


def test_resume_asks_for_consent_to_what_it_makes_run(folder: Path) -> None:
    use_the_cluster()
    client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="lambda_fs_clients_ags", DesiredCapacity=2
    )
    before = hourly(folder)
    act(folder, "pause")
    shown = act(folder, "resume")
    assert shown["hourly_usd"] == pytest.approx(before, rel=0.005), "2 clients by the tag"
    assert hourly(folder) == pytest.approx(before, rel=0.005)
    act(folder, "pause", "--only", "invoker-nodes")
    lines = run(SCRIPT, folder, "resume", "--yes").stdout.splitlines()
    said = [line for line in lines if line.startswith("Estimated cost until destroy")]
    assert f"${before:.2f} per hour" in said[0]


def test_pause_of_a_part_counts_what_runs_on(folder: Path) -> None:
    """Also a machine that others added to the cluster, which no step stops."""
    tag = [{"Key": key, "Value": "owned"} for key in (OWNED["Key"],)]
    image = next(iter(instances().values()))["ImageId"]
    client("ec2").run_instances(
        ImageId=image,
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tag}],
    )
    paused = act(folder, "pause", "--only", "invoker-nodes")["hourly_usd"]
    assert paused == pytest.approx(hourly(folder) + 0.096, rel=0.01)
    assert paused > 4 * 1.008, "NDB, ZooKeeper and core nodes run"
    everything = act(folder, "pause")["hourly_usd"]
    assert everything == pytest.approx(hourly(folder) + 0.096, rel=0.03)


def test_sums_without_a_price_say_that_they_are_the_least(
    deployed: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {key: usd for key, usd in TABLE.items() if key not in ("ec2:r5.4xlarge", "nat")}
    monkeypatch.setattr("aws_setup.aws.pricing.TABLE", known)
    deployed.settings.deny = [DeniedPermission(action="pricing:GetProducts")]
    for path in folder.rglob("*.prices"):
        path.unlink()
    assert "at least $" in run(SCRIPT, folder, "pause", "--yes").stdout.partition("Paused.")[2]
    lines = run(SCRIPT, folder, "resume", "--yes").stdout
    assert "Estimated cost until destroy: at least $" in lines
