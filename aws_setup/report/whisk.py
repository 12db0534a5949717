"""How the NameNode actions, their upload and their verification look."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from aws_setup.namenodes.action import CurrentAction, Deed
from aws_setup.namenodes.deploy import Listener, Outcome, Task
from aws_setup.namenodes.selection import Selection
from aws_setup.namenodes.verify import VerifyResult
from aws_setup.report.console import Report
from aws_setup.report.upload_progress import live, plain

ACTIONS = {
    Deed.NOTHING: "exists",
    Deed.CREATE: "create",
    Deed.UPDATE: "update",
    Deed.LIMITS: "update",
    Deed.DELETE: "delete",
}
"""Deed -> its word in the JSON document that all scripts share."""

SIGNS = {
    Deed.NOTHING: ("= exists", "dim"),
    Deed.CREATE: ("+ create", "green"),
    Deed.UPDATE: ("~ update", "yellow"),
    Deed.LIMITS: ("~ limits", "yellow"),
    Deed.DELETE: ("- delete", "red"),
}
"""Deed -> first column and colour of its line."""

PAST = {
    Deed.NOTHING: "as wanted",
    Deed.CREATE: "created",
    Deed.UPDATE: "updated",
    Deed.LIMITS: "limits updated, without the jar",
    Deed.DELETE: "deleted",
}

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """One action of a run: what is to be done about it, and why."""

    name: str
    deed: Deed
    existing: CurrentAction | None
    remark: str = ""

    def document(self) -> dict[str, Any]:
        """Return the row as one of the JSON document's steps."""
        return {
            "name": self.name,
            "action": ACTIONS[self.deed],
            "id": self.existing.version if self.existing else None,
            "sends_jar": self.deed in {Deed.CREATE, Deed.UPDATE},
            "why": self.remark,
            "error": None,
        }

    def ended(self, outcome: Outcome) -> dict[str, Any]:
        """Return the row as a step after the run, with its end in words."""
        document = self.document() | {"end": self.end(outcome)}
        if self.name in outcome.done and self.deed is not Deed.DELETE:
            document["id"] = outcome.done[self.name].removeprefix("version ")
        if self.name in outcome.failed:
            document["error"] = str(outcome.failed[self.name]) or "interrupted"
        return document

    def end(self, outcome: Outcome) -> str:
        """Return how the run ended for this action."""
        if self.name in outcome.failed:
            return f"failed: {outcome.failed[self.name] or 'interrupted'}"
        if self.name in outcome.not_started:
            return "not started"
        done = outcome.done.get(self.name, "")
        version = f", {done}" if done.startswith("version") else ""
        return PAST[self.deed] + version


def progress(report: Report, tasks: Sequence[Task]) -> AbstractContextManager[Listener]:
    """Show uploads while they run: a bar on a terminal, plain lines elsewhere."""
    if report.live:
        return live(report.err, tasks)
    return plain(report.err, tasks, quiet=report.style.quiet)


def plan(report: Report, rows: Sequence[Row]) -> None:
    """Print what a run would do, one line for each action, and the count of each."""
    table = _table()
    for row in rows:
        sign, style = SIGNS[row.deed]
        table.add_row(Text(sign, style=style), Text(row.name), Text(row.remark))
    report.table(table)
    counted = {sign: sum(row.deed is deed for row in rows) for deed, (sign, _) in SIGNS.items()}
    said = [f"{count} {sign[2:]}" for sign, count in counted.items() if count]
    report.result(", ".join(said) or "There is nothing to do.")


def ended(report: Report, rows: Sequence[Row], outcome: Outcome) -> None:
    """Print how the run ended for every action."""
    table = _table()
    for row in rows:
        style = "red" if row.name in outcome.failed else ""
        style = "yellow" if row.name in outcome.not_started else style
        table.add_row(Text(row.name), Text(row.end(outcome), style=style))
    report.table(table)
    changed, left = len(outcome.done), len(outcome.failed) + len(outcome.not_started)
    same = len(rows) - changed - left
    parts = [f"{changed} changed", f"{same} as wanted before"]
    if left:
        parts += [f"{len(outcome.failed)} failed", f"{len(outcome.not_started)} not started"]
    again = "; the same command again goes on with them" if left else ""
    report.result(", ".join(parts) + again + ".")


def actions(
    report: Report, selection: Selection, found: Sequence[CurrentAction], missing: Sequence[str]
) -> None:
    """Print the table of --list; a * marks actions that something else changed last."""
    table = _table("index", "name", "version", "jar", "memory", "concurrency", "updated")
    for action in found:
        table.add_row(
            str(selection.index(action.name)),
            action.name,
            action.version,
            jar_mark(action),
            f"{action.memory} MB",
            str(action.concurrency),
            f"{datetime.fromtimestamp(action.updated, UTC):%Y-%m-%d %H:%M}Z",
        )
    report.table(table)
    hashes = {jar_mark(action) for action in found}
    report.result(f"{len(found)} actions, {len(hashes)} different jars.")
    if any(action.sha256 and not action.ours for action in found):
        report.result("* changed since by something else: its jar is not known for certain.")
    if missing:
        report.result(f"Missing: {', '.join(missing)}.")


def jar_mark(action: CurrentAction) -> str:
    """Return the beginning of the jar's hash; unknown when this script did not send it."""
    if not action.sha256:
        return UNKNOWN
    return action.sha256[:12] + ("" if action.ours else "*")


def action_document(selection: Selection, action: CurrentAction) -> dict[str, Any]:
    """Return an action for the JSON document of --list."""
    return {
        "index": selection.index(action.name),
        "name": action.name,
        "version": action.version,
        "jar_sha256": action.sha256 if action.ours else None,
        "memory": action.memory,
        "concurrency": action.concurrency,
        "kind": action.kind,
        "main": action.main,
        "updated": datetime.fromtimestamp(action.updated, UTC).isoformat(),
    }


def findings(report: Report, found: Sequence[VerifyResult]) -> None:
    """Print what --verify found, one line for each action."""
    table = _table()
    for finding in found:
        text = "as wanted" if finding.right else "missing"
        if finding.wrong:
            text = "; ".join(f"{d.what} is {d.has}, not {d.wants}" for d in finding.wrong)
        elif finding.started and finding.started.error:
            text = ""
        version = finding.existing.version if finding.existing else ""
        style = "green" if finding.right else "red"
        table.add_row(
            Text(finding.name), version, Text(text, style=style), Text(finding.how_started)
        )
    report.table(table)


def finding_document(finding: VerifyResult) -> dict[str, Any]:
    """Return a finding as one of the JSON document's steps."""
    return {
        "name": finding.name,
        "action": "exists" if finding.right else ("update" if finding.existing else "create"),
        "id": finding.existing.version if finding.existing else None,
        "error": None if finding.right else "missing" if not finding.existing else "differs",
        "differences": [asdict(difference) for difference in finding.wrong],
        "start": asdict(finding.started) if finding.started else None,
    }


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=bool(titles), header_style="bold")
    table.collapse_padding = True
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table
