"""What each further machine and each further deployment costs an unchanged `create`.

    python -m benchmarks.scale [--runs 5] [--write]

Machines are those of the auto-scaling groups of one deployment; deployments are others in the same
account and region. Calls and processor time come from processes of their own, as medians; the last
column is the processor time of one more machine or deployment, which has to stay the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Quotas, Settings
from benchmarks.processes import (
    ROOT,
    SCRIPT,
    Figure,
    conditions,
    each_more,
    measure,
    median_of,
    publish,
)
from tests.support.preflight import only
from tests.support.scripts import prepare, write_config

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- scale: python -m benchmarks.scale --write -->", "<!-- end of scale -->"
HEAD = "| an unchanged `create` with | calls | processor s | wall s | processor ms for each more |"
LARGE = Quotas(
    vcpus=100_000,
    vpcs=100,
    internet_gateways=100,
    elastic_ips=100,
    nat_gateways_per_zone=100,
)
MACHINES = (10, 100, 1000)
DEPLOYMENTS = (1, 10, 50)
GROUPS = 3
"""Auto-scaling groups of a deployment."""


def unchanged(folder: Path, cloud: RehearsalCloud, runs: int) -> Figure:
    """Return the median of unchanged runs after one that warms up."""
    command = [*SCRIPT, "create", "--yes", "--quiet", "--json"]
    measure(command, folder, cloud)
    return median_of([measure(command, folder, cloud) for _ in range(runs)])


def machines(folder: Path, cloud: RehearsalCloud, runs: int) -> list[tuple[int, Figure]]:
    """Measure a deployment whose auto-scaling groups grow."""
    found = []
    for count in MACHINES:
        size = -(-count // GROUPS)
        sizes = dict.fromkeys(("desired_capacity", "max_size"), size)
        keys: dict[str, Any] = {f"autoscaling_group_{name}": it for name, it in sizes.items()}
        on = only("create_launch_templates", "create_autoscaling_groups")
        work = prepare(folder / f"machines {count}", **on, **keys)
        found.append((count, unchanged(work, cloud, runs)))
        measure([*SCRIPT, "destroy", "--yes", "--quiet"], work, cloud)
    return found


def deployments(folder: Path, cloud: RehearsalCloud, runs: int) -> list[tuple[int, Figure]]:
    """Measure the first deployment while others are added to the account."""
    found, small = [], only("create_lambda_fs_client_vm")
    work = prepare(folder / "deployment")
    for number in range(1, max(DEPLOYMENTS) + 1):
        write_config(work, **small, deployment_name=f"d{number}")
        measure([*SCRIPT, "create", "--yes", "--quiet"], work, cloud)
        if number in DEPLOYMENTS:
            write_config(work, **small, deployment_name="d1")
            found.append((number, unchanged(work, cloud, runs)))
    return found


def rows(what: str, figures: Sequence[tuple[int, Figure]]) -> list[str]:
    """Return a row for each number; the last column is the slope since the row before."""
    slopes = each_more([(count, 1000 * figure.processor) for count, figure in figures])
    return [
        f"| {count} {what}{'' if count == 1 else 's'} | {figure.calls} "
        f"| {figure.processor:.2f} | {figure.seconds:.2f} | {more} |"
        for (count, figure), more in zip(figures, slopes, strict=True)
    ]


def table(runs: int) -> list[str]:
    """Return the lines of the table."""
    lines = [HEAD, "|---|---|---|---|---|"]
    for what, grow in (("machine", machines), ("deployment", deployments)):
        with serve(Settings(speed=0, quotas=LARGE)) as cloud, temporary_folder() as temporary:
            os.environ["AWS_ENDPOINT_URL"] = cloud.url
            lines += rows(what, grow(temporary, cloud, runs))
    return [*lines, "", conditions("benchmarks.scale", runs, "moto")]


def main() -> None:
    """Print the table, or write it."""
    publish(lambda given: table(given.runs), DOCUMENT, (BEGIN, END), runs=5, about=__doc__)


if __name__ == "__main__":
    main()
