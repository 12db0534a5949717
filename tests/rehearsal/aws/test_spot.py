"""Spot Instances of the rehearsal cloud.

Pages: Auto Scaling API reference (API_MixedInstancesPolicy, API_InstancesDistribution,
API_LaunchTemplate), EC2 API reference (API_SpotMarketOptions, API_DescribeSpotPriceHistory), EC2
user guide (Spot Instance quotas, Stop a Spot Instance), EKS user guide (launch templates).
"""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.rehearsal.aws.test_autoscaling import Machines
from tests.support.aws import IMAGE, client, network, refused, run
from tests.support.eks import instances

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


@pytest.fixture
def machines(cloud: RehearsalCloud) -> Machines:
    return Machines()


def policy(*types: str, **spread: Any) -> dict[str, Any]:
    """Return a mixed instances policy of some types, all of them Spot unless `spread` differs."""
    template = {
        "LaunchTemplateSpecification": {"LaunchTemplateName": "template", "Version": "$Default"},
        "Overrides": [{"InstanceType": kind} for kind in types],
    }
    default = {"OnDemandPercentageAboveBaseCapacity": 0}
    return {"LaunchTemplate": template, "InstancesDistribution": default | spread}


def launched() -> list[tuple[str, str]]:
    """Return type and market of each machine of the group."""
    made = instances(**{"aws:autoscaling:groupName": "clients"})
    return sorted((item["InstanceType"], item.get("InstanceLifecycle", "")) for item in made)


def test_a_policy_launches_spot_of_a_type_that_has_capacity(
    cloud: RehearsalCloud, machines: Machines
) -> None:
    """API_LaunchTemplate, Overrides: another type where the first has no capacity."""
    for zone in ("us-east-1a", "us-east-1b"):
        cloud.settings.not_offered.setdefault(zone, []).append("r5.xlarge")
    mixed = policy("r5.xlarge", "r5a.xlarge", OnDemandBaseCapacity=1)
    machines.create(LaunchTemplate=None, MixedInstancesPolicy=mixed, DesiredCapacity=3)
    assert launched() == [("r5a.xlarge", ""), ("r5a.xlarge", "spot"), ("r5a.xlarge", "spot")]
    shown = machines.found()
    assert "LaunchTemplate" not in shown
    spread = shown["MixedInstancesPolicy"]["InstancesDistribution"]
    assert spread["SpotAllocationStrategy"] == "lowest-price", "the default"


@pytest.mark.parametrize(
    "mixed",
    [
        policy("r5.xlarge", "r5.xlarge"),
        policy("r5.nonsense"),
        policy("r5.xlarge", OnDemandPercentageAboveBaseCapacity=101),
        policy("r5.xlarge", SpotAllocationStrategy="cheapest"),
        policy("r5.xlarge", SpotAllocationStrategy="capacity-optimized", SpotInstancePools=2),
        {"LaunchTemplate": {"Overrides": []}},
    ],
)
def test_what_a_policy_must_not_be(machines: Machines, mixed: dict[str, Any]) -> None:
    """API_InstancesDistribution: ValidationError."""
    wrong = {"LaunchTemplate": None, "MixedInstancesPolicy": mixed}
    assert refused(machines.create, **wrong) == "ValidationError"


def test_a_group_has_a_template_or_a_policy(machines: Machines) -> None:
    """API_UpdateAutoScalingGroup: one replaces the other; a policy replaces running machines."""
    mixed = policy("r5.xlarge")
    assert refused(machines.create, MixedInstancesPolicy=mixed) == "ValidationError"
    machines.create()
    update = machines.scaling.update_auto_scaling_group
    update(AutoScalingGroupName="clients", MixedInstancesPolicy=mixed, DesiredCapacity=3)
    assert [market for _, market in launched()] == ["spot", "spot", "spot"]
    back = {"LaunchTemplateName": "template", "Version": "$Default"}
    update(AutoScalingGroupName="clients", LaunchTemplate=back, DesiredCapacity=4)
    assert [market for _, market in launched()] == ["", "spot", "spot", "spot"]
    half = policy("r5.xlarge", OnDemandPercentageAboveBaseCapacity=50)
    update(AutoScalingGroupName="clients", MixedInstancesPolicy=half)
    assert [market for _, market in launched()] == ["", "", "spot", "spot"]
    update(AutoScalingGroupName="clients", LaunchTemplate=back)
    assert "MixedInstancesPolicy" not in machines.found()


def test_spot_has_its_own_quota_and_is_never_stopped(cloud: RehearsalCloud) -> None:
    """EC2 error codes MaxSpotInstanceCountExceeded and UnsupportedOperation."""
    ec2 = client("ec2")
    net = network(ec2)
    cloud.settings.quotas.vcpus, cloud.settings.quotas.spot_vcpus = 0, 4
    spot = run(ec2, net, **SPOT)
    request = {"ImageId": IMAGE, "InstanceType": "r5.xlarge", "MinCount": 1, "MaxCount": 1}
    request |= {"SubnetId": net.subnet}
    assert refused(ec2.run_instances, **request, **SPOT) == "MaxSpotInstanceCountExceeded"
    assert refused(ec2.run_instances, **request) == "VcpuLimitExceeded"
    ids = [spot["InstanceId"]]
    assert refused(ec2.stop_instances, InstanceIds=ids) == "UnsupportedOperation"
    quotas = client("service-quotas")
    value = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-34B43A08")["Quota"]["Value"]
    assert value == 4


def test_the_price_in_force_of_each_zone(cloud: RehearsalCloud) -> None:
    """API_DescribeSpotPriceHistory: per type and zone; unknown types have no price."""
    listed = client("ec2").describe_spot_price_history(
        InstanceTypes=["r5.4xlarge", "r5a.4xlarge", "x2idn.16xlarge"],
        ProductDescriptions=["Linux/UNIX"],
    )["SpotPriceHistory"]
    zones = {item["AvailabilityZone"] for item in listed}
    assert {"us-east-1a", "us-east-1b"} <= zones
    assert len(listed) == 2 * len(zones)
    assert all(0.2 < float(item["SpotPrice"]) < 0.6 for item in listed)
