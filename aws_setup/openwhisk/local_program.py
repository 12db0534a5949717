"""Local programs, helm and git, run to their end: one deadline, and bounded output."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aws_setup.config.chart_source import redact
from aws_setup.config.child_environment import child_environment
from aws_setup.engine.deadline import remaining
from aws_setup.engine.kept_output import KeptOutput
from aws_setup.engine.temporary_files import PREFIX, owned_prefix
from aws_setup.errors import SetupError
from aws_setup.openwhisk.helm_hints import hint_for

TIMEOUT_SECONDS = 900.0
"""Seconds after which a program is killed: none of them waits for pods."""

OPEN_OUTPUT_SECONDS = 5.0
"""Seconds for which what a program has started may keep its output open after its end."""

MESSAGE_END = 64 * 1024
"""Characters at the beginning, and at the end, of what a failed program printed that are read."""

UNREACHABLE_MESSAGES = (
    "cluster unreachable",
    "failed to delete release",
    "connection refused",
    "connection reset",
    "connection lost",
    "EOF",
    "handshake timeout",
    "i/o timeout",
    "no such host",
    "server misbehaving",
    "network is unreachable",
    "no route to host",
    "broken pipe",
    "currently unable to handle the request",
    "server closed",
    "ServiceUnavailable",
    "etcdserver",
    "provide credentials",
    "Unauthorized",
)
"""Parts of helm's messages when the API server does not answer it, or rejects its token."""


class ProgramFailed(SetupError):
    """A program ended with an error; `output` is beginning and end of what it printed about it."""

    def __init__(self, what: str, why: str, hint: str, *, output: str) -> None:
        super().__init__(what, why, hint)
        self.output = output

    @property
    def unreachable(self) -> bool:
        """Whether helm could not reach the API server, so that a retry may succeed."""
        return any(text in self.output for text in UNREACHABLE_MESSAGES)


def run(
    command: Sequence[str],
    *,
    given: str = "",
    environ: Mapping[str, str] | None = None,
    aws: bool = False,
    secrets: bool = False,
) -> str:
    """Run a program to its end and return its output.

    It runs in a session of its own, so that Ctrl-C lets it complete what it began. It gets 15
    minutes, or what the wait around it has left; then it is killed with all that it has started.
    Of much output, beginning and end are kept; a success that printed more is an error.

    Args:
        command: the program and its arguments.
        given: what it reads from its standard input.
        environ: variables to set in addition.
        aws: whether it needs AWS's credentials from the environment.
        secrets: whether it may need other secrets from the environment.

    Raises:
        SetupError: it could not be started, failed, did not end, or printed too much.
    """
    shown = " ".join(command[:2])
    limit = remaining(TIMEOUT_SECONDS)
    env = child_environment(os.environ, aws=aws, secrets=secrets, more=environ)
    try:
        done = _completed(command, env, given, seconds=limit)
    except OSError as error:
        raise SetupError(
            f"cannot start {command[0]}", str(error), f"install {command[0]}, or repair it"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"{shown} did not end within {limit:.0f} s",
            "it was killed, with all that it had started",
            "run the same command again",
        ) from error
    output, dropped = done.output.text(), done.output.dropped + done.errors.dropped
    if done.code:
        shown_output = redact(" ".join(message_ends(done.errors.text() or output).split()))
        why = _failure_reason(done.code, shown_output)
        raise ProgramFailed(f"{shown} failed", why, hint_for(shown_output), output=shown_output)
    if done.output.dropped:
        raise SetupError(
            f"{shown} printed too much",
            f"{dropped // 1024} KB more than are read",
            f"run `{shown}` yourself to see what it prints",
        )
    return output


@dataclass(frozen=True)
class _Completed:
    """How a program ended: its exit code, and what is kept of its output."""

    code: int
    output: KeptOutput
    errors: KeptOutput


