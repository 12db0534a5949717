"""The price of a run: it includes disks, and the last line repeats it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission, Settings
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

GIB_HOUR = 0.10 / 730
"""A gibibyte of gp2 for an hour (https://aws.amazon.com/ebs/pricing/, us-east-1)."""


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    return prepare(tmp_path / "work")


def test_the_last_line_of_a_create_is_its_price(folder: Path) -> None:
    ended = run(SCRIPT, folder, "--yes")
    assert ended.exit_code == 0
    last = ended.stdout.strip().splitlines()[-1]
    assert last == "Estimated cost until destroy: $10.33 per hour, $247.97 per day."
    again = run(SCRIPT, folder, "--yes")
    assert again.stdout.strip().splitlines()[-1].startswith("Nothing to do")


def test_machines_of_auto_scaling_groups_have_disks_too(folder: Path, tmp_path: Path) -> None:
    before = run(SCRIPT, folder, "plan", "--json").document["prices"]["parts"]["disks"]
    prepare(folder, autoscaling_group_desired_capacity=2, autoscaling_group_max_size=2)
    after = run(SCRIPT, folder, "plan", "--json").document["prices"]["parts"]["disks"]
    assert after - before == pytest.approx(3 * 2 * 8 * GIB_HOUR, abs=2e-4)


@pytest.mark.parametrize(
    "settings", [Settings(speed=0, deny=[DeniedPermission(action="ec2:DescribeImages")])]
)
def test_disks_that_cannot_be_described_leave_the_rest_of_the_price(
    folder: Path, settings: Settings
) -> None:
    parts = run(SCRIPT, folder, "plan", "--json").document["prices"]["parts"]
    assert "disks" not in parts
    assert parts["machines"] > 10


def test_status_counts_the_disks(folder: Path) -> None:
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    result = run(SCRIPT, folder, "status", "--json").document
    assert result["hourly_usd"] == pytest.approx(10.332, abs=1e-3)
