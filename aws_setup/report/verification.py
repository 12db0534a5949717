"""The table of verify: one line for each check, with what it found or why it failed."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from aws_setup.engine.safe_text import one_line
from aws_setup.engine.wait import format_duration
from aws_setup.report.console import Report
from aws_setup.verify.check import CheckStatus, Verification

STYLES = {CheckStatus.PASS: "green", CheckStatus.FAIL: "bold red", CheckStatus.SKIPPED: "dim"}


def print_checks(report: Report, verification: Verification) -> None:
    """Print how each check ended: result, name, duration, and what it found or why it failed."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for fixed in (True, True, True, False):
        table.add_column(no_wrap=fixed, overflow="fold")
    for item in verification.outcomes:
        skipped = item.status is CheckStatus.SKIPPED
        table.add_row(
            Text(str(item.status), style=STYLES[item.status]),
            Text(one_line(item.name)),
            Text("" if skipped else format_duration(item.seconds)),
            Text(one_line(item.cause)),
        )
    report.table(table)
