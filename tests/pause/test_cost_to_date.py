"""What a deployment has cost, by what AWS lists, on a calendar that the test moves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine import wait
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import SCRIPT, act, client, deploy, forget_clients, instances
from tests.support.calendar import Calendar, movable_calendar
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import run

HOURS_A_MONTH = 730
R5_4XLARGE, R5_XLARGE, IPV4 = 1.008, 0.252, 0.005
GP2, GP3 = 0.10 / HOURS_A_MONTH, 0.08 / HOURS_A_MONTH
NAT, CLUSTER = 0.045, 0.10


@dataclass(frozen=True)
class Deployed:
    folder: Path
    calendar: Calendar


@pytest.fixture(scope=SHARED)
def calendar() -> Iterator[Calendar]:
    with movable_calendar() as calendar:
        yield calendar


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory, calendar: Calendar) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


@pytest.fixture
def deployed(world: World, calendar: Calendar, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    forget_clients()
    world.enter(monkeypatch)
    return Deployed(world.folder, calendar)


def kept(folder: Path) -> dict[str, Any]:
    """Return what the receipt keeps of the cost."""
    text = (folder / "receipts" / "lambda-fs.json").read_text(encoding="utf-8")
    cost: dict[str, Any] = json.loads(text)["cost"]
    return cost


def vm(step: str) -> str:
    """Return the id of a step's only VM."""
    tag = {"Key": "lambda-fs:step", "Value": step}
    (found,) = (name for name, item in instances().items() if tag in item["Tags"])
    return found


def play_a_day(deployed: Deployed) -> None:
    """Pause, resume, pause deeply, resume, and stop two VMs by hand, of which one starts again."""
    folder, skip = deployed.folder, deployed.calendar.skip
    skip(5)
    act(folder, "pause")
    skip(3)
    act(folder, "resume")
    skip(2)
    act(folder, "pause", "--deep")
    skip(6)
    act(folder, "resume")
    skip(1)
    ec2 = client("ec2")
    ec2.stop_instances(InstanceIds=[vm("lambda-fs client")])
    skip(4)
    act(folder, "create")
    skip(2)
    ec2.stop_instances(InstanceIds=[vm("hopsfs client")])
    skip(1)


def by_hand() -> dict[str, float]:
    """Return the cost of that day, calculated by hand.

    Six VMs and one machine in each of three scaling groups are r5.4xlarge, as are two of the three
    nodes. Everything ran 24 - 3 - 6 = 15 hours, one VM 4 hours less and another one 1 hour less.
    VMs have 8 GiB each, ZooKeeper's 100 GiB more, and nodes 50 GiB.
    """
    vm_hours = 4 * 15 + (15 - 4) + (15 - 1)
    group_hours = 3 * 15
    return {
        "machines": vm_hours * (R5_4XLARGE + IPV4),
        "auto scaling": group_hours * (R5_4XLARGE + IPV4),
        "eks": 24 * CLUSTER + 15 * (R5_XLARGE + 2 * R5_4XLARGE) + 15 * 3 * 50 * GP3,
        "network": (24 - 6) * (NAT + IPV4),
        "disks": 24 * (6 * 8 + 100) * GP2 + group_hours * 8 * GP2,
    }


