"""What each further machine costs to connect to and to configure over SSH.

    python -m benchmarks.ssh_scale [--machines 20 200] [--runs 1] [--write]

The machines are imitated, in a process of their own, and take `--seconds` for each command; every
50th takes ten times as long to boot. Each figure comes from a new process, which is the client
alone: its seconds, processor time and peak memory. The last columns are what one more machine
costs, which has to stay the same. --write puts the table into docs/machines.md.

1,000 machines are asked for with `--machines 20 200 1000`. The script logs in to 256 at a time, and
both ends of each connection are threads on this computer, which all want the processor: the load
is then about 300. Both processes have the lowest priority, so that other programs go on. 1,000
connections without traffic take 0.2 of a processor at each end: paramiko looks ten times a second
whether to end them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from aws_setup.config import Config
from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from benchmarks.processes import ROOT, conditions, each_more, publish

DOCUMENT = ROOT / "docs" / "machines.md"
BEGIN = "<!-- ssh scale: python -m benchmarks.ssh_scale --write -->"
END = "<!-- end of ssh scale -->"
FILES = 3
"""Files that are written to each machine, as ZooKeeper's and NDB's steps do."""
COMMANDS = 2 * FILES + 1
"""Commands on each machine: two for a file, and one more."""
LOWEST_PRIORITY = 19
HEAD = (
    "| machines | connected, s | configured, s | of the least | processor s | peak MiB "
    "| processor ms for each more | KiB for each more |"
)


@dataclass(frozen=True)
class Figure:
    """One measurement: seconds of both parts, processor seconds and peak memory of the client."""

    connected: float
    configured: float
    processor: float
    peak_mib: float


def address(index: int, *, public: bool) -> str:
    """Return the private or public address of one machine."""
    return f"{'203.0' if public else '10.0'}.{index // 250}.{index % 250 + 1}"


def run_machines(folder: Path, key: str, count: int, seconds: float, ready: Connection) -> None:
    """Run the machines until the other end sends a message."""
    os.nice(LOWEST_PRIORITY)
    with InProcessVmPool(folder, authorized_key=key) as vms:
        for index in range(count):
            vms.launch(
                f"i-{index}",
                private_ip=address(index, public=False),
                public_ip=address(index, public=True),
                boot=10 * seconds if index % 50 == 0 else seconds,
                seconds=seconds,
            )
        ready.send("up")
        ready.recv()


def configure(machine: Machine) -> None:
    """Write the files and run one command."""
    for number in range(FILES):
        machine.write(f"/etc/lambda-fs/{number}.conf", "x = 1\n" * 200, sudo=True)
    machine.run(["true"])


def measure(count: int, seconds: float) -> Figure:
    """Connect to so many machines and configure them, in this process."""
    os.nice(LOWEST_PRIORITY)
    with temporary_folder() as folder:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(folder / "key")],
            check=True,
        )
        local, remote = multiprocessing.Pipe()
        arguments = (folder / "vms", (folder / "key.pub").read_text(), count, seconds, remote)
        process = multiprocessing.Process(target=run_machines, args=arguments, daemon=True)
        process.start()
        local.recv()
        found = measured(folder, count)
        local.send("done")
        process.join()
    return found


def measured(folder: Path, count: int) -> Figure:
    """Return the figures of the client, while the machines run."""
    pool = MachinePool(
        Config(
            ssh_keypair_name="k",
            ssh_key_path=str(folder / "key"),
            ssh_config_path=str(folder / "vms" / "ssh_config"),
            infrastructure_json_path=str(folder / "receipts"),
        )
    )
    machines = [pool.machine(f"i-{i}", address(i, public=True)) for i in range(count)]
    started, processor = time.monotonic(), time.process_time()
    pool.wait_for_ssh(machines)
    connected = time.monotonic()
    pool.each(machines, configure)
    done, spent = time.monotonic(), time.process_time() - processor
    pool.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mib = peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return Figure(connected - started, done - connected, spent, mib)


def medians(count: int, seconds: float, runs: int) -> Figure:
    """Return the medians of so many measurements, each in a process of its own."""
    found = []
    for _ in range(runs):
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as child:
            found.append(child.submit(measure, count, seconds).result())
    return Figure(
        statistics.median(it.connected for it in found),
        statistics.median(it.configured for it in found),
        statistics.median(it.processor for it in found),
        statistics.median(it.peak_mib for it in found),
    )


def rows(figures: Sequence[tuple[int, Figure]], seconds: float) -> list[str]:
    """Return a row for each number of machines; the last columns are slopes."""
    least = COMMANDS * seconds
    each = each_more([(count, 1000 * it.processor) for count, it in figures])
    memory = each_more([(count, 1024 * it.peak_mib) for count, it in figures])
    return [
        f"| {count} | {it.connected:.1f} | {it.configured:.1f} | {it.configured / least:.2f}× "
        f"| {it.processor:.1f} | {it.peak_mib:.0f} | {ms} | {kib} |"
        for (count, it), ms, kib in zip(figures, each, memory, strict=True)
    ]


def table(given: argparse.Namespace) -> list[str]:
    """Return the lines of the document."""
    os.environ.pop("AWS_SETUP_PACE", None)  # pauses as a user has them
    figures = [
        (count, medians(count, given.seconds, given.runs)) for count in sorted(given.machines)
    ]
    return [
        HEAD,
        "|---|---|---|---|---|---|---|---|",
        *rows(figures, given.seconds),
        "",
        f"The least is {COMMANDS} commands of {given.seconds:g} s, one after the other on each "
        "machine.",
        conditions("benchmarks.ssh_scale", given.runs, "paramiko"),
    ]


def add(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own arguments."""
    parser.add_argument("--seconds", type=float, default=0.5, help="the duration of each command")
    parser.add_argument("--machines", type=int, nargs="+", default=[20, 200])


def main() -> None:
    """Print the table, or write it."""
    publish(table, DOCUMENT, (BEGIN, END), runs=1, about=__doc__, add=add)


if __name__ == "__main__":
    main()
