"""The user's ProxyCommand, started without the secrets that it does not need."""

from __future__ import annotations

import os
import selectors
import shlex
import subprocess
import tempfile
from typing import IO, Any

import paramiko

from aws_setup.config.child_environment import calls_aws, child_environment
from aws_setup.ssh.errors import ConnectStage, Unreachable, last_lines, why_ended
from aws_setup.ssh.ssh_config import SshRoute

LAST_WORDS = 4096
"""Bytes of a command's stderr that are read for its last line."""

END_SECONDS = 1.0
"""Seconds in which a command ends that has closed its output."""


class ProxyCommand(paramiko.ProxyCommand):
    """A ProxyCommand; it gets AWS's credentials only if it names AWS's command line."""

    def __init__(self, command: str) -> None:
        # paramiko's constructor has no parameter for the environment.
        self.cmd = shlex.split(command)
        # A file: what nobody reads of a pipe stops a command that says more than 64 KiB (pipe(7)).
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 -- as long as the command
        # Without a terminal: an `ssh` in it would ask there, beside other threads of the run
        # (https://man.openbsd.org/ssh: it reads passphrases from /dev/tty).
        alone: dict[str, Any] = {} if os.name == "nt" else {"start_new_session": True}
        self.process = subprocess.Popen(
            self.cmd,
            env=child_environment(os.environ, aws=calls_aws(command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
            **alone,
        )
        self.timeout: float | None = None
        self._at_end = self._stopped = False

    def recv(self, size: int) -> bytes:
        """Return the next bytes, b'' at the end of the output.

        paramiko's own method asks again and again then (5.1), until the banner's time is up.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
        """
        out = self.process.stdout
        if out is None or not _readable(out, self.timeout):
            raise TimeoutError
        data = os.read(out.fileno(), size)
        self._at_end = not data
        return data

    def close(self) -> None:
        """End the command, unless it ends by itself."""
        try:
            self.process.wait(END_SECONDS if self._at_end else 0)
        except subprocess.TimeoutExpired:
            self._stopped = True
            self.process.terminate()

    def failure(self, route: SshRoute, error: Exception) -> Unreachable:
        """Return the error of a command over which no SSH connection came about."""
        return Unreachable(
            route.address,
            ConnectStage.PROXY,
            "the ProxyCommand of your OpenSSH configuration gave no SSH connection: "
            f"{self._end() or why_ended(error)}",
            "run that ProxyCommand yourself to see what it says, or remove it for this address "
            "(ssh_config_path)",
        )

    def _end(self) -> str:
        """Return how the command has ended by itself and its last line, else ''."""
        self.close()
        if self._stopped:
            return ""
        code = self.process.returncode
        said = last_lines(self._stderr(), 1)
        return f"exit code {code}: {said[0] if said else 'it printed nothing'}"

    def _stderr(self) -> str:
        """Return the end of what the ended command has printed."""
        size = os.fstat(self._said.fileno()).st_size
        text = os.pread(self._said.fileno(), LAST_WORDS, max(0, size - LAST_WORDS))
        return text.decode("utf-8", "replace")


def _readable(pipe: IO[bytes], seconds: float | None) -> bool:
    """Say whether a pipe has bytes or an end within some time; None waits for it.

    With many machines it has a number from 1024 on, which select() refuses (select(2)).
    """
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def open_proxy(route: SshRoute) -> ProxyCommand:
    """Start the ProxyCommand of a route.

    Raises:
        Unreachable: it cannot be started.
    """
    _need_proxy_command(route, windows=os.name == "nt")
    try:
        return ProxyCommand(route.proxy_command)
    except (OSError, ValueError) as error:
        raise Unreachable(
            route.address,
            ConnectStage.PROXY,
            f"the ProxyCommand of your OpenSSH configuration cannot be started: {error}",
            "correct it (it is started without a shell), or remove it for this address "
            "(ssh_config_path)",
            transient=False,
        ) from None


def _need_proxy_command(route: SshRoute, *, windows: bool) -> None:
    """Refuse a ProxyCommand on Windows: paramiko selects on its pipe, and Windows on sockets only.

    https://docs.python.org/3/library/select.html#select.select
    """
    if windows:
        raise Unreachable(
            route.address,
            ConnectStage.PROXY,
            "your OpenSSH configuration sets a ProxyCommand, which is not possible on Windows",
            "set ProxyJump for this address instead, or run the scripts in WSL",
            transient=False,
        )