def _completed(
    command: Sequence[str], env: Mapping[str, str], given: str, *, seconds: float
) -> _Completed:
    """Run a program to its end; at the deadline kill its session, and raise TimeoutExpired.

    A program that it has started, such as `aws eks get-token`, would otherwise keep its output
    open, and reading that would not end. Each stream is closed by the thread that reads it: on
    Windows closing a pipe waits for a read of it in another thread.
    """
    with _input(given) as stdin:
        process = subprocess.Popen(
            list(command),
            bufsize=0,
            env=dict(env),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **own_session(windows=os.name == "nt"),
        )
    kept = (KeptOutput(), KeptOutput())
    readers = [
        threading.Thread(target=_drain, args=(stream, into), daemon=True)
        for stream, into in zip((process.stdout, process.stderr), kept, strict=True)
    ]
    for reader in readers:
        reader.start()
    try:
        code = process.wait(timeout=seconds)
        _join(readers)
    except BaseException:
        end_session(process, windows=os.name == "nt")
        process.wait()
        _join(readers)
        raise
    if any(reader.is_alive() for reader in readers):
        end_session(process, windows=os.name == "nt")
        _join(readers)
    return _Completed(code, *kept)


@contextlib.contextmanager
def _input(text: str) -> Iterator[IO[bytes] | int]:
    """Yield what a program reads its input from: a file without a name, or nothing.

    It is complete before the program starts: of a pipe, whose writer may be killed, the program
    would take a part for the whole. Nobody has to delete it; on Windows it has a name.

    Raises:
        SetupError: it cannot be written.
    """
    if not text:
        yield subprocess.DEVNULL
        return
    try:
        file = _input_file(text)
    except OSError as error:
        raise SetupError(
            "the input of a program cannot be written to the temporary folder",
            str(error),
            "free space there, or set TMPDIR to a folder that has some",
        ) from error
    with file:
        yield file


def _input_file(text: str) -> IO[bytes]:
    folder = Path(tempfile.gettempdir())
    with contextlib.ExitStack() as unfinished:
        file = unfinished.enter_context(
            tempfile.TemporaryFile(prefix=owned_prefix(folder, PREFIX), dir=folder)
        )
        file.write(text.encode())
        file.seek(0)
        unfinished.pop_all()
        return file


def _join(readers: Sequence[threading.Thread]) -> None:
    for reader in readers:
        reader.join(OPEN_OUTPUT_SECONDS)


def _drain(stream: IO[bytes], into: KeptOutput) -> None:
    """Read a stream to its end, or until it is closed."""
    with stream, contextlib.suppress(OSError, ValueError):
        while data := stream.read(65536):
            into.add(data)


def end_session(process: subprocess.Popen[Any], *, windows: bool) -> None:
    """Kill a program and what it has started; ended ones are fine.

    Windows has no sessions; its taskkill finds what a program started while that still runs:
    https://learn.microsoft.com/windows-server/administration/windows-commands/taskkill
    """
    if windows:
        taskkill = shutil.which("taskkill") or "taskkill"
        command = [taskkill, "/F", "/T", "/PID", str(process.pid)]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, check=False, timeout=OPEN_OUTPUT_SECONDS)
        process.kill()
    elif hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def own_session(*, windows: bool) -> dict[str, Any]:
    """Return the options with which Ctrl-C does not reach a program; Windows ignores POSIX's.

    https://docs.python.org/3/library/subprocess.html#windows-constants
    """
    if windows:
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200)}
    return {"start_new_session": True}


def message_ends(text: str) -> str:
    """Return beginning and end of a text of MiB, of which a string for each word takes 20 times it.

    A word that is cut is left out: of a URL with a password only a whole one is recognised.
    """
    if len(text) <= 2 * MESSAGE_END:
        return text
    head = text[:MESSAGE_END].rsplit(maxsplit=1)
    tail = text[-MESSAGE_END:].split(maxsplit=1)
    return " … ".join((head[0] if head[1:] else "", tail[-1] if tail[1:] else ""))


def _failure_reason(code: int, output: str) -> str:
    """Return why a program failed: the signal that killed it, else its last output."""
    if code < 0:
        return f"it was killed by signal {-code} ({signal.strsignal(-code)})"
    return output[-600:] or f"it ended with exit code {code} and without a message"
