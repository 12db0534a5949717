"""The tables of whisk_helper.py: --list, --verify, and how a run ended for each action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from aws_setup.engine.safe_text import one_line
from aws_setup.engine.wording import count_of
from aws_setup.namenodes.action import CurrentAction
from aws_setup.namenodes.selection import Selection
from aws_setup.namenodes.verify import VerifyResult, jar_hash
from aws_setup.report.console import Report


def print_ends(report: Report, ends: Mapping[str, str]) -> None:
    """Print how a run ended, one line for each action."""
    table = _table()
    for name, end in ends.items():
        style = "red" if end.startswith("failed") else "yellow" if end == "not started" else ""
        table.add_row(_cell(name), Text(one_line(end), style=style))
    report.table(table)


def print_list(
    report: Report, selection: Selection, found: Sequence[CurrentAction], missing: Sequence[str]
) -> None:
    """Print the table of --list; a * marks actions that another program changed last."""
    table = _table("index", "name", "version", "jar", "memory", "concurrency", "updated")
    for action in found:
        table.add_row(
            str(selection.index(action.name)),
            _cell(action.name),
            _cell(action.version),
            _cell(jar_hash(action)),
            f"{action.memory} MB",
            str(action.concurrency),
            f"{datetime.fromtimestamp(action.updated, UTC):%Y-%m-%d %H:%M}Z",
        )
    report.table(table)
    report.result(f"{count_of(len(found), 'action')}{_jars(found)}.")
    if any(action.sha256 and not action.unmodified for action in found):
        report.result("* changed by another program since: its jar is not known for certain.")
    if missing:
        report.result(f"Missing: {', '.join(missing)}.")


def _jars(found: Sequence[CurrentAction]) -> str:
    """Return how many jars several actions have; '' where none is known."""
    jars = {jar_hash(action) for action in found}
    if len(found) < 2 or not any(action.sha256 for action in found):
        return ""
    return f" with {len(jars)} different jars" if len(jars) > 1 else ", all with the same jar"


def print_verification(report: Report, results: Sequence[VerifyResult]) -> None:
    """Print the results of --verify, one line for each action."""
    table = _table()
    for result in results:
        found = result.row.found
        table.add_row(
            _cell(result.row.step.name),
            _cell(found.id if found else ""),
            Text(one_line(result.text), style="green" if result.ok else "red"),
            _cell(str(result.activation or "")),
        )
    report.table(table)


def _cell(text: str) -> Text:
    """Return a text of OpenWhisk as a cell: without rich's markup, and safe to print."""
    return Text(one_line(text))


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=bool(titles), header_style="bold")
    table.collapse_padding = True
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
