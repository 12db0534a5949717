"""How long create, configure and destroy take on AWS's latencies, against AWS's own time.

    python -m benchmarks.makespan [--write]

The runs are simulated in virtual time (tests/support/virtual_time.py): they take seconds, and the
figures are the same on every computer, however busy it is. Without software on the VMs; work of the
scripts and of helm takes no time. --write puts the table into docs/performance.md and draws the
destruction as docs/destroy-timeline.svg.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aws_setup.engine.history import RunRecord
from aws_setup.report.gantt_svg import timeline_svg
from aws_setup.report.timeline import critical_path
from tests.support.kube import tool
from tests.support.virtual_time import LIMIT, VirtualWorld, virtual_world

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- makespan: python -m benchmarks.makespan --write -->", "<!-- end of makespan -->"
PICTURE = DOCUMENT.with_name("destroy-timeline.svg")
LEAST = 4.0
"""Seconds below which a step is not drawn."""


def table(world: VirtualWorld) -> list[str]:
    """Return the rows of the table: seconds, the limit, and their ratio."""
    made = world.seconds["create"] + world.seconds["configure"]
    rows = [
        ("create + configure", made, LIMIT.create, "cluster 560, nodes 110, OpenWhisk 120"),
        ("destroy", world.seconds["destroy"], LIMIT.destroy, "node groups 380, cluster 150"),
    ]
    head = ["| | seconds on AWS | AWS alone | ratio | of which |", "|---|---|---|---|---|"]
    return head + [
        f"| {name} | {took:.0f} | {limit:.0f} | {took / limit:.3f} | {parts} |"
        for name, took, limit, parts in rows
    ]


def path_of(record: RunRecord) -> str:
    """Return the critical path of a run as text."""
    links = [link for link in critical_path(record) if link.span.seconds >= 1]
    return ", then ".join(f"{link.span.step} ({link.span.seconds:.0f} s)" for link in links)


def main() -> None:
    """Run the deployment's life once; print the table, or write it and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"update {DOCUMENT.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ):
        with virtual_world(Path(name) / "laptop", _set, helm=tool("helm")) as world:
            world.create()
            world.configure()
            world.destroy()
        record = replace(world.records()[-1], end=None)
    text = "\n".join([*table(world), "", f"Critical path of destroy: {path_of(record)}."])
    print(text)
    if options.write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
        PICTURE.write_text(timeline_svg(record, least=LEAST, name="destroy"), encoding="utf-8")


def _set(owner: Any, name: str, value: Any) -> None:
    """Replace an attribute until this process ends; os.environ keeps its identity."""
    if owner is os:
        os.environ.update(value)
    else:
        setattr(owner, name, value)


if __name__ == "__main__":
    main()
