"""What chaos does to machines: sshd that comes late, connections that break, reboots."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.random_faults import FaultKind, FaultProbabilities

LATE_SSHD_FAULTS: FaultProbabilities = {FaultKind.LATE: 0.3}
CONNECTION_FAULTS: FaultProbabilities = {FaultKind.CUT: 0.5, FaultKind.REBOOT: 0.25}
"""The chance of each for a machine."""

LATE_SSHD_SECONDS = (20.0, 120.0)
"""From EC2's "running" until the machine boots, in the cloud's time."""

SSH_LOGIN_BYTES = 2_500
"""Bytes that sshd has sent when a user is let in, about; less breaks the connection before."""

FAULT_AFTER_BYTES = {FaultKind.CUT: 5_000, FaultKind.REBOOT: 1_500}
"""Bytes of answers to commands within which a connection breaks.

Machines that reboot by themselves do so soon after they boot: for a new kernel, say.
"""


@dataclass(frozen=True)
class VmFaults:
    """When a machine boots (the cloud's seconds), and which of its connections break."""

    boots_at: float = 0.0
    breaks: str = ""


def draw_vm_faults(cloud: Cloud, step: str) -> VmFaults:
    """Return what becomes of the next machine of a step."""
    random_faults = cloud.random_faults
    if random_faults is None:
        return VmFaults()
    boots_at = cloud.clock.now()
    if random_faults.timed and random_faults.next_fault(
        LATE_SSHD_FAULTS, f"machine of {step}", what=step
    ):
        least, most = LATE_SSHD_SECONDS
        boots_at += least + (most - least) * random_faults.plan.draw("late", step)
    fault = random_faults.next_fault(CONNECTION_FAULTS, f"connection to {step}", what=step)
    if fault is None:
        return VmFaults(boots_at)
    size = SSH_LOGIN_BYTES + int(FAULT_AFTER_BYTES[fault] * random_faults.plan.draw("bytes", step))
    return VmFaults(boots_at, f"1:{size}{'!' * (fault is FaultKind.REBOOT)}")
