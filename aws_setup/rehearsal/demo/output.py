"""What the demo prints: headings between the output of the scripts, and the summary."""

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
Waits for AWS take its measured medians; work on machines, helm and polling
take the time measured here; uploading a real NameNode jar takes longer.
Prices: on demand, us-east-1, without traffic and taxes."""

MAX_WIDTH = 100
"""Columns that are used at most."""


class Output:
    """Prints on stdout, between the output of the scripts."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stdout, highlight=False)
        self.console.width = min(self.console.width, MAX_WIDTH)

    def introduction(self, facts: Sequence[tuple[str, str]]) -> None:
        """Print what the demo does and its environment."""
        self.line(
            "λFS rehearsal: the three scripts with an emulated AWS, on this computer", bold=True
        )
        self.pairs(facts)

    def step(self, step: DemoStep, *, number: int, of: int) -> None:
        """Print the heading and the command of a step."""
        self.heading(f"{number} of {of}: {step.title}")
        self.line(f"$ {step.command_line}", bold=True)

    def heading(self, title: str) -> None:
        """Print a heading."""
        self.console.print()
        self.console.print(Rule(title, align="left", style="cyan", characters="─"))

    def line(self, text: str, *, style: str = "", bold: bool = False, wrap: bool = False) -> None:
        """Print a line at once, before the next output of a script."""
        shown = Text(text, style="bold" if bold else style)
        for part in shown.wrap(self.console, self.console.width) if wrap else [shown]:
            part.rstrip()
            self.console.print(part, soft_wrap=True)
        sys.stdout.flush()

    def timelines(self, results: Sequence[StepResult]) -> None:
        """Draw each run that changed anything, with times on AWS, and its critical path."""
        for result in results:
            if result.run is None or not worth_drawing(result.run):
                continue
            long, short = long_steps(result.run)
            self.heading(f"{result.step.short_name}, as on AWS")
            for line in text_timeline(long, ascii_only=not self._has_bars):
                self.line(line)
            path = [link.span.step for link in critical_path(result.run)]
            self.line(f"Critical path, each step after the previous: {', '.join(path)}.", wrap=True)
            if short:
                self.line(f"{short} steps of less than 1 % of the total time are not shown.")

    @property
    def _has_bars(self) -> bool:
        """Whether the output's encoding has the characters of the bars."""
        return "utf" in (self.console.encoding or "").lower()

    def runs(self, results: Sequence[StepResult]) -> None:
        """Print each command with its time, its requests and its writes, and the totals."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("", no_wrap=True)
        for name in ("here", "on AWS", "requests", "writes"):
            table.add_column(name, justify="right", no_wrap=True)
        for result in results:
            table.add_row(
                result.step.short_name,
                f"{result.seconds:.1f} s",
                format_duration(result.on_aws),
                str(result.delta.calls),
                str(len(result.delta.writes)),
                style="bold red" if result.problem else "",
            )
        table.add_row(
            "total",
            f"{sum(result.seconds for result in results):.1f} s",
            format_duration(sum(result.on_aws for result in results)),
            str(sum(result.delta.calls for result in results)),
            str(sum(len(result.delta.writes) for result in results)),
            style="bold",
        )
        self.console.print(table)

    def costs(self, estimate: CostEstimate) -> None:
        """Print what the same would cost on AWS, and how time and money are estimated."""
        self.console.print()
        self.line(
            f"On AWS: ${estimate.hourly:.2f} an hour, about ${estimate.session:.2f} "
            "for this session."
        )
        self.line(ESTIMATE_NOTE, style="dim")
        self.console.print()

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print names with their values."""
        margin = max(len(name) for name, _ in pairs) + 2
        for name, value in pairs:
            first, *more = Text(value).wrap(self.console, self.console.width - margin)
            self.console.print(Text(name.ljust(margin), style="dim").append(first), soft_wrap=True)
            for part in more:
                self.console.print(Text(" " * margin).append(part), soft_wrap=True)
        sys.stdout.flush()

    def verdict(self, remaining: Sequence[Resource], problems: Sequence[str]) -> None:
        """Print the remaining resources and the problems, or that there are none."""
        if not remaining:
            self.line("The emulated AWS has the same resources as before: nothing remains.")
        for resource in remaining:
            bills = ", billed" if resource.bills else ""
            named = f"{resource.service} {resource.kind} {resource.id} {resource.region}"
            self.line(f"remaining: {named}{bills}")
        for problem in problems:
            self.line(f"FAILED: {problem}", style="bold red")
        if not problems:
            self.line("All steps succeeded.", style="bold green")
