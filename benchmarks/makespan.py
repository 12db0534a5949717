"""How long create, configure and destroy take on AWS's latencies, against AWS's own time.

    python -m benchmarks.makespan [--write]

The runs are simulated in virtual time (tests/support/virtual_time.py): they take seconds, and the
figures are the same on every computer, however busy it is. Without software on the VMs; work of the
scripts and of helm takes no time. To register 20 NameNodes waits for nothing, so it counts with
this computer's seconds. --write puts the table into docs/performance.md and draws
docs/destroy-timeline.svg and two pictures of create and configure: docs/waits-timeline.svg from the
event log, and docs/waits-before-timeline.svg, the chain in which configure used to wait for one
thing after the other, computed from the same latencies.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

import whisk_helper
from aws_setup.engine.history import RunEnded, RunRecord, RunStarted
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.core.settings import LATENCIES
from aws_setup.rehearsal.kubernetes.controllers.context import DELAYS
from aws_setup.report.gantt_svg import timeline_svg
from aws_setup.report.timeline import critical_path, total_seconds
from benchmarks.processes import command_line, conditions, write_block
from benchmarks.whisk import MEBIBYTES, make_jar
from tests.support.kube import tool
from tests.support.virtual_time import LIMIT, VirtualWorld, virtual_world

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- makespan: python -m benchmarks.makespan --write -->", "<!-- end of makespan -->"
PICTURE = DOCUMENT.with_name("destroy-timeline.svg")
WAITS = DOCUMENT.with_name("waits-timeline.svg")
CHAIN = DOCUMENT.with_name("waits-before-timeline.svg")
NAMENODES = 20
"""As in the demo."""
LEAST = 0.02
"""Share of a run below which a step that decides nothing is not drawn."""

BEFORE = (
    ("eks cluster", LATENCIES["cluster active"]),
    ("vpc-cni add-on", LATENCIES["addon active"]),
    ("node groups", LATENCIES["node group active"]),
    ("aws-ebs-csi-driver add-on", LATENCIES["addon active"] + DELAYS["node ready"]),
    ("openwhisk address", DELAYS["load balancer created"]),
    ("openwhisk ready", 120.0),
    ("openwhisk api", LATENCIES["load balancer dns"]),
)
"""Steps and their seconds on AWS, each of which began when the one before it was usable."""


def register(world: VirtualWorld) -> float:
    """Register the NameNodes; return the seconds of waits in virtual time and of work here."""
    jar = world.folder / "namenode.jar"
    make_jar(jar, mebibytes=MEBIBYTES, seed=1)
    virtual, began = world.time.now(), time.monotonic()
    words = ["-n", str(NAMENODES), "--create", "-j", str(jar), "--yes"]
    config = ["-y", str(world.folder / "config_aws.yaml")]
    ended = CliRunner().invoke(whisk_helper.main, [*words, *config])
    if ended.exit_code:
        raise RuntimeError(ended.output)
    return world.time.now() - virtual + time.monotonic() - began


def table(world: VirtualWorld, registered: float) -> list[str]:
    """Return the rows of the table: seconds, the limit, and their ratio."""
    made = world.seconds["create"] + world.seconds["configure"]
    parts = "cluster 560, nodes 110, OpenWhisk 120"
    rows = [
        ("create + configure + register", made + registered, LIMIT.create, parts),
        ("create + configure", made, LIMIT.create, parts),
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


def chain() -> RunRecord:
    """Return create and configure as they were when each wait began after the one before it."""
    events: list[StepEvent] = []
    at = 0.0
    for step, seconds in BEFORE:
        events.append(StepEvent(at, EventKind.START, step, Action.CREATE))
        at += seconds
        events.append(StepEvent(at, EventKind.DONE, step, Action.CREATE))
    names = [step for step, _ in BEFORE]
    needs = {step: before for step, *before in zip(names, ["", *names], strict=False)}
    needs = {step: [it for it in found if it] for step, found in needs.items()}
    head = RunStarted("create and configure, before", "", needs=needs)
    return RunRecord(head, tuple(events), RunEnded("ok", at, 0))


def joined(create: RunRecord, configure: RunRecord, *, at: float) -> RunRecord:
    """Return both runs as one, the second from `at` on and after the first one's cluster."""
    # Events are rounded to milliseconds: none of the second run is before the first one's last.
    at = max(at, *(event.at for event in create.events))
    known = {event.step for event in create.events}
    later = [
        replace(event, at=event.at + at) for event in configure.events if event.step not in known
    ]
    second = {
        step: [*(name for name in before if name != step), "eks cluster"]
        for step, before in configure.head.needs.items()
    }
    found = {**second, **create.head.needs}
    head = RunStarted(
        "create and configure",
        "",
        needs=found,
        follows={**configure.head.follows, **create.head.follows},
    )
    events = sorted((*create.events, *later), key=lambda event: event.at)
    return RunRecord(head, tuple(events), RunEnded("ok", events[-1].at, 0))


def main() -> None:
    """Run the deployment's life once; print the table, or write it and the picture."""
    parser = command_line(__doc__)
    parser.add_argument("--write", action="store_true", help=f"update {DOCUMENT.name}")
    options = parser.parse_args()
    with temporary_folder() as temporary, patch.dict(os.environ):
        with virtual_world(temporary / "laptop", _set, helm=tool("helm")) as world:
            world.create()
            world.configure()
            registered = register(world)
            world.destroy()
        made, configured, *_, gone = world.records()
        record = replace(gone, end=None)
    whole = joined(made, configured, at=world.seconds["create"])
    before = chain()
    text = "\n".join(
        [
            *table(world, registered),
            "",
            f"Critical path of create and configure: {path_of(whole)}.",
            f"The same waits one after the other: {total_seconds(before):.0f} s, "
            f"{total_seconds(before) / LIMIT.create:.2f} times what AWS alone takes.",
            f"Critical path of destroy: {path_of(record)}.",
            f"To register {NAMENODES} NameNodes with a jar of {MEBIBYTES} MiB took "
            f"{registered:.1f} s of work on this computer.",
            conditions("benchmarks.makespan", 1, "moto"),
        ]
    )
    print(text)
    if options.write:
        write_block(DOCUMENT, BEGIN, END, text)
        for path, run in ((PICTURE, record), (WAITS, whole), (CHAIN, before)):
            path.write_text(timeline_svg(run, least=LEAST, name=path.stem), encoding="utf-8")


def _set(owner: Any, name: str, value: Any) -> None:
    """Replace an attribute until this process ends; os.environ keeps its identity."""
    if owner is os:
        os.environ.update(value)
    else:
        setattr(owner, name, value)


if __name__ == "__main__":
    main()
