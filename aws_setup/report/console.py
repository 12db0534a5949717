"""The two consoles, what goes to which, and how plans, problems and results look."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aws_setup.engine.plan import Row
from aws_setup.engine.result import Result
from aws_setup.engine.step import Action
from aws_setup.errors import Problem
from aws_setup.report.progress import Needs, Progress, live, plain

SIGNS: Mapping[Action, tuple[str, str]] = {
    Action.EXISTS: ("=", "dim"),
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.CONFLICT: ("!", "bold red"),
    Action.UNKNOWN: ("?", "red"),
    Action.DELETE: ("-", "red"),
}
"""Action -> the sign and the colour of its line."""


@dataclass(frozen=True)
class Style:
    """How to talk: --json, -v, -q, --no-color and the configuration's no_color."""

    json: bool = False
    verbose: bool = False
    quiet: bool = False
    no_color: bool = False


class Report:
    """Prints; with --json stdout holds one document and nothing else."""

    def __init__(self, style: Style) -> None:
        plain_terminal = style.no_color or os.environ.get("TERM") == "dumb"
        colour = {"no_color": True} if plain_terminal or "NO_COLOR" in os.environ else {}
        self.style = style
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal or a pipe whose encoding has no λ gets ? for it, never an error.
                stream.reconfigure(errors="replace")
        self.out = Console(file=sys.stdout, highlight=False, soft_wrap=True, **colour)  # type: ignore[arg-type]
        self.err = Console(file=sys.stderr, highlight=False, **colour)  # type: ignore[arg-type]
        self.live = self.err.is_terminal and not colour and not style.quiet

    def say(self, text: str = "", *, style: str = "") -> None:
        """Tell how things go, on stderr; nothing with --quiet."""
        if not self.style.quiet:
            self.err.print(Text(text, style=style))

    def result(self, text: str = "") -> None:
        """Print a line of the result on stdout; nothing with --json."""
        if not self.style.json:
            self.out.print(Text(text))

    def table(self, table: Table) -> None:
        """Print a table of the result on stdout; nothing with --json."""
        if not self.style.json:
            self.out.print(table)

    def plan(self, rows: Sequence[Row], *, deleting: bool = False, states: bool = False) -> None:
        """Print a plan: one line for each step with what a run would do about it.

        With `states` each line tells how the thing is, and below it what is not well with it.
        """
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column()
        table.add_column(overflow="fold")
        for row in rows:
            going = deleting and row.found is not None
            action = Action.DELETE if going else row.action
            sign, style = SIGNS[action]
            word = "= skipped" if _skipped(row) else f"{sign} {action}"
            table.add_row(
                Text(word, style=style),
                Text(row.step.name),
                Text(_health(row) if states else _remark(row, going=going)),
            )
        self.table(table)

    def problems(self, problems: Sequence[Problem], *, warning: bool = False) -> None:
        """Print problems on stderr: what failed and why on one line, the fix on the next."""
        sign, style = ("warning", "yellow") if warning else ("error", "bold red")
        if self.style.json:
            return
        for problem in problems:
            line = Text(f"{sign}: ", style=style)
            line.append(problem.what, style="default")
            if problem.why:
                line.append(f": {problem.why}", style="default")
            self.err.print(line, soft_wrap=True)
            if problem.hint:
                self.err.print(Text(f"  Fix: {problem.hint}"), soft_wrap=True)

    @contextmanager
    def progress(self, needs: Needs) -> Iterator[Progress]:
        """Show a run while it goes: a live table on a terminal, plain lines elsewhere."""
        shown = live(self.err, needs) if self.live else plain(self.err, quiet=self.style.quiet)
        with shown as progress:
            yield progress

    def document(self, result: Result) -> None:
        """With --json, print the one JSON document."""
        if self.style.json:
            escaped = not self.out.encoding.startswith("utf")
            text = json.dumps(result.document(), indent=2, default=str, ensure_ascii=escaped)
            self.out.print(text, markup=False)


def _health(row: Row) -> str:
    """Return the last column of a status line: what it is and how it is, and what is not well."""
    found = row.found
    if found is None or row.error or _skipped(row):
        return _remark(row, going=False)
    state = f" ({found.state})" if found.id and found.state not in ("", "available") else ""
    drift = [f"{d.what}: {d.has} -> {d.wants}" for d in found.drift]
    first = "; ".join(((found.id or found.state) + state, *drift))
    return "\n".join((first, *(f"  {note}" for note in found.facts.get("notes", ()))))


def _skipped(row: Row) -> bool:
    return row.found is not None and bool(row.found.skipped)


def _remark(row: Row, *, going: bool) -> str:
    """Return the last column of a plan line: error, drift, the id, or the state without one.

    Of what is deleted the id counts, and no longer how it differs from the configuration.
    """
    if row.error:
        return str(row.error)
    if row.found is None:
        return ""
    if row.found.drift and not going:
        return "; ".join(f"{d.what}: {d.has} -> {d.wants}" for d in row.found.drift)
    adopted = " (used as it is, not changed or deleted here)" if row.step.adopted else ""
    return (row.found.id or row.found.skipped or row.found.state) + adopted
