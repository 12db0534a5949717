"""The lines of a plan, grouped by the parts of the deployment in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from aws_setup.engine.plan import Row, remark, status_lines
from aws_setup.engine.safe_text import one_line
from aws_setup.engine.step import Action
from aws_setup.engine.wording import count_of
from aws_setup.report.folding import fold

SIGNS: Mapping[Action, tuple[str, str]] = {
    Action.EXISTS: ("=", "dim"),
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.CONFLICT: ("!", "bold red"),
    Action.UNKNOWN: ("?", "red"),
    Action.DELETE: ("-", "red"),
}
"""Action -> the sign and the colour of its line."""

GAP = 2
"""Columns between two columns of a plan."""

BELOW = 6
"""Columns by which a remark below its name is indented."""

NO_PRICES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class PlanLine:
    """A row as it is printed: `deleting` shows a removal, `states` the state instead of the plan.

    `separator` joins a state and its notes: with a newline in a terminal, in one line elsewhere.
    `detailed` rows also say what an existing resource is.
    """

    row: Row
    deleting: bool = False
    states: bool = False
    separator: str = "\n  "
    detailed: bool = False

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
        text = remark(self.row, deleting=deleting)
        if self.detailed and self.row.details and self.row.action is Action.EXISTS:
            text = f"{text}, {self.row.details}"
        return Text(one_line(text))


Cells = tuple[Text, Text, Text]
"""A line of a plan: sign and action, name, remark."""


def plan_cells(lines: Sequence[PlanLine]) -> list[Cells]:
    """Return the lines of a plan."""
    return [(line.action(), line.name(), line.remark()) for line in lines]


def plan_table(lines: Sequence[PlanLine]) -> Table:
    """Return the table of a plan for a pipe or a file, which has a line for each row."""
    table = Table("", "", "", box=None, pad_edge=False, show_header=False)
    for row in plan_cells(lines):
        table.add_row(*row)
    return table


def grouped_cells(
    lines: Sequence[PlanLine], prices: Mapping[str, float], *, folded: bool
) -> list[Cells]:
    """Return the lines of a plan with a heading for each part, in the order of the steps.

    Args:
        lines: the rows.
        prices: US dollars an hour of the parts.
        folded: show only how many steps of a part a run leaves as they are.
    """
    shown: list[Cells] = []
    parts = list(dict.fromkeys(line.row.step.part for line in lines))
    for part in parts:
        of_part = [line for line in lines if line.row.step.part == part]
        if len(parts) > 1 or part in prices:
            heading = Text(one_line(part), style="bold")
            shown.append((heading, Text(_price(prices.get(part))), Text()))
        changed = [line for line in of_part if not (folded and _is_unchanged(line.row))]
        shown += plan_cells(changed)
        if left := len(of_part) - len(changed):
            unchanged = Text("= exists", style=SIGNS[Action.EXISTS][1])
            shown.append((unchanged, Text(_count(left)), Text()))
    return shown


def plan_text(rows: Sequence[Cells], *, width: int) -> Text:
    """Return the lines of a plan for a terminal of a width.

    A remark that would take more than two lines beside its name, or in which a word would be
    broken, is below the name instead.
    """
    action = max(row[0].cell_len for row in rows) + GAP
    name = max(row[1].cell_len for row in rows) + GAP
    return Text("\n").join(line for row in rows for line in _row(row, action, name, width=width))


def _row(cells: Cells, action: int, name: int, *, width: int) -> Iterator[Text]:
    """Yield the lines of one row; `action` and `name` are the widths of the first two columns."""
    remark = cells[2].plain.split("\n") if cells[2] else []
    beside = [line for text in remark for line in fold(text, width - action - name, indent=0)]
    fits = all(cell_len(line) <= width - action - name for line in beside)
    below = len(beside) > len(remark) + 1 or not fits
    first, *others = fold(cells[1].plain, width - action)
    head = cells[0].copy()
    head.pad_right(action - head.cell_len)
    head.append(first)
    if beside and not below:
        head.pad_right(action + name - head.cell_len)
        head.append(beside[0])
    yield head
    yield from (Text(" " * action + line) for line in others)
    if below:
        lines = (line for text in remark for line in fold(text, width - BELOW))
        yield from (Text(" " * BELOW + line) for line in lines)
    else:
        yield from (Text(" " * (action + name) + line) for line in beside[1:])


def _is_unchanged(row: Row) -> bool:
    return row.action is Action.EXISTS and not (row.found and row.found.skipped)


def _price(hourly: float | None) -> str:
    return f"${hourly:.3f}/h" if hourly else ""


def _count(steps: int) -> str:
    return f"{count_of(steps, 'step')}; -v lists {'it' if steps == 1 else 'them'}"


def drift_lines(row: Row) -> Iterator[str]:
    """Yield what differs between a resource and its configuration; nothing when nothing does."""
    if row.error or row.action is Action.EXISTS:
        if row.error:
            yield f"{SIGNS[Action.UNKNOWN][0]} {row.step.name}: {remark(row)}"
        return
    sign = SIGNS[row.action][0]
    if row.found is None:
        yield f"{sign} {row.step.name}: does not exist"
        if row.details:
            yield f"    {row.details}"
        return
    if row.action is Action.DELETE:
        yield f"{sign} {row.step.name}: should not exist"
        return
    yield f"{sign} {row.step.name}: {row.found.id}"
    for drift in row.found.drift:
        yield f"    {drift.what}: {drift.has} -> {drift.wants}"
        if drift.fix:
            yield f"      Fix: {drift.fix}"
