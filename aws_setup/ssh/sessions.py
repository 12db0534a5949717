"""The sessions of one machine, in which its commands and downloads run, a few at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aws_setup.engine.deadline import remaining
from aws_setup.engine.wait import Clock
from aws_setup.ssh.errors import ConnectionLost, RemoteError
from aws_setup.ssh.exchange import CommandTimeout, closing_channel, until_it_ends

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

SESSIONS = 8
"""Concurrent sessions on one machine; sshd allows 10 (sshd_config(5): MaxSessions)."""

CHANNEL_TIMEOUT = 20.0
"""Timeout of opening a channel, in seconds; longer than one keep-alive interval."""

FREE_TIMEOUT = 600.0
"""Seconds that a session is waited for where sshd allows fewer than SESSIONS."""

_PAUSE = 0.5
"""Seconds between two attempts to open a session that sshd refuses."""

_ENDING = 3
"""Refusals that are waited for without other sessions: sshd may not know yet that one has ended."""


class RequestRefused(Exception):
    """The server does not start what was requested in a session."""


def ask(channel: paramiko.Channel, request: Callable[[], object], *, timeout: float) -> None:
    """Start a command or a subsystem in a session.

    paramiko waits for the answer for ever (5.1, Channel._wait_for_event), and over a ProxyCommand
    no connection ends by itself when the network has gone.

    Args:
        channel: the session.
        request: sends the request, and returns when it is granted.
        timeout: seconds after which the session is closed, unless there is an answer.

    Raises:
        CommandTimeout: there is no answer.
        RequestRefused: the server refuses it (RFC 4254, section 5.4), or closes the session.
        paramiko.SSHException, EOFError, OSError: the connection was lost.
    """
    late: list[bool] = []

    def give_up() -> None:
        late.append(True)
        with until_it_ends():
            channel.close()

    timer = threading.Timer(timeout, give_up)
    timer.daemon = True
    timer.start()
    try:
        request()
    except (paramiko.SSHException, EOFError, OSError):
        if late:
            raise CommandTimeout from None
        if was_ended_by_server(channel):
            raise RequestRefused from None
        raise
    finally:
        timer.cancel()


def was_ended_by_server(channel: paramiko.Channel) -> bool:
    """Return whether a channel has ended, and the connection has not.

    Of a refused request, and of a channel that the server closes, paramiko sends the end in return;
    of one that ends with its connection it does not (5.1, Channel._close_internal and _unlink).
    """
    transport = channel.get_transport()
    return bool(transport and transport.is_active() and channel.closed and channel.eof_sent)


class Sessions:
    """The sessions of one machine; safe for many threads."""

    def __init__(
        self, machine: str, connect: Callable[[], paramiko.Transport], *, clock: Clock
    ) -> None:
        """Store what opens sessions.

        Args:
            machine: what errors call the machine.
            connect: returns the connection; opens one when there is none.
            clock: the clock for waits.
        """
        self._machine, self._connect, self._clock = machine, connect, clock
        self._turns = threading.BoundedSemaphore(SESSIONS)
        self._lock, self._open = threading.Lock(), 0

    @contextlib.contextmanager
    def open(self, shown: str) -> Iterator[paramiko.Channel]:
        """Yield a session; opens a new connection when the present one is broken.

        Args:
            shown: what an error calls that for which it is.

        Raises:
            RemoteError: sshd allows none; beside others it is waited for, FREE_TIMEOUT seconds.
            ConnectionLost: the connection was lost, or nothing is answered, and others use it.
            Unreachable: the machine cannot be reached.
        """
        with self._turns:
            try:
                channel = self._opened()
            except paramiko.ChannelException:
                raise self._too_few(shown) from None
            except (paramiko.SSHException, EOFError, OSError):
                raise ConnectionLost(self._machine, shown) from None
            with self._counted(), closing_channel(channel):
                yield channel

    def _opened(self) -> paramiko.Channel:
        transport = self._connect()
        try:
            return self._free(transport)
        except (paramiko.SSHException, EOFError, OSError):
            if not self._close_unused(transport):
                raise
            return self._connect().open_session(timeout=CHANNEL_TIMEOUT)

    def _free(self, transport: paramiko.Transport) -> paramiko.Channel:
        """Return a session; where sshd allows no further one, as soon as another has ended."""
        until = self._clock.now() + remaining(FREE_TIMEOUT)
        refusals = 0
        while True:
            try:
                return transport.open_session(timeout=CHANNEL_TIMEOUT)
            except paramiko.ChannelException:
                refusals += 1
                if self._clock.now() >= until or (refusals > _ENDING and not self._open):
                    raise
            self._clock.sleep(_PAUSE)

    def _close_unused(self, transport: paramiko.Transport) -> bool:
        """Close a connection, unless it works and sessions use it; return whether it is closed."""
        with self._lock:
            if self._open and transport.is_active():
                return False
            transport.close()
            return True

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._open += 1
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def _too_few(self, shown: str) -> RemoteError:
        return RemoteError(
            self._machine,
            shown,
            code=-1,
            output="",
            why="its sshd allows no further session",
            hint="set `MaxSessions 10`, OpenSSH's default, in the sshd_config of that machine",
        )
