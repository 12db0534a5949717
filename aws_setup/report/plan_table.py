"""The table of a plan: its lines, grouped by the parts of the deployment in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rich.table import Table
from rich.text import Text

from aws_setup.engine.plan import Row, remark, status_lines
from aws_setup.engine.safe_text import one_line
from aws_setup.engine.step import Action

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
"""Columns between two columns of the table."""

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


PLAN_COLUMNS: tuple[Callable[[PlanLine], Text], ...] = (
    PlanLine.action,
    PlanLine.name,
    PlanLine.remark,
)
"""The columns of a plan; the last one takes the width that the others leave."""


def plan_table(lines: Sequence[PlanLine], *, width: int) -> Table:
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


def grouped_table(
    lines: Sequence[PlanLine], prices: Mapping[str, float], *, width: int, folded: bool
) -> Table:
    """Return the table of a plan with a heading for each part, in the order of the steps.

    Args:
        lines: the rows.
        prices: US dollars an hour of the parts.
        width: columns of the terminal.
        folded: show only how many steps of a part a run leaves as they are.
    """
    kept = [line for line in lines if not (folded and _is_unchanged(line.row))]
    table = plan_table(kept, width=width)
    shown = Table(box=None, pad_edge=False, show_header=False)
    for column in table.columns:
        shown.add_column(no_wrap=column.no_wrap, overflow="fold")
    parts = list(dict.fromkeys(line.row.step.part for line in lines))
    for part in parts:
        of_part = [line for line in lines if line.row.step.part == part]
        if len(parts) > 1 or part in prices:
            shown.add_row(
                Text(one_line(part), style="bold"), Text(_price(prices.get(part))), Text()
            )
        changed = [line for line in of_part if not (folded and _is_unchanged(line.row))]
        for line in changed:
            shown.add_row(*(column(line) for column in PLAN_COLUMNS))
        if left := len(of_part) - len(changed):
            shown.add_row(Text("= exists", style=SIGNS[Action.EXISTS][1]), Text(_count(left)))
    return shown


def _is_unchanged(row: Row) -> bool:
    return row.action is Action.EXISTS and not (row.found and row.found.skipped)


def _price(hourly: float | None) -> str:
    return f"${hourly:.3f}/h" if hourly else ""


def _count(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}; -v lists them"


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
