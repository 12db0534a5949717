"""How fast create_aws_infrastructure.py is, against the rehearsal cloud.

Prints API calls and wall time of a fresh create and of an unchanged re-run at speed 0, and the
time of a fresh create at AWS's latencies (run `SPEED` times faster) against its critical path.

    python -m benchmarks.create [SPEED]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import LATENCIES, Settings
from tests.support.scripts import prepare

SCRIPT = Path(__file__).resolve().parent.parent / "create_aws_infrastructure.py"
CRITICAL = ("iam visible", "cluster active")
"""The longest chain of the table: the cluster's role becomes visible, then the cluster ACTIVE."""


def timed(cloud: RehearsalCloud, folder: Path, *arguments: str) -> tuple[float, int, int]:
    """Run the script; return seconds, API calls, and how many of them were writes."""
    calls, writes, began = len(cloud.calls), len(cloud.calls.writes()), time.monotonic()
    command = [sys.executable, str(SCRIPT), *arguments, "--quiet", "--json"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)
    seconds = time.monotonic() - began
    return seconds, len(cloud.calls) - calls, len(cloud.calls.writes()) - writes


def measure(speed: float) -> None:
    """Measure one cloud and print a line for each run."""
    os.environ["AWS_SETUP_PACE"] = str(1 / speed if speed else 0)
    with serve(Settings(speed=speed, lag=True)) as cloud, temporary_folder() as temporary:
        os.environ["AWS_ENDPOINT_URL"] = cloud.url
        folder = prepare(temporary)
        fresh, calls, writes = timed(cloud, folder, "create", "--yes")
        if speed:
            critical = sum(LATENCIES[step] for step in CRITICAL)
            taken = fresh * speed
            print(f"at AWS's latencies, {speed:g} times faster: {taken:.0f} s as AWS counts;")
            print(f"critical path {critical:.0f} s; ratio {taken / critical:.3f}; {calls} calls")
            return
        again, calls_again, writes_again = timed(cloud, folder, "create", "--yes")
        print(f"fresh create:  {fresh:5.1f} s, {calls} calls, {writes} of them writes")
        print(f"unchanged:     {again:5.1f} s, {calls_again} calls, {writes_again} of them writes")


if __name__ == "__main__":
    os.environ.update(
        AWS_ACCESS_KEY_ID="AKIAREHEARSAL0000000",
        AWS_SECRET_ACCESS_KEY="not-a-secret",
        AWS_DEFAULT_REGION="us-east-1",
    )
    measure(0)
    measure(float(sys.argv[1]) if len(sys.argv) > 1 else 15)
