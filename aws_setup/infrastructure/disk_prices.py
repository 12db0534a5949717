"""What a disk is billed for: its GiB, and the performance that was provisioned beyond its type's.

https://aws.amazon.com/ebs/pricing/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.aws.inventory import Item
from aws_setup.aws.pricing import TABLE
from aws_setup.infrastructure.volume_drift import GP3

IO2_TIERS = (("io2-iops", 32_000), ("io2-iops-tier-2", 64_000))
"""Price of io2's IOPS up to so many; above it is `IO2_LAST`."""

IO2_LAST = "io2-iops-tier-3"


def disk_units(disk: Item) -> Iterator[tuple[str, float]]:
    """Yield the price keys of a disk, each with how many units of it are billed.

    Args:
        disk: a volume as DescribeVolumes has it, or a disk of an AMI (its `Ebs`). The IOPS of other
            types than these follow from their size and cost nothing.
    """
    kind = str(disk.get("VolumeType") or "gp3")
    yield f"{kind}-gib", float(disk.get("Size") or disk.get("VolumeSize") or 0)
    iops = float(disk.get("Iops") or 0)
    units: tuple[tuple[str, float], ...] = ()
    if kind == "gp3":
        throughput = float(disk.get("Throughput") or 0)
        units = ("gp3-iops", iops - GP3["Iops"]), ("gp3-mibps", throughput - GP3["Throughput"])
    elif kind == "io1":
        units = (("io1-iops", iops),)
    elif kind == "io2":
        units = tuple(_tiers(iops))
    yield from ((key, count) for key, count in units if count > 0)


def _tiers(iops: float) -> Iterator[tuple[str, float]]:
    counted = 0
    for key, end in IO2_TIERS:
        yield key, min(iops, end) - counted
        counted = end
    yield IO2_LAST, iops - counted


def table_price(disk: Item) -> float | None:
    """Return US dollars an hour by the dated table; None if it has not all of a disk's prices."""
    prices: list[Any] = [(TABLE.get(key), count) for key, count in disk_units(disk)]
    if any(price is None for price, _ in prices):
        return None
    return float(sum(price * count for price, count in prices))
