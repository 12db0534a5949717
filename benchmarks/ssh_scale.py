"""The time to connect to and configure 20 and 200 machines: `python -m benchmarks.ssh_scale`.

The machines run in a separate process and take `--seconds` for each command; every 50th
takes ten times as long to boot. Times are wall-clock, memory is this process's peak alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from aws_setup.config import Config
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

FILES = 3
"""Files that are written to each machine, as ZooKeeper's and NDB's steps do."""


def address(index: int, *, public: bool) -> str:
    """Return the private or public address of one machine."""
    return f"{'203.0' if public else '10.0'}.{index // 250}.{index % 250 + 1}"


def run_machines(folder: Path, key: str, count: int, seconds: float, ready: Connection) -> None:
    """Run the machines until the other end sends a message."""
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


def measure(folder: Path, count: int, seconds: float) -> str:
    """Return one line of the table."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(folder / "key")],
        check=True,
    )
    local, remote = multiprocessing.Pipe()
    arguments = (folder / "vms", (folder / "key.pub").read_text(), count, seconds, remote)
    process = multiprocessing.Process(target=run_machines, args=arguments, daemon=True)
    process.start()
    local.recv()
    pool = MachinePool(
        Config(
            ssh_keypair_name="k",
            ssh_key_path=str(folder / "key"),
            ssh_config_path=str(folder / "vms" / "ssh_config"),
            infrastructure_json_path=str(folder / "receipts"),
        )
    )
    machines = [pool.machine(f"i-{i}", address(i, public=True)) for i in range(count)]
    started = time.monotonic()
    pool.wait_for_ssh(machines)
    connected = time.monotonic()
    pool.each(machines, configure)
    done = time.monotonic()
    pool.close()
    local.send("done")
    process.join()
    seconds_connect, seconds_configure = connected - started, done - connected
    return (
        f"{count:>8}  {seconds_connect:>9.1f} s  {seconds_configure:>11.1f} s  {peak_mib():>8} MiB"
    )


def peak_mib() -> int:
    """Return this process's peak memory."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="the duration of each command")
    parser.add_argument("--machines", type=int, nargs="+", default=[20, 200])
    options = parser.parse_args()
    lines = ["machines    connected     configured  peak memory"]
    for count in options.machines:
        with tempfile.TemporaryDirectory() as folder:
            lines.append(measure(Path(folder), count, options.seconds))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
