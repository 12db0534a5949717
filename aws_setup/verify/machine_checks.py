"""Checks of every VM: it answers, its clock is right, and its disks have room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median

from aws_setup.engine.wait import format_duration
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.ssh.errors import RemoteError
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.machine import Machine
from aws_setup.verify.chain import CREATE, Chain
from aws_setup.verify.check import Broken, NotApplicable

NOT_FOUND = 127
"""Exit code of a shell for a program that does not exist."""

CLOCK_SECONDS = 1.0
"""Difference of a clock that counts as wrong; Amazon's time service keeps it below 1 ms.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/set-time.html"""

MAJORITY = 3
"""VMs from which on their median is the time; with fewer it is this computer's clock."""

FULL_PERCENT = 95
"""Use of a file system, of its space or of its inodes, from which on it counts as full."""

PSEUDO = ("tmpfs", "devtmpfs", "squashfs", "efivarfs")
"""Types of file systems that are no disks; a snap's squashfs is always full."""

DISKS = [
    *("df", "--local", "--output=pcent,ipcent,target"),
    *(word for kind in PSEUDO for word in ("-x", kind)),
]


@dataclass(frozen=True)
class ClockReading:
    """How many seconds a VM's clock is ahead of this computer's, and how exactly that is known."""

    machine: Machine
    ahead: float
    error: float


@dataclass(frozen=True)
class FileSystemUse:
    """A file system of a VM, and the higher of its uses of space and inodes, in percent."""

    machine: Machine
    path: str
    percent: int


def check_machines(chain: Chain) -> str:
    """Every VM runs and answers SSH."""
    machines = all_machines(chain)
    stopped = [machine for machine in machines if not machine.address]
    if stopped:
        which = "have" if len(stopped) > 1 else "has"
        raise Broken(
            f"{_first(stopped)} {which} no public address: stopped",
            f"{CREATE}, which starts stopped VMs, or its resume if you have paused them",
        )
    chain.pool.check()
    failures = [error for error in chain.pool.each(machines, _connect) if error]
    if failures:
        problem = failures[0].problems[0]
        others = f" ({len(failures)} of {len(machines)} VMs)" if len(failures) > 1 else ""
        raise Broken(f"{problem.what}: {problem.why}{others}", problem.hint)
    return count_of(len(machines), "VM answers", "VMs answer")


def _connect(machine: Machine) -> SetupError | None:
    try:
        machine.connect()
    except SetupError as error:
        return error
    return None


def _first(machines: Sequence[Machine]) -> str:
    others = f" and {len(machines) - 1} more" if len(machines) > 1 else ""
    return f"{machines[0].name}{others}"


def all_machines(chain: Chain) -> list[Machine]:
    """Return every VM of the deployment, those of auto-scaling groups last.

    Raises:
        NotApplicable: there is none.
    """
    if not chain.vms:
        raise NotApplicable("this deployment has no VMs")
    return chain.vms


def check_clocks(chain: Chain) -> str:
    """The clocks of all VMs agree; with fewer than three, with this computer's."""
    readings = chain.pool.each(all_machines(chain), lambda machine: _read_clock(chain, machine))
    return judge_clocks(readings)


def judge_clocks(readings: Sequence[ClockReading]) -> str:
    """Return by how much clocks differ.

    Raises:
        Broken: the clock that differs most is wrong.
    """
    several = len(readings) >= MAJORITY
    right = median(reading.ahead for reading in readings) if several else 0.0
    worst = max(readings, key=lambda reading: abs(reading.ahead - right))
    difference = worst.ahead - right
    if abs(difference) - worst.error > CLOCK_SECONDS:
        side = "ahead of" if difference > 0 else "behind"
        others = "the other VMs" if several else "this computer"
        raise Broken(
            f"the clock of {worst.machine.name} is {format_duration(abs(difference))} {side} "
            f"{others}",
            f"run `sudo chronyc makestep` on {worst.machine}, and keep Amazon's time server "
            "169.254.169.123 in its chrony.conf",
        )
    clocks = count_of(len(readings), "clock differs", "clocks differ")
    return f"{clocks} by less than {CLOCK_SECONDS:.0f} s"


def _read_clock(chain: Chain, machine: Machine) -> ClockReading:
    machine.connect()
    before = chain.ctx.clock.today().timestamp()
    result = run_or_skip(machine, ["date", "+%s.%N"])
    after = chain.ctx.clock.today().timestamp()
    shown = _number(machine, result.stdout.strip(), "date")
    return ClockReading(machine, shown - (before + after) / 2, (after - before) / 2)


def check_disks(chain: Chain) -> str:
    """No file system of a VM is nearly full, neither its space nor its inodes."""
    found = chain.pool.each(all_machines(chain), _read_disks)
    return judge_disks([item for each in found for item in each])


def judge_disks(found: Sequence[FileSystemUse]) -> str:
    """Return the file system that is used most.

    Raises:
        Broken: some are full; it names the fullest.
    """
    if not found:
        raise NotApplicable("the VMs report no disks")
    worst = max(found, key=lambda item: item.percent)
    text = f"{worst.path} of {worst.machine.name} is {worst.percent} % full"
    if worst.percent < FULL_PERCENT:
        return f"at most {worst.percent} % of a disk is used"
    full = sum(item.percent >= FULL_PERCENT for item in found)
    others = f" ({full} of {len(found)} disks)" if full > 1 else ""
    raise Broken(
        text + others,
        f"find what uses it with `sudo du -x -d 2 {worst.path} | sort -n` on {worst.machine}, and "
        "delete what is not needed",
    )


def _read_disks(machine: Machine) -> list[FileSystemUse]:
    result = run_or_skip(machine, DISKS)
    return [_parse_disk(machine, line) for line in result.stdout.splitlines()[1:] if line.strip()]


def _parse_disk(machine: Machine, line: str) -> FileSystemUse:
    """Parse a line of `df`: use of space, use of inodes ('-' where there are none), path."""
    space, inodes, path = [*line.split(maxsplit=2), "", "", ""][:3]
    used = [_number(machine, text.rstrip("%"), "df") for text in (space, inodes) if text != "-"]
    return FileSystemUse(machine, path, int(max(used, default=0)))


def run_or_skip(machine: Machine, command: Sequence[str], *, timeout: float = 60) -> CommandResult:
    """Run a program that only reads, and return its result.

    Raises:
        NotApplicable: the VM does not have the program, as an imitated one.
        RemoteError: the program failed.
    """
    result = machine.run(command, timeout=timeout, check=False, repeatable=True, changes=False)
    if result.code == NOT_FOUND:
        raise NotApplicable(f"{machine.name} has no program {command[0]}")
    if result.code:
        output = result.stderr or result.stdout
        raise RemoteError(str(machine), command[0], code=result.code, output=output)
    return result


def _number(machine: Machine, text: str, program: str) -> float:
    try:
        number = float(text)
        if not isfinite(number):
            raise ValueError
        return number
    except ValueError:
        why = f"{text[:40]!r} is no number"
        raise RemoteError(str(machine), program, code=0, output=text, why=why) from None
