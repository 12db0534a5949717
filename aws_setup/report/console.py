"""The two consoles: what is printed where, and how plans, problems and results are shown."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from aws_setup.engine.plan import Row, remark, status_lines
from aws_setup.engine.result import Result
from aws_setup.engine.safe_text import json_text, one_line, visible
from aws_setup.engine.step import Action
from aws_setup.errors import Problem
from aws_setup.report.progress import Needs, Progress, bar, counted, live, plain

SIGNS: Mapping[Action, tuple[str, str]] = {
    Action.EXISTS: ("=", "dim"),
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.CONFLICT: ("!", "bold red"),
    Action.UNKNOWN: ("?", "red"),
    Action.DELETE: ("-", "red"),
}
"""Action -> the sign and the colour of its line."""

REMARK_WIDTH = 16
"""Columns that the remark of a plan keeps; in a terminal too narrow for that, names wrap too."""

GAP = 2
"""Columns between two columns of a table."""


@dataclass(frozen=True)
class PlanLine:
    """A row as it is printed: `deleting` shows a removal, `states` the state instead of the plan.

    `separator` joins a state and its notes: with a newline in a terminal, in one line elsewhere.
    """

    row: Row
    deleting: bool = False
    states: bool = False
    separator: str = "\n  "

    def action(self) -> Text:
        """Return the sign and the action; a skipped step shows that it is skipped."""
        found = self.row.found
        if found and found.skipped:
            return Text("= skipped", style=SIGNS[Action.EXISTS][1])
        action = Action.DELETE if self.deleting and found else self.row.action
        sign, style = SIGNS[action]
        return Text(f"{sign} {action}", style=style)

    def name(self) -> Text:
        """Return the step's name."""
        return Text(one_line(self.row.step.name))

    def remark(self) -> Text:
        """Return what else the plan or the status says about the step."""
        if self.states:
            return Text(self.separator.join(map(one_line, status_lines(self.row))))
        deleting = self.deleting and self.row.found is not None
        return Text(one_line(remark(self.row, deleting=deleting)))


PLAN_COLUMNS: tuple[Callable[[PlanLine], Text], ...] = (
    PlanLine.action,
    PlanLine.name,
    PlanLine.remark,
)
"""The columns of a plan; the last one takes the width that the others leave."""


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

    def __init__(self, style: Style) -> None:
        plain_terminal = style.no_color or os.environ.get("TERM") == "dumb"
        colour = {"no_color": True} if plain_terminal or "NO_COLOR" in os.environ else {}
        self.style = style
        self._folds = sys.stdout.isatty()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal or a pipe whose encoding has no λ gets ? for it, never an error.
                stream.reconfigure(errors="replace")
        self.out = SafeConsole(file=sys.stdout, highlight=False, soft_wrap=True, **colour)  # type: ignore[arg-type]
        self.err = SafeConsole(file=sys.stderr, highlight=False, **colour)  # type: ignore[arg-type]
        self.live = self.err.is_terminal and not colour and not style.quiet

    def message(self, text: str) -> None:
        """Print a message on stderr; nothing with --quiet."""
        if not self.style.quiet:
            self.err.print(Text(one_line(text)), soft_wrap=True)

    def result(self, text: str = "") -> None:
        """Print a line of the result on stdout; nothing with --json."""
        if not self.style.json:
            self.out.print(Text(one_line(text)))

    def table(self, table: Table) -> None:
        """Print a table of the result on stdout; nothing with --json."""
        if self.style.json:
            return
        if self._folds:
            self.out.print(table)
            return
        if table.row_count or table.show_header:
            self.out.print(Text("\n".join(_plain_lines(table))))

    def plan(self, rows: Sequence[Row], *, deleting: bool = False, states: bool = False) -> None:
        """Print a plan: one line for each step with what a run would do about it.

        With `states` each line shows the resource's state, and its notes in the lines below.
        """
        separator = "\n  " if self._folds else "; "
        lines = [PlanLine(row, deleting, states, separator) for row in rows]
        self.table(_plan_table(lines, width=self.out.width))

    def problems(self, problems: Sequence[Problem], *, warning: bool = False) -> None:
        """Print problems on stderr: what failed and why on one line, the fix on the next."""
        sign, style = ("warning", "yellow") if warning else ("error", "bold red")
        if self.style.json:
            return
        for problem in problems:
            line = Text(f"{sign}: ", style=style)
            line.append(one_line(problem.what), style="default")
            if problem.why:
                line.append(f": {one_line(problem.why)}", style="default")
            self.err.print(line, soft_wrap=True)
            if problem.hint:
                self.err.print(Text(f"  Fix: {one_line(problem.hint)}"), soft_wrap=True)

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
            text = json_text(result.document(), indent=2, default=str, ensure_ascii=escaped)
            self.out.print(text, markup=False)


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


def _plan_table(lines: Sequence[PlanLine], *, width: int) -> Table:
    """Return the table of a plan; names are not cut, and fold only where nothing else is left."""
    cells = [[column(line) for column in PLAN_COLUMNS] for line in lines]
    others = sum(max((row[n].cell_len for row in cells), default=0) + GAP for n in range(2))
    table = Table(box=None, pad_edge=False, show_header=False)
    for number in range(len(PLAN_COLUMNS)):
        fixed = number == 0 or (number == 1 and others + REMARK_WIDTH <= width)
        table.add_column(no_wrap=fixed, overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table
