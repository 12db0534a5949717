"""What a plan is going to create and launch, without any cloud."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.config.keys import keys_of
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action
from aws_setup.preflight.planned import Launch, PlannedResources, planned_resources
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.tables.software import software_steps


def configuration(**keys: Any) -> Config:
    return Config.model_validate({"ssh_keypair_name": "k", "ssh_key_path": "k.pem"} | keys)


def plan_of(config: Config, *, existing: set[str] | None = None) -> PlannedResources:
    """Return what a run creates when only the steps in `existing` exist."""
    rows = [
        Row(step, Action.EXISTS if step.name in (existing or ()) else Action.CREATE)
        for step in [*infrastructure_steps(config), *software_steps(config)]
    ]
    ctx: Any = SimpleNamespace(config=config)
    return planned_resources(ctx, rows)


def test_the_default_plan_launches_every_group() -> None:
    planned = plan_of(configuration())
    fixed = {launch.step: launch.count for launch in planned.launches if launch.in_first_subnet}
    assert fixed == {
        "ndb manager": 1,
        "ndb data nodes 1": 2,
        "ndb data nodes 2": 2,
        "zookeeper": 3,
        "lambda-fs client": 1,
        "hopsfs client": 1,
    }
    assert planned.machine_counts() == {"r5.4xlarge": 10}
    assert planned.later_counts() == {"r5.xlarge": 3, "r5.4xlarge": 8}


def test_software_steps_are_not_planned_resources() -> None:
    planned = plan_of(configuration())
    software = {step.name for step in software_steps(planned.config)}
    assert software
    assert not software & planned.to_create


def test_existing_groups_and_an_existing_cluster_need_nothing() -> None:
    planned = plan_of(configuration(), existing={"zookeeper", "ndb manager", "eks cluster"})
    assert not {"zookeeper", "ndb manager"} & {launch.step for launch in planned.launches}
    assert planned.later == ()
    assert planned.creates("public subnet")
    assert not planned.creates("zookeeper", "ndb manager")


def test_auto_scaling_groups_launch_their_desired_capacity() -> None:
    config = configuration(autoscaling_group_desired_capacity=2)
    scaled = [launch for launch in plan_of(config).launches if not launch.in_first_subnet]
    assert [launch.count for launch in scaled] == [2, 2, 2]
    groups = {step.name for step in infrastructure_steps(config) if "auto-scaling" in step.name}
    scaled = [
        launch for launch in plan_of(config, existing=groups).launches if not launch.in_first_subnet
    ]
    assert [launch.count for launch in scaled] == [0, 0, 0], "the templates alone launch nothing"


def test_the_keys_of_a_value() -> None:
    config = configuration()
    assert keys_of(config, config.hopsfs_ami, suffix="_ami") == "hopsfs_ami"
    assert keys_of(config, "r5.xlarge", suffix="_instance_type") == "openwhisk_core_instance_type"
    assert keys_of(config, "ami-0123456789abcdef0", suffix="_ami") == ""


class Ec2:
    """EC2's DescribeInstanceTypes: fails the first `failures` times, and counts its calls."""

    def __init__(self, failures: int = 0) -> None:
        self.calls, self.failures = 0, failures

    def get_paginator(self, _: str) -> Ec2:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        self.calls += 1
        Event().wait(0.05)  # so that all callers overlap
        if self.calls <= self.failures:
            raise OSError("throttled")
        return [{"InstanceTypes": [{"InstanceType": "r5.large"}]}]


def planned_launch(ec2: Ec2) -> PlannedResources:
    ctx: Any = SimpleNamespace(aws=SimpleNamespace(ec2=ec2), config=configuration())
    return PlannedResources(ctx, frozenset(), (Launch("zookeeper", "", "r5.large", 1),))


def test_instance_types_are_described_once_for_all_checks() -> None:
    ec2 = Ec2()
    planned = planned_launch(ec2)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(planned.instance_types) for _ in range(8)]
    assert [set(future.result()) for future in futures] == [{"r5.large"}] * 8
    assert ec2.calls == 1


def test_a_failed_description_is_repeated() -> None:
    ec2 = Ec2(failures=1)
    planned = planned_launch(ec2)
    with pytest.raises(OSError, match="throttled"):
        planned.instance_types()
    assert set(planned.instance_types()) == {"r5.large"}
    assert ec2.calls == 2
