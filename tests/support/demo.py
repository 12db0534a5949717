"""Runs the rehearsal as a user does, in a new session, and finds its remaining processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "aws_setup.rehearsal"]


@dataclass
class Run:
    """A running rehearsal; `tmp` is its folder for temporary files."""

    process: subprocess.Popen[str]
    tmp: Path
    lines: list[str] = field(default_factory=list)
    report: Path = Path()

    def until(self, pattern: str) -> str:
        """Read its output up to a line that matches; return that line."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if re.search(pattern, line):
                return self.lines[-1]
        raise AssertionError(f"no line matches {pattern!r}:\n{self.text}")

    def rest(self) -> int:
        """Read to the end and return the exit code."""
        assert self.process.stdout
        self.lines += [line.rstrip("\n") for line in self.process.stdout]
        return self.process.wait(240)

    @property
    def text(self) -> str:
        """All output so far."""
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        """The cloud's URL, after it was printed."""
        found = re.search(r"http://127\.0\.0\.1:\d+", self.text)
        assert found, self.text
        return found[0]

    def press_ctrl_c(self) -> None:
        """Send SIGINT to the foreground process group, like a terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def alive(self) -> list[str]:
        """Return its remaining processes, machines included."""
        of_session = [text for text in _described() if text.startswith(f"{self.process.pid} ")]
        return of_session + processes_of(self.tmp)

    def gone(self, *, within: float = 120) -> bool:
        """Return whether all processes and the folder are gone within some seconds."""
        return _happens(lambda: not self.alive() and not any(self.tmp.iterdir()), within=within)


def leaves_nothing(tmp: Path, *, within: float = 120) -> bool:
    """Return whether a rehearsal's processes and folder are gone within some seconds."""
    return _happens(lambda: not processes_of(tmp) and not any(tmp.iterdir()), within=within)


def _happens(condition: Callable[[], bool], *, within: float) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def processes_of(tmp: Path) -> list[str]:
    """Return the processes, machines included, of the rehearsals with this temporary folder."""
    return [text for text in _described() if str(tmp) in text]


def _described() -> list[str]:
    return [_description(path) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _description(path: Path) -> str:
    """Return session, command line and environment of a process; '' for a zombie."""
    try:
        stat = (path / "stat").read_text().rpartition(")")[2].split()
        if stat[0] == "Z":
            return ""
        text = (path / "cmdline").read_bytes() + b" " + (path / "environ").read_bytes()
    except OSError:
        return ""
    return f"{stat[3]} {path.name} {text.replace(bytes(1), b' ').decode(errors='replace')}"


@contextmanager
def started(tmp: Path, *words: str, **environment: str) -> Iterator[Run]:
    """Start a rehearsal in a new session; kill its remaining processes at the end."""
    tmp.mkdir(exist_ok=True)
    with subprocess.Popen(
        [*COMMAND, *words],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp), "PYTHONUNBUFFERED": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Run(process, tmp)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
