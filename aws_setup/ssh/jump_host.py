"""The hosts of a ProxyJump: the way through one, and what is said of one that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aws_setup.ssh.errors import ConnectStage, HostKeyError, Unreachable
from aws_setup.ssh.exchange import until_it_ends
from aws_setup.ssh.port_forward import PortState, open_from
from aws_setup.ssh.ssh_config import SshRoute

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

OWN_HINTS = frozenset(
    {
        ConnectStage.ADDRESS,
        ConnectStage.ROUTE,
        ConnectStage.HOST_KEY,
        ConnectStage.KEY,
        ConnectStage.PROXY,
    }
)
"""Stages whose hints fit a jump host as well; those of the others are about machines in EC2."""


class JumpSocket:
    """A jump host's channel as the socket of the next connection, with which its own ends, too.

    Without that each attempt to reach a machine that boots would leave a login on the jump host.
    """

    def __init__(self, channel: paramiko.Channel, carrier: paramiko.Transport, hop: str) -> None:
        self._channel, self._carrier, self._hop = channel, carrier, hop
        self._closing = self._lost = False

    def close(self) -> None:
        """Close the channel, and the connection that it is one of."""
        self._note_end()
        self._closing = True
        with until_it_ends():
            self._channel.close()
        self._carrier.close()

    def send(self, data: bytes) -> int:
        """Send as a socket does; return the number of bytes sent."""
        try:
            return self._channel.send(data)
        except EOFError:
            self._note_broken()
            raise

    def recv(self, size: int) -> bytes:
        """Receive as a socket does; b'' at the end."""
        try:
            return self._channel.recv(size)
        except EOFError:
            self._note_broken()
            raise

    def _note_broken(self) -> None:
        """Note that the connection to the jump host takes no message any more.

        Who sends one may find out before paramiko's thread does, which then closes the channels.
        """
        if not self._closing and not self._channel.eof_received:
            self._lost = True

    def failure(self, route: SshRoute) -> Unreachable | None:
        """Return the error of a connection that ended with the jump host's; None for another."""
        self._note_end()
        return _ended(route, self._hop) if self._lost else None

    def _note_end(self) -> None:
        """Note whether the channel has ended, and not in the way in which a server ends one.

        RFC 4254, section 5.3: a party that sends no more sends SSH_MSG_CHANNEL_EOF.
        """
        if not self._closing and self._channel.closed and not self._channel.eof_received:
            self._lost = True

    def __getattr__(self, name: str) -> Any:
        """Return what else paramiko uses of a socket."""
        return getattr(self._channel, name)


def open_through(
    carrier: paramiko.Transport, hop: str, route: SshRoute, *, timeout: float
) -> JumpSocket:
    """Return the way through a connection to a jump host; closes that where there is none.

    Raises:
        Unreachable: the jump host does not open it, or its connection has ended.
    """
    try:
        opened = open_from(carrier, route.host, route.port, timeout=timeout)
        if isinstance(opened, PortState):
            raise _not_opened(route, hop, opened)
    except (paramiko.SSHException, EOFError, OSError):
        carrier.close()
        raise _ended(route, hop) from None
    except BaseException:
        carrier.close()
        raise
    return JumpSocket(opened, carrier, hop)


def ended_with_jump_host(transport: paramiko.Transport, route: SshRoute) -> Unreachable | None:
    """Return the error of a connection that ended because its jump host's did; else None."""
    sock: Any = transport.sock
    return sock.failure(route) if isinstance(sock, JumpSocket) else None


def refuse_circle(hosts: Sequence[str]) -> None:
    """Refuse jump hosts that lead back to one of them, as ssh does ("jumphost loop").

    Args:
        hosts: the machine, its jump host, that one's own jump host, and so on.

    Raises:
        Unreachable: the last of them is one of those before.
    """
    *before, last = hosts
    if last in before:
        raise Unreachable(
            before[0],
            ConnectStage.PROXY,
            f"its jump hosts lead in a circle: {' → '.join(before[before.index(last) :])} → {last}",
            f"set `ProxyJump none` for {last} in your OpenSSH configuration",
            transient=False,
        )


@contextmanager
def naming_jump_host(route: SshRoute, hop: str) -> Iterator[None]:
    """Say of an error inside that it is one of a jump host, on the way to a machine."""
    try:
        yield
    except HostKeyError:
        raise
    except Unreachable as error:
        (problem,) = error.problems
        raise Unreachable(
            route.address,
            ConnectStage.PROXY,
            f"its jump host {hop} cannot be reached ({error.stage}): {problem.why}",
            problem.hint if error.stage in OWN_HINTS else _hint(hop),
            transient=error.transient,
        ) from None


def _hint(hop: str) -> str:
    return (
        f"run `ssh {hop} true` to see what the jump host says, or correct ProxyJump in your "
        "OpenSSH configuration"
    )


def _ended(route: SshRoute, hop: str) -> Unreachable:
    why = f"the connection to its jump host {hop} ended"
    return Unreachable(route.address, ConnectStage.PROXY, why, _hint(hop))


def _not_opened(route: SshRoute, hop: str, state: PortState) -> Unreachable:
    forbidden = state is PortState.FORBIDDEN
    why = "its sshd forbids TCP forwarding" if forbidden else str(state)
    return Unreachable(
        route.address,
        ConnectStage.PROXY,
        f"the jump host {hop} cannot connect to {route.host}:{route.port}: {why}",
        "set AllowTcpForwarding (and PermitOpen) in the sshd_config of the jump host"
        if forbidden
        else "check ProxyJump in your OpenSSH configuration",
        transient=not forbidden,
    )
