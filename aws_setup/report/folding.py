"""Lines for a terminal: broken between words, never inside a command, a path or an id.

A terminal itself breaks a long line in the middle of a word. A line break within a command would be
copied with it, and the shell would run the first half.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

INDENT = 2
"""Columns by which the second line of a text and those after it are indented."""

_UNIT = re.compile(
    r"`[^`]*`\S*"  # a command or a name, with what follows it at once
    r"|(?<=: )(?:python3?|ssh|scp|aws|kubectl|helm) .*\S"  # a command that ends its text
    r"|\S+"
)
"""What is not broken. A unit that is longer than a line is left to the terminal, whose own line
breaks are not copied."""


def fold(text: str, width: int, *, indent: int = INDENT) -> list[str]:
    """Return a text in lines of at most `width` columns, as far as its units allow it.

    Args:
        text: one line; its own indentation and its gaps are kept.
        width: columns.
        indent: columns by which the lines after the first are indented further.
    """
    margin = " " * (len(text) - len(text.lstrip()) + indent)
    ends = [*_breaks(text, width, indent=len(margin)), len(text)]
    lines = [text[begin:end].rstrip() for begin, end in zip([0, *ends], ends, strict=False)]
    return [lines[0], *(margin + line for line in lines[1:])]


def print_line(console: Console, line: Text) -> None:
    """Print one line; a terminal gets it folded, and a pipe or a file as it is."""
    if console.file.isatty() and line.cell_len > console.width:
        margin = " " * (len(line.plain) - len(line.plain.lstrip()) + INDENT)
        parts = line.divide(_breaks(line.plain, console.width, indent=len(margin)))
        for part in parts:
            part.rstrip()
        line = Text("\n" + margin).join(parts)
    console.print(line, soft_wrap=True)


def _breaks(text: str, width: int, *, indent: int) -> Iterator[int]:
    """Yield where new lines begin."""
    begin = margin = 0
    for unit in _UNIT.finditer(text):
        used = margin + cell_len(text[begin : unit.end()])
        if used > width and text[begin : unit.start()].strip():
            begin, margin = unit.start(), indent
            yield begin
