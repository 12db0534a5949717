"""What a disk is billed for, by type."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.aws.pricing import QUERIES, TABLE
from aws_setup.infrastructure.disk_prices import disk_units, table_price


@pytest.mark.parametrize(
    ("disk", "units"),
    [
        ({"VolumeType": "gp2", "Size": 100, "Iops": 300}, {"gp2-gib": 100}),
        ({"VolumeType": "gp3", "Size": 8, "Iops": 3000, "Throughput": 125}, {"gp3-gib": 8}),
        ({"VolumeType": "gp3", "VolumeSize": 8}, {"gp3-gib": 8}),
        (
            {"VolumeType": "gp3", "VolumeSize": 8, "Iops": 4000, "Throughput": 250},
            {"gp3-gib": 8, "gp3-iops": 1000, "gp3-mibps": 125},
        ),
        ({"VolumeType": "io1", "Size": 10, "Iops": 500}, {"io1-gib": 10, "io1-iops": 500}),
        ({"VolumeType": "io2", "Size": 10, "Iops": 500}, {"io2-gib": 10, "io2-iops": 500}),
        (
            {"VolumeType": "io2", "Size": 10, "Iops": 70_000},
            {
                "io2-gib": 10,
                "io2-iops": 32_000,
                "io2-iops-tier-2": 32_000,
                "io2-iops-tier-3": 6000,
            },
        ),
    ],
)
def test_what_exceeds_the_baseline_is_billed(disk: dict[str, Any], units: dict[str, float]) -> None:
    assert dict(disk_units(disk)) == units
    assert units.keys() <= TABLE.keys() & QUERIES.keys()
    expected = sum(count * TABLE[key] for key, count in units.items())
    assert table_price(disk) == pytest.approx(expected)


def test_a_type_without_a_price_is_named_and_not_guessed() -> None:
    disk = {"VolumeType": "st1", "Size": 500, "Iops": 0}
    assert dict(disk_units(disk)) == {"st1-gib": 500}
    assert table_price(disk) is None
