"""What the story prints itself: headings between the output of the scripts, and the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from aws_setup.rehearsal.rules import Thing
from aws_setup.rehearsal.story.acts import Act
from aws_setup.rehearsal.story.ending import Played

WIDEST = 100
"""Columns that are used at most."""


class Teller:
    """Prints on stdout, between what the scripts print there."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stdout, highlight=False)
        self.console.width = min(self.console.width, WIDEST)

    def begin(self, facts: Sequence[tuple[str, str]]) -> None:
        """Say what is about to happen, and where."""
        self.line("λFS in rehearsal: the three scripts against an AWS on this computer", bold=True)
        self.pairs(facts)

    def act(self, act: Act, *, number: int, of: int) -> None:
        """Head an act."""
        self.heading(f"{number} of {of}: {act.title}")
        self.line(f"$ {act.line}", bold=True)

    def heading(self, title: str) -> None:
        """Head what follows."""
        self.console.print()
        self.console.print(Rule(title, align="left", style="cyan", characters="─"))

    def line(self, text: str, *, style: str = "", bold: bool = False) -> None:
        """Print a line of the story's own, before whatever a script prints next."""
        self.console.print(Text(text, style="bold" if bold else style), soft_wrap=True)
        sys.stdout.flush()

    def runs(self, played: Sequence[Played]) -> None:
        """Print each command with its time, its requests and its writes."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("", no_wrap=True)
        for name in ("seconds", "requests", "writes"):
            table.add_column(name, justify="right", no_wrap=True)
        for one in played:
            writes = len(one.page.writes)
            row = one.act.short, f"{one.seconds:.1f}", str(one.page.calls), str(writes)
            table.add_row(*row, style="bold red" if one.fault else "")
        self.console.print(table)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print names and what they stand for."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            grid.add_row(name, value)
        self.console.print(grid)
        sys.stdout.flush()

    def verdict(self, left: Sequence[Thing], faults: Sequence[str]) -> None:
        """Say what the audit found and whether all went as it should, else what did not."""
        if not left:
            self.line("The cloud's own inventory is as it was before: nothing is left.")
        for thing in left:
            bills = ", and it costs money" if thing.bills else ""
            self.line(f"left: {thing.service} {thing.kind} {thing.id} {thing.region}{bills}")
        for fault in faults:
            self.line(f"WRONG: {fault}", style="bold red")
        if not faults:
            self.line("All went as it should.", style="bold green")
