"""The table of status --against: what differs between two deployments."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from aws_setup.engine.safe_text import one_line
from aws_setup.engine.wording import count_of
from aws_setup.lockfile.compare import Difference
from aws_setup.report.console import Report


def print_differences(report: Report, found: Sequence[Difference], *, other: str) -> None:
    """Print a line for each difference, then how many there are; `other` is the file's name."""
    if found:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("difference", "this deployment", other):
            table.add_column(Text(one_line(title)), overflow="fold")
        for difference in found:
            texts = (difference.what, difference.this, difference.other)
            table.add_row(*(Text(one_line(text)) for text in texts))
        report.table(table)
    count = f"{count_of(len(found), 'difference')} from" if found else "No differences from"
    report.result(f"{count} {other}.")
