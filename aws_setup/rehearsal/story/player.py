"""Plays one act after the other as subprocesses, and leaves none behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aws_setup.rehearsal.story import warden
from aws_setup.rehearsal.story.acts import Act

ROOT = Path(__file__).resolve().parents[3]
"""The checkout: the three scripts stand in it."""

BY_ITSELF = 2.0
"""Seconds in which a script ends that got the terminal's Ctrl-C too."""

AFTER_ASKING = 15.0


class Stopped(Exception):
    """The story is to end: Ctrl-C, a signal, or a closed terminal."""


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into an event that the story looks at between its steps."""
    stop = threading.Event()
    names = [n for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, n)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    for name in names:
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


class Player:
    """Runs the scripts in one folder; a warden ends them and removes the folder in any case."""

    def __init__(self, folder: Path, stop: threading.Event, *, keep: bool) -> None:
        """Start the warden; with `keep` the folder stays."""
        self.environment: Mapping[str, str] = {}
        self._folder, self._stop = folder, stop
        command = [sys.executable, "-I", warden.__file__, *([] if keep else [str(folder)])]
        self._warden = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the warden go, which removes the folder."""
        if self._warden.stdin:
            with contextlib.suppress(OSError):
                self._warden.stdin.close()
        self._warden.wait()

    def play(self, act: Act) -> int:
        """Run an act's command to its end and return its exit code.

        Raises:
            Stopped: the story was stopped meanwhile; the command has ended.
        """
        script = str(ROOT / act.script)
        process = subprocess.Popen(
            [sys.executable, script, *act.words],
            cwd=self._folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
        )
        self._tell(f"+{process.pid}")
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                if self._stop.is_set():
                    _end(process)
                    raise Stopped
        finally:
            self._tell(f"-{process.pid}")
        return process.returncode

    def _tell(self, line: str) -> None:
        if self._warden.stdin:
            with contextlib.suppress(OSError):
                self._warden.stdin.write(f"{line}\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a script that heard Ctrl-C itself; else ask it, and at last kill it."""
    for seconds, push in ((BY_ITSELF, process.terminate), (AFTER_ASKING, process.kill)):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            push()
        else:
            return
    process.wait()
