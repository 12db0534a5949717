"""The two consoles: what is printed where, and how plans, problems and results are shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from aws_setup.engine.output_stream import OutputStream, make_readable, unwritten
from aws_setup.engine.plan import Row
from aws_setup.engine.result import Result
from aws_setup.engine.safe_text import json_text, one_line, visible
from aws_setup.errors import Problem
from aws_setup.report.folding import print_line
from aws_setup.report.plan_table import (
    NO_PRICES,
    PlanLine,
    drift_lines,
    grouped_cells,
    plan_cells,
    plan_table,
    plan_text,
)
from aws_setup.report.printed_commands import AS_THEY_ARE, CommandOptions
from aws_setup.report.progress import Needs, Progress, live, plain

GAP = 2
"""Columns between two columns of a table."""


@dataclass(frozen=True)
class Style:
    """Options of the output: --json, -v, -q, --no-color and the configuration's no_color."""

    json: bool = False
    verbose: bool = False
    quiet: bool = False
    no_color: bool = False


class SafeConsole(Console):
    """A console on which no text can contain a control or another invisible character.

    Texts are made safe where they are put into lines and cells; this catches every other one.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Return what is printed; only rich's own segments may control the terminal."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


class Report:
    """Prints; with --json stdout holds one document and nothing else.

    Only a terminal's lines are folded: in a pipe or a file one row is one line.
    """

    def __init__(self, style: Style, commands: CommandOptions = AS_THEY_ARE) -> None:
        plain_terminal = style.no_color or os.environ.get("TERM") == "dumb"
        colour = {"no_color": True} if plain_terminal or "NO_COLOR" in os.environ else {}
        plainly = {"highlight": False, "emoji": False, **colour}
        self.style, self._commands = style, commands
        self._folds = sys.stdout.isatty()
        for stream in (sys.stdout, sys.stderr):
            make_readable(stream)
        self._streams = OutputStream(sys.stdout), OutputStream(sys.stderr)
        out, err = self._streams
        self.out = SafeConsole(file=out, soft_wrap=True, **plainly)  # type: ignore[arg-type]
        self.err = SafeConsole(file=err, **plainly)  # type: ignore[arg-type]
        # rich takes a file for a terminal where FORCE_COLOR or TTY_COMPATIBLE is set, as in CI:
        # https://rich.readthedocs.io/en/stable/console.html#environment-variables
        drawable = sys.stderr.isatty() and self.err.is_terminal
        self.live = drawable and not colour and not style.quiet

    def is_complete(self) -> bool:
        """Whether everything was written; what went wrong is told on stderr, also with --json."""
        errors = [stream.error for stream in self._streams if stream.error]
        for error in errors:
            self._problem(unwritten(error))
        return not errors

    def message(self, text: str) -> None:
        """Print a message on stderr; nothing with --quiet."""
        if not self.style.quiet:
            print_line(self.err, Text(self._line(text)))

    def result(self, text: str = "") -> None:
        """Print a line of the result on stdout; nothing with --json."""
        if not self.style.json:
            print_line(self.out, Text(self._line(text)))

    def _line(self, text: str) -> str:
        """Return a text as a line, with commands that lead to this run's deployment."""
        return self._commands.complete(one_line(text))

    def table(self, table: Table) -> None:
        """Print a table of the result on stdout; nothing with --json."""
        if self.style.json:
            return
        if self._folds and _least_width(table) <= self.out.width:
            self.out.print(table)
            return
        if table.row_count or table.show_header:
            self.out.print(Text("\n".join(_plain_lines(table))))

    def plan(
        self,
        rows: Sequence[Row],
        *,
        deleting: bool = False,
        states: bool = False,
        prices: Mapping[str, float] = NO_PRICES,
    ) -> None:
        """Print a plan: one line for each step with what a run would do about it.

        With `states` each line shows the resource's state, and its notes in the lines below. In a
        terminal a plan is grouped by parts, each with its price, and without -v the steps that a
        run leaves as they are become a count.

        Args:
            rows: the plan.
            deleting: show what is deleted.
            states: show states.
            prices: US dollars an hour of the parts, where they are known.
        """
        grouped = self._folds and not (deleting or states)
        separator = "\n  " if self._folds else "; "
        lines = [PlanLine(row, deleting, states, separator, grouped) for row in rows]
        if not self._folds:
            self.table(plan_table(lines))
        elif lines and not self.style.json:
            folded = not self.style.verbose
            cells = grouped_cells(lines, prices, folded=folded) if grouped else plan_cells(lines)
            self.out.print(plan_text(cells, width=self.out.width), soft_wrap=True)

    def drift(self, rows: Sequence[Row]) -> None:
        """Print what differs between the world and the configuration, a line for each difference.

        A difference that cannot be changed in place is followed by its fix.
        """
        count = 0
        for row in rows:
            for line in drift_lines(row):
                count += not line.startswith(" ")
                self.result(line)
        self.result(f"{count} of {len(rows)} differ." if count else "Nothing differs.")

    def problems(self, problems: Sequence[Problem], *, warning: bool = False) -> None:
        """Print problems on stderr: what failed and why on one line, the fix on the next."""
        if self.style.json:
            return
        for problem in problems:
            self._problem(problem, warning=warning)

    def _problem(self, problem: Problem, *, warning: bool = False) -> None:
        sign, style = ("warning", "yellow") if warning else ("error", "bold red")
        line = Text(f"{sign}: ", style=style)
        line.append(self._line(problem.what), style="default")
        if problem.why:
            line.append(f": {self._line(problem.why)}", style="default")
        print_line(self.err, line)
        if problem.hint:
            print_line(self.err, Text(f"  Fix: {self._line(problem.hint)}"))

    @contextmanager
    def progress(
        self, needs: Needs, usual: Mapping[str, float] | None = None
    ) -> Iterator[Progress]:
        """Show the progress of a run: a live table in a terminal, plain lines elsewhere.

        Args:
            needs: the steps that are shown, each with those that must end before it.
            usual: the seconds that they usually take, as far as that is known.
        """
        if self.live:
            shown = live(self.err, needs, usual)
        else:
            shown = plain(self.err, needs, usual or {}, quiet=self.style.quiet)
        with shown as progress:
            yield progress

    @contextmanager
    def upload_progress(self, total: int, total_bytes: int) -> Iterator[Progress]:
        """Show the progress of many uploads: one bar in a terminal, plain lines elsewhere."""
        from aws_setup.report.upload_progress import bar, counted  # 20 ms of rich

        if self.live:
            shown = bar(self.err, total, total_bytes)
        else:
            shown = counted(self.err, total, total_bytes, quiet=self.style.quiet)
        with shown as progress:
            yield progress

    def document(self, result: Result) -> None:
        """With --json, print the one JSON document."""
        if self.style.json:
            escaped = not self.out.encoding.startswith("utf")
            document = self._commands.completed(result.document())
            text = json_text(document, indent=2, default=str, ensure_ascii=escaped)
            self.out.print(text, markup=False)


FEWEST = 8
"""Columns of a folded cell below which its words are cut into pieces that nobody reads; sentences,
as in a table without headings, need twice as many.
"""


def _least_width(table: Table) -> int:
    """Return the width of a terminal below which whole lines, which it wraps, read better."""
    fewest = FEWEST if table.show_header else 2 * FEWEST
    widths = [1] * len(table.columns)
    for number, column in enumerate(table.columns):
        cells = [str(column.header)] * table.show_header + [str(cell) for cell in column.cells]
        widest = max(map(cell_len, cells), default=0)
        widths[number] += widest if column.no_wrap else min(widest, fewest)
    return sum(widths)


def _plain_lines(table: Table) -> Iterator[str]:
    """Yield the rows of a table as lines of any length, without rich's layout, which is slow."""
    columns = [
        [str(column.header)] * table.show_header + [one_line(str(cell)) for cell in column.cells]
        for column in table.columns
    ]
    widths = [max(map(cell_len, cells), default=0) for cells in columns]
    for row in zip(*columns, strict=True):
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        yield (" " * GAP).join(cells).rstrip()