def test_a_day_of_pauses_costs_what_a_calculation_by_hand_says(deployed: Deployed) -> None:
    folder = deployed.folder
    assert act(folder, "status")["paused_since"] is None
    play_a_day(deployed)
    status, expected = act(folder, "status"), by_hand()
    cost = status["cost"]
    found = {part: entry["usd_so_far"] for part, entry in cost["parts"].items()}
    assert found == pytest.approx(expected, rel=0.02)
    assert cost["usd_so_far"] == pytest.approx(sum(expected.values()), rel=0.02)
    assert status["usd_so_far"] == cost["usd_so_far"]
    assert (cost["unknown"], cost["notes"]) == ([], [])
    assert cost["source"].endswith("of 2026-11-01")
    rate = cost["hourly_usd"]
    assert rate == pytest.approx(status["hourly_usd"], abs=0.001)
    assert (cost["daily_usd"], cost["weekend_usd"]) == pytest.approx(
        (24 * rate, 72 * rate), abs=0.01
    )
    text = run(SCRIPT, folder, "status").stdout
    shown = re.search(r"deadline[^$]*\$([\d.]+) in all[^$]*so far: \$([\d.]+) since", text)
    assert shown, text
    deadline, so_far = map(float, shown.groups())
    assert (deadline, so_far) == pytest.approx((cost["usd_at_deadline"], cost["usd_so_far"]), abs=1)
    left = datetime.fromisoformat(status["deadline"]["deadline"]) - wait.calendar_time()
    hours = left.total_seconds() / 3600
    assert cost["usd_at_deadline"] == pytest.approx(cost["usd_so_far"] + hours * rate, rel=0.02)

    act(folder, "pause", "--deep")
    paused = act(folder, "status")
    assert datetime.fromisoformat(paused["paused_since"]) is not None
    assert "nat gateway" not in paused["paused_parts"]
    assert {"ndb manager", "zookeeper", "core-nodes"} <= set(paused["paused_parts"])
    deployed.calendar.skip(1)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    total = kept(folder)
    assert total["ended"]
    assert total["usd_so_far"] == ended.document["cost"]["usd_so_far"]
    later = sum(expected.values()) + paused["hourly_usd"]
    assert total["usd_so_far"] == pytest.approx(later, rel=0.02)
    assert total["hourly_usd"] == 0

    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert kept(folder) == total, "a second destroy finds nothing and forgets nothing"
    act(folder, "create", "--only", "elastic ip")
    assert "cost" not in json.loads((folder / "receipts" / "lambda-fs.json").read_text())


def test_performance_that_was_provisioned_costs_as_aws_bills_it(deployed: Deployed) -> None:
    folder, ec2 = deployed.folder, client("ec2")
    before = act(folder, "status")["cost"]["hourly_usd"]
    (large,) = (it for it in ec2.describe_volumes()["Volumes"] if it["Size"] == 100)
    ec2.modify_volume(VolumeId=large["VolumeId"], VolumeType="gp3", Iops=6000, Throughput=625)
    deployed.calendar.skip(24)
    cost = act(folder, "status")["cost"]
    beyond = 3000 * 0.005 + 500 * 0.04
    expected = (beyond + 100 * 0.08 - 100 * 0.10) / HOURS_A_MONTH
    assert cost["hourly_usd"] - before == pytest.approx(expected, abs=0.0002)
    assert cost["unknown"] == []
    ec2.modify_volume(VolumeId=large["VolumeId"], VolumeType="io2", Iops=40_000)
    deployed.calendar.skip(24)
    cost = act(folder, "status")["cost"]
    expected = (100 * 0.125 + 32_000 * 0.065 + 8000 * 0.0455 - 100 * 0.10) / HOURS_A_MONTH
    assert cost["hourly_usd"] - before == pytest.approx(expected, abs=0.0002)


def test_what_destroy_only_deleted_still_counts(deployed: Deployed) -> None:
    folder = deployed.folder
    deployed.calendar.skip(10)
    before = act(folder, "status")["cost"]
    act(folder, "destroy", "--only", "lambda-fs client")
    after = act(folder, "status")["cost"]
    assert after["usd_so_far"] == pytest.approx(before["usd_so_far"], rel=0.001)
    assert after["hourly_usd"] == pytest.approx(
        before["hourly_usd"] - R5_4XLARGE - IPV4 - 8 * GP2, abs=0.001
    )


def test_a_stop_that_aws_forgets_is_named_and_not_guessed(deployed: Deployed) -> None:
    folder, skip = deployed.folder, deployed.calendar.skip
    name = vm("lambda-fs client")
    skip(2)
    client("ec2").stop_instances(InstanceIds=[name])
    skip(2)
    client("ec2").start_instances(InstanceIds=[name])
    cost = act(folder, "status")["cost"]
    assert [note for note in cost["notes"] if name in note and "by hand" in note]
    assert "at least $" in run(SCRIPT, folder, "status").stdout
