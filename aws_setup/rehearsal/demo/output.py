"""What the story prints itself: headings between the output of the scripts, and the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from aws_setup.engine.wait import format_duration
from aws_setup.rehearsal.core.types import Resource
from aws_setup.rehearsal.demo.audit import CostEstimate, StepResult
from aws_setup.rehearsal.demo.aws_estimate import long_steps
from aws_setup.rehearsal.demo.scenario import DemoStep
from aws_setup.report.timeline import critical_path, text_timeline, worth_drawing

ESTIMATE_NOTE = """\
Waits for AWS count by its published medians; work on machines, helm and the
scripts' own looks as long as here; uploads of a real NameNode come on top.
Prices: on demand, us-east-1; traffic and taxes come on top."""

MAX_WIDTH = 100
"""Columns that are used at most."""


class Output:
    """Prints on stdout, between what the scripts print there."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stdout, highlight=False)
        self.console.width = min(self.console.width, MAX_WIDTH)

    def begin(self, facts: Sequence[tuple[str, str]]) -> None:
        """Say what is about to happen, and where."""
        self.line("λFS in rehearsal: the three scripts against an AWS on this computer", bold=True)
        self.pairs(facts)

    def act(self, act: DemoStep, *, number: int, of: int) -> None:
        """Head an act."""
        self.heading(f"{number} of {of}: {act.title}")
        self.line(f"$ {act.line}", bold=True)

    def heading(self, title: str) -> None:
        """Head what follows."""
        self.console.print()
        self.console.print(Rule(title, align="left", style="cyan", characters="─"))

    def line(self, text: str, *, style: str = "", bold: bool = False, wrap: bool = False) -> None:
        """Print a line of the story's own, before whatever a script prints next."""
        self.console.print(Text(text, style="bold" if bold else style), soft_wrap=not wrap)
        sys.stdout.flush()

    def timelines(self, played: Sequence[StepResult]) -> None:
        """Draw each run that did something, on AWS's clock: what ran when, what took the time."""
        for result in played:
            if result.run is None or not worth_drawing(result.run):
                continue
            long, short = long_steps(result.run)
            self.heading(f"{result.act.short}, as on AWS")
            for line in text_timeline(long, ascii_only=not self._draws):
                self.line(line)
            path = [link.span.step for link in critical_path(result.run)]
            self.line(f"Each waited for the one before: {', '.join(path)}.", wrap=True)
            if short:
                self.line(f"{short} steps of less than a hundredth of the time are left out.")

    @property
    def _draws(self) -> bool:
        """Whether the output's encoding has the bars."""
        return "utf" in (self.console.encoding or "").lower()

    def runs(self, played: Sequence[StepResult]) -> None:
        """Print each command with its time, its requests and its writes."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("", no_wrap=True)
        for name in ("here", "on AWS", "requests", "writes"):
            table.add_column(name, justify="right", no_wrap=True)
        for result in played:
            counts = str(result.page.calls), str(len(result.page.writes))
            row = (
                result.act.short,
                f"{result.seconds:.1f} s",
                format_duration(result.on_aws),
                *counts,
            )
            table.add_row(*row, style="bold red" if result.fault else "")
        here, there = (
            sum(getattr(result, key) for result in played) for key in ("seconds", "on_aws")
        )
        calls, writes = (
            str(sum(result.page.calls for result in played)),
            str(sum(len(result.page.writes) for result in played)),
        )
        table.add_row(
            "in all", f"{here:.1f} s", format_duration(there), calls, writes, style="bold"
        )
        self.console.print(table)

    def costs(self, bill: CostEstimate) -> None:
        """Say what the same would cost, and how time and money are reckoned."""
        self.console.print()
        self.line(
            f"On AWS: ${bill.hourly:.2f} an hour, about ${bill.session:.2f} for this session."
        )
        self.line(ESTIMATE_NOTE, style="dim")
        self.console.print()

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print names and what they stand for."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            grid.add_row(name, value)
        self.console.print(grid)
        sys.stdout.flush()

    def verdict(self, left: Sequence[Resource], faults: Sequence[str]) -> None:
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
