"""Removes the temporary folder and ends the processes, however the rehearsal ends."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aws_setup.engine.flag import Flag
from aws_setup.rehearsal.core import reaper


class Cleanup:
    """A temporary folder, and a reaper process that cleans up when this process ends."""

    def __init__(self, *, keep: bool = False) -> None:
        """Create the folder, which is kept with `keep`, and start the reaper."""
        self.folder = Path(tempfile.mkdtemp(prefix="lambda-fs-rehearsal-")).resolve()
        command = [sys.executable, "-I", reaper.__file__, *([] if keep else [str(self.folder)])]
        # In a session of its own: a signal to the whole process group, as of Ctrl-C, may come
        # before the reaper can ignore it, and SIGKILL cannot be ignored.
        self._reaper = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )

    def __enter__(self) -> Cleanup:
        return self

    def __exit__(self, *_: object) -> None:
        """End the reaper, which removes the folder."""
        if self._reaper.stdin:
            with contextlib.suppress(OSError):
                self._reaper.stdin.close()
        self._reaper.wait()

    @contextmanager
    def watch(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Have the reaper end a process if this process is killed within the block."""
        self._send(f"+{process.pid}")
        try:
            yield
        finally:
            self._send(f"-{process.pid}")

    def _send(self, line: str) -> None:
        if self._reaper.stdin:
            with contextlib.suppress(OSError):
                self._reaper.stdin.write(f"{line}\n")


@contextmanager
def stop_flag() -> Iterator[Flag]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into a flag that is checked between steps.

    A second signal may arrive while the handler is at work for the first one.
    """
    stop = Flag()
    names = [n for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, n)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    for name in names:
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
