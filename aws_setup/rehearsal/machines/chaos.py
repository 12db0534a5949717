"""What chaos does to machines: sshd that comes late, connections that break, reboots."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.rehearsal.chaos import Kind, Menu
from aws_setup.rehearsal.cloud import Cloud

LATE: Menu = {Kind.LATE: 0.3}
CONNECTIONS: Menu = {Kind.CUT: 0.5, Kind.REBOOT: 0.25}
"""The chance of each for a machine."""

LATE_SECONDS = (20.0, 120.0)
"""From EC2's "running" until the machine boots, in the cloud's time."""

GREETING = 2_500
"""Bytes that sshd has sent when a user is let in, about; less breaks the connection before."""

WORK = {Kind.CUT: 5_000, Kind.REBOOT: 1_500}
"""Bytes of answers to commands within which a connection breaks.

Machines that reboot by themselves do so soon after they boot: for a new kernel, say.
"""


@dataclass(frozen=True)
class Fate:
    """When a machine boots (the cloud's seconds), and which of its connections break."""

    boots_at: float = 0.0
    breaks: str = ""


def fate(cloud: Cloud, step: str) -> Fate:
    """Return what becomes of the next machine of a step."""
    chaos = cloud.chaos
    if chaos is None:
        return Fate()
    boots_at = cloud.clock.now()
    if chaos.timed and chaos.meet(LATE, f"machine of {step}", what=step):
        least, most = LATE_SECONDS
        boots_at += least + (most - least) * chaos.plan.draw("late", step)
    met = chaos.meet(CONNECTIONS, f"connection to {step}", what=step)
    if met is None:
        return Fate(boots_at)
    size = GREETING + int(WORK[met] * chaos.plan.draw("bytes", step))
    return Fate(boots_at, f"1:{size}{'!' * (met is Kind.REBOOT)}")
