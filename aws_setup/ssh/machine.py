"""One machine: commands, files, downloads and tunnels over one connection that stays open."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from aws_setup.engine.deadline import remaining
from aws_setup.engine.kept_output import KeptOutput
from aws_setup.engine.safe_text import shorten
from aws_setup.engine.wait import Clock
from aws_setup.engine.write_guard import before_write
from aws_setup.ssh import files, port_forward
from aws_setup.ssh.download import BoundedFile, Bounds, downloading
from aws_setup.ssh.errors import (
    ConnectionLost,
    ConnectStage,
    RemoteError,
    Unreachable,
    script_error,
    too_slow,
)
from aws_setup.ssh.exchange import (
    CommandResult,
    CommandTimeout,
    Exchange,
    OutputListener,
    closing_channel,
    command_line,
    label_of,
)
from aws_setup.ssh.port_forward import CONNECT_TIMEOUT, PortState
from aws_setup.ssh.sessions import CHANNEL_TIMEOUT, RequestRefused, Sessions, ask

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

BANNER_LIMIT = 200
"""Characters that are shown of what a machine says before a login."""


class Machine:
    """A machine, identified by its instance id; safe for many threads.

    It connects on first use and reconnects after a reboot. `private_ip` is its address in the VPC.
    """

    def __init__(
        self,
        instance_id: str,
        address: str,
        *,
        connect: Callable[[Machine, bool], paramiko.Transport],
        clock: Clock,
        name: str = "",
        private_ip: str = "",
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.id, self.address, self.private_ip = instance_id, address, private_ip
        self.name = name or instance_id
        self.clock = clock
        self._connect, self._on_change = connect, on_change
        self._transport: paramiko.Transport | None = None
        self._closed = False
        # The one is held for minutes, while a machine boots; the other one never for long.
        self._connecting, self._lock = threading.Lock(), threading.Lock()
        self._sessions = Sessions(str(self), self.connect, clock=clock)

    def __str__(self) -> str:
        return f"{self.name} ({self.address or 'no address'})"

    def connect(self, *, wait: bool = True) -> paramiko.Transport:
        """Return the connection; opens one when there is none.

        After a lost connection the machine may be rebooting: this waits until it answers again,
        unless `wait` is False.
        """
        with self._connecting:
            with self._lock:
                before, self._closed = self._transport, False
            if before and before.is_active():
                return before
            transport = self._connect(self, wait and before is not None)
            with self._lock:
                if not self._closed:
                    self._transport = transport
                    return transport
        transport.close()
        raise self._unwanted()

    def check_wanted(self) -> None:
        """Raise Unreachable where the machine was closed since the present `connect` began."""
        if self._closed:
            raise self._unwanted()

    def _unwanted(self) -> Unreachable:
        return Unreachable(
            self.name,
            ConnectStage.ROUTE,
            "its connection was closed meanwhile",
            "run the same command again: it resumes from here",
            transient=False,
        )

    @property
    def banner(self) -> str:
        """What its sshd says before a login (RFC 4252, section 5.4), in one line; '' for nothing.

        It is that of the present connection; without one it is ''.
        """
        transport = self._transport
        said = transport.get_banner() if transport else None
        return shorten((said or b"").decode(errors="replace").strip(), BANNER_LIMIT)

    def close(self) -> None:
        """Close the connection, and end a wait for one; the next use opens a new one.

        It waits for no other thread, of which one may need what the caller holds.
        """
        with self._lock:
            transport, self._transport, self._closed = self._transport, None, True
        if transport:
            transport.close()

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool = False,
        stdin: bytes | str = b"",
        timeout: float = 60,
        check: bool = True,
        repeatable: bool = False,
        changes: bool = True,
        output: OutputListener | None = None,
        label: str = "",
    ) -> CommandResult:
        """Run a command and return its result.

        Args:
            command: an argument list, which no shell ever parses, or a text for `sh -c`.
            sudo: run it as root.
            stdin: its standard input.
            timeout: seconds for all of it, however much it prints meanwhile; less where the
                wait around it ends sooner.
            check: raise when the exit code is not 0.
            repeatable: retry once when the connection is lost.
            changes: whether it may change something: what a survey has read then no longer counts.
            output: called with stdout and stderr as they arrive; the result then has neither.
            label: what an error calls the command; by default its beginning.

        Raises:
            RemoteError: an exit code other than 0, the time limit is exceeded, or it printed more
                than is kept; of a failed command beginning and end are kept.
            ConnectionLost: the connection was lost and the command is not repeatable.
            Unreachable: the machine cannot be reached.
        """
        if changes:
            self._on_change()
        line = command_line(command, sudo=sudo)
        shown, timeout = label or label_of(command), remaining(timeout)
        content = stdin.encode() if isinstance(stdin, str) else stdin
        result = None
        if repeatable:
            with contextlib.suppress(ConnectionLost):
                result = self._run(line, shown, stdin=content, timeout=timeout, output=output)
        if result is None:
            result = self._run(line, shown, stdin=content, timeout=timeout, output=output)
        if check and result.code != 0:
            raise RemoteError(
                str(self), shown, code=result.code, output=result.stderr or result.stdout
            )
        return result

    def read(self, path: str, *, sudo: bool = False) -> str | None:
        """Return a file's text; None only when it certainly does not exist."""
        result = self._script(files.READ, path, sudo=sudo)
        return None if result is None else result.stdout

    def facts(self, *paths: str, sudo: bool = False) -> dict[str, files.FileFacts]:
        """Return digest and modification time of those files that exist."""
        result = self._script(files.FACTS, *paths, sudo=sudo)
        return files.parse_facts(result.stdout if result else "")

    def port_state(self, host: str, port: int, *, timeout: float = CONNECT_TIMEOUT) -> PortState:
        """Return whether the machine can open a TCP connection to an address.

        Raises:
            ConnectionLost: the SSH connection was lost meanwhile.
            Unreachable: the machine cannot be reached.
        """
        opened = self._open_port(host, port, timeout=timeout)
        if isinstance(opened, PortState):
            return opened
        with closing_channel(opened):
            return PortState.OPEN

    def query_port(
        self, port: int, request: bytes, *, host: str = "127.0.0.1", timeout: float = 5
    ) -> bytes | None:
        """Send a request to a port, by default of the machine itself, and return the answer.

        Returns:
            None when the port is closed.

        Raises:
            RemoteError: the machine's sshd forbids such connections.
            ConnectionLost: the SSH connection was lost meanwhile.
        """
        channel = self._open_port(host, port, timeout=CHANNEL_TIMEOUT)
        if channel is PortState.FORBIDDEN:
            why = "its sshd forbids TCP forwarding (AllowTcpForwarding in sshd_config)"
            raise RemoteError(str(self), f"query port {port}", code=1, output="", why=why)
        if isinstance(channel, PortState):
            return None
        with closing_channel(channel):
            try:
                return port_forward.answer_to(request, channel, timeout=remaining(timeout))
            except (paramiko.SSHException, EOFError):
                raise ConnectionLost(str(self), f"query port {port}") from None

    def _open_port(self, host: str, port: int, *, timeout: float) -> paramiko.Channel | PortState:
        try:
            return port_forward.open_from(self.connect(), host, port, timeout=timeout)
        except (paramiko.SSHException, EOFError, OSError):
            raise ConnectionLost(str(self), f"connect to {host}:{port}") from None

    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        mode: int = 0o644,
        owner: str = "",
        sudo: bool = False,
    ) -> bool:
        """Write a file atomically unless it has this content, mode and owner; True when written."""
        data = content.encode() if isinstance(content, str) else content
        spec = files.FileSpec(data, mode, owner)
        before = self._script(files.DIGEST, path, sudo=sudo)
        if before and spec.matches(before.stdout):
            return False
        arguments = (path, f"{mode:o}", owner, spec.digest)
        self._script(files.WRITE, *arguments, sudo=sudo, stdin=data)
        return True

    def _script(
        self, script: str, *arguments: str, sudo: bool, stdin: bytes = b""
    ) -> CommandResult | None:
        """Run one of the file scripts; None when it reports that the file does not exist."""
        command = ["sh", "-c", script, files.NAME, *arguments]
        changes = script is files.WRITE
        result = self.run(
            command, sudo=sudo, stdin=stdin, check=False, repeatable=True, changes=changes
        )
        if result.code == files.ABSENT:
            return None
        if result.code:
            verb = "write" if script is files.WRITE else "read"
            shown = f"{verb} {arguments[0]}"
            raise script_error(str(self), shown, code=result.code, errors=result.stderr)
        return result

    @contextlib.contextmanager
    def fetch(self, path: str, *, limit: int, timeout: float = 1800) -> Iterator[BoundedFile]:
        """Open a file on the machine for reading over SFTP; it is downloaded while it is read.

        Args:
            path: the file on the machine.
            limit: bytes that are read at most; a longer file ends there.
            timeout: seconds for all of the download.

        Raises:
            RemoteError: the file does not exist or is not readable, or the time is over.
            ConnectionLost: the connection broke.
        """
        bounds = Bounds(self.clock, limit, timeout)
        with (
            self._sessions.open(f"open {path}") as channel,
            downloading(channel, path, machine=str(self), bounds=bounds) as file,
        ):
            yield file

    @contextlib.contextmanager
    def forward(self, host: str, port: int) -> Iterator[int]:
        """Yield a port on 127.0.0.1 that forwards through the machine to `host`:`port`."""
        with port_forward.listen(self.connect, host, port) as local:
            yield local

    def _run(
        self, line: str, shown: str, *, stdin: bytes, timeout: float, output: OutputListener | None
    ) -> CommandResult:
        before_write()
        with self._sessions.open(shown) as channel:
            exchange = Exchange(channel, self.clock, timeout=timeout)
            self._start(channel, line, shown, timeout=timeout)
            return self._exchange(exchange, shown, stdin=stdin, timeout=timeout, output=output)

    def _start(self, channel: paramiko.Channel, line: str, shown: str, *, timeout: float) -> None:
        try:
            # The callers quote what they put into a command.
            ask(channel, partial(channel.exec_command, line), timeout=timeout)
        except CommandTimeout:
            raise too_slow(str(self), shown, timeout=timeout) from None
        except RequestRefused:
            why, hint = "its sshd starts no command", "see sshd's log on that machine for the cause"
            raise RemoteError(str(self), shown, code=-1, output="", why=why, hint=hint) from None
        except (paramiko.SSHException, EOFError, OSError):
            raise ConnectionLost(str(self), shown) from None

    def _exchange(
        self,
        exchange: Exchange,
        shown: str,
        *,
        stdin: bytes,
        timeout: float,
        output: OutputListener | None,
    ) -> CommandResult:
        out, err = KeptOutput(), KeptOutput()
        try:
            code = exchange.run(stdin, output or out.add, output or err.add)
        except CommandTimeout:
            output_so_far = out.text() or err.text()
            raise too_slow(str(self), shown, timeout=timeout, output=output_so_far) from None
        except (paramiko.SSHException, EOFError):
            raise ConnectionLost(str(self), shown) from None
        channel = exchange.channel
        transport = channel.get_transport()
        if code == -1 and not (transport and transport.is_active() and channel.exit_status_ready()):
            raise ConnectionLost(str(self), shown)
        result = CommandResult(code, out.text(), err.text())
        if code == 0 and (out.dropped or err.dropped):
            why = f"it printed {(out.dropped + err.dropped) // 1024} KB more than are read"
            raise RemoteError(str(self), shown, code=0, output=result.stdout, why=why)
        return result
