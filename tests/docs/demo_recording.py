"""The demo run as docs/rehearsal.md and docs/rehearsal.svg show it.

Shown are its own lines, and of each script the output's first and last line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURE = ROOT / "docs" / "rehearsal.md", ROOT / "docs" / "rehearsal.svg"
BEGIN, END = "<!-- story -->\n```\n", "```\n<!-- end of story -->"
WIDTH = 80
COMMAND = "python -m aws_setup.rehearsal"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def excerpt(lines: Iterable[str]) -> list[str]:
    """Return the lines of a demo's output that the documentation shows; they may have colours."""
    opening, acts, ending = _parts([line.rstrip() for line in lines])
    first = [line for line in opening if not re.match(r"helm |folder | ", plain(line))]
    middle = [line for act in acts for line in ("", *act[:2], *_gap(act))]
    return [*first, *middle, "", *ending]


def plain(text: str) -> str:
    """Return a text without its colours."""
    return _COLOURS.sub("", text)


def _parts(lines: list[str]) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the lines before the acts, those of each act, and the end's after its timelines."""
    heads = [at for at, line in enumerate(lines) if plain(line).endswith("───")]
    acts = [at for at in heads if re.match(r"\d+ of \d+: ", plain(lines[at]))]
    after = [at for at in heads if at > acts[-1]]
    bounds = zip(acts, [*acts[1:], after[0]], strict=True)
    parts = [[line for line in lines[start:end] if line.strip()] for start, end in bounds]
    return [line for line in lines[: acts[0]] if line.strip()], parts, lines[after[-1] :]


def _gap(act: list[str]) -> list[str]:
    """Return a step's last line; whether λFS is ready, and until when, is of this run."""
    ends = ("λFS is ", "  Fix: ", "AWS stops ")
    kept = [line for line in act if not plain(line).startswith(ends)]
    return ["…", kept[-1]] if len(kept) > 3 else kept[2:]


def terminal_svg(lines: Iterable[str]) -> str:
    """Return a picture of a terminal with these lines, as an SVG that loads nothing else."""
    console = Console(
        record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text(f"$ {COMMAND}", style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    drawn = console.export_svg(title="rehearsal", theme=MONOKAI, unique_id="rehearsal")
    return _FONTS.sub("", drawn)


def record() -> int:
    """Run the demo, write its excerpt into both files if it succeeds, and return its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "aws_setup.rehearsal"],
        cwd=ROOT,
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode == 0:
        lines = excerpt(done.stdout.decode().splitlines())
        PICTURE.write_text(terminal_svg(lines), encoding="utf-8")
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        block = "".join(f"{plain(line)}\n" for line in lines)
        PAGE.write_text(before + BEGIN + block + END + rest.partition(END)[2], encoding="utf-8")
    return done.returncode
