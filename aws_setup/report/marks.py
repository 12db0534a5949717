"""How every step stands after some runs: the marks with which the architecture is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aws_setup.events import Record
from aws_setup.picture import Mark
from aws_setup.report.timeline import Outcome, spans
from aws_setup.steps import Action

KINDS: Mapping[str, Mark] = {
    Outcome.EXISTS: Mark("exists", "exists"),
    Outcome.CREATED: Mark("created", "created"),
    Outcome.UPDATED: Mark("updated", "updated"),
    Outcome.DELETED: Mark("deleted", "deleted"),
    Outcome.FAILED: Mark("failed", "failed"),
    Outcome.BLOCKED: Mark("blocked", "not started"),
    Outcome.UNFINISHED: Mark("unfinished", "unfinished"),
}
"""Outcome -> its mark."""

PLANNED: Mapping[str, Mark] = {
    Action.EXISTS: Mark("exists", "exists"),
    Action.DELETE: Mark("exists", "exists"),
    Action.CREATE: Mark("planned", "to create"),
    Action.UPDATE: Mark("planned", "to update"),
    Action.CONFLICT: Mark("failed", "conflict"),
    Action.UNKNOWN: Mark("failed", "unknown"),
}
"""What a look says, of a step that the run did nothing about -> its mark."""

THERE = frozenset({"exists", "created", "updated"})
"""Kinds of what an earlier run left standing."""


def marks(records: Iterable[Record]) -> dict[str, Mark]:
    """Return each step's mark after the runs: the last word about it, and what made it if it is."""
    known: dict[str, Mark] = {}
    for record in records:
        said = {step: PLANNED[planned.action] for step, planned in record.head.plan.items()}
        if record.events:
            late = {step for step, mark in said.items() if mark.kind == "planned"}
            said |= dict.fromkeys(late, KINDS[Outcome.BLOCKED])
        said |= {span.step: KINDS[span.outcome] for span in spans(record)}
        still = {step for step, mark in said.items() if mark.kind == "exists" and step in known}
        known |= {
            step: mark
            for step, mark in said.items()
            if step not in still or known[step].kind not in THERE
        }
    return known


def before(records: Iterable[Record]) -> dict[str, Mark]:
    """Return the marks of what earlier runs left standing: it exists, as far as the log knows."""
    known = marks(records)
    return {step: KINDS[Outcome.EXISTS] for step, mark in known.items() if mark.kind in THERE}
