"""Opening one SSH connection, stage by stage: address, port, sshd, host key, user, key."""

from __future__ import annotations

import errno
import logging
import re
import socket
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_setup.errors import Place, address_hint
from aws_setup.ssh import PROTOCOL_LOG
from aws_setup.ssh.authentication import authenticate
from aws_setup.ssh.errors import (
    ConnectStage,
    HostKeyError,
    UnconfirmedHostKey,
    Unreachable,
    why_ended,
)
from aws_setup.ssh.jump_host import (
    JumpSocket,
    ended_with_jump_host,
    naming_jump_host,
    open_through,
    refuse_circle,
)
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.known_hosts import HostKey, KnownHosts
from aws_setup.ssh.ssh_config import SshRoute, SshSettings
from aws_setup.ssh.user_known_hosts import user_keys

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

KEEP_ALIVE = 15
"""Seconds between keep-alive packets, well below the 350 s after which AWS drops idle flows."""

SILENCE = 90
"""Seconds without an acknowledgement after which TCP gives a connection up. With another network,
as of a VPN, nothing answers, and Linux by itself repeats a packet for 15 minutes and more
(tcp(7): tcp_retries2, TCP_USER_TIMEOUT)."""

NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
"""What connect(2) returns where it is not the machine that does not answer."""

_MACOS_DROP_TIME = 0x80
"""TCP_RXT_CONNDROPTIME, in seconds, for which Python has no name:
https://github.com/apple-oss-distributions/xnu/blob/main/bsd/netinet/tcp.h"""

log = logging.getLogger(__name__)

_INSTANCE = re.compile(r"i-[0-9a-z]+")
"""An instance id."""

_RSA = ("rsa-sha2-512", "rsa-sha2-256")


@dataclass(frozen=True)
class SshContext:
    """What every connection of a run uses.

    `on_first_use` is called with alias and key when a host key is accepted that nothing confirms.
    """

    settings: Callable[[], SshSettings]
    key_ring: KeyRing
    known_hosts: KnownHosts
    on_first_use: Callable[[str, HostKey], None]
    require_host_keys: bool = False


def connect(
    context: SshContext,
    route: SshRoute,
    *,
    alias: str,
    console_keys: Callable[[], list[HostKey]],
    timeout: float,
) -> paramiko.Transport:
    """Return an authenticated connection.

    Args:
        context: the run's configuration, keys and known hosts.
        route: how to reach the machine.
        alias: the name of its host keys in the known hosts: the instance id.
        console_keys: returns the host keys in the console output; called when none is known.
        timeout: seconds for each stage.

    Raises:
        Unreachable: with the stage that failed; HostKeyError for a changed host key.
    """
    sock = _socket(context, route, timeout=timeout)
    known = context.known_hosts.keys(alias)
    names = _HostKeyNames(alias, known, console_keys)
    return _log_in(context, sock, route, names, timeout=timeout)


@dataclass(frozen=True)
class _HostKeyNames:
    """The host keys of a server: their name in the known hosts, the known ones, and others."""

    alias: str
    known: list[HostKey]
    console_keys: Callable[[], list[HostKey]] = list
    revoked: Collection[HostKey] = ()

    @property
    def in_ec2(self) -> bool:
        """Whether EC2 has its console output, and not of a jump host or of an address alone."""
        return bool(_INSTANCE.fullmatch(self.alias))


def _log_in(
    context: SshContext, sock: Any, route: SshRoute, names: _HostKeyNames, *, timeout: float
) -> paramiko.Transport:
    """Return the authenticated connection over a socket; closes that where there is none."""
    transport = _transport(sock)
    try:
        if names.known:
            _prefer_known_algorithms(transport, names.known)
        _handshake(transport, route, timeout=timeout)
        _verify_host_key(context, transport, route, names)
        authenticate(context.key_ring, transport, route)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(KEEP_ALIVE)
    return transport


def _transport(sock: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock, disabled_algorithms={"pubkeys": ["ssh-rsa", "ssh-dss"]})
    transport.set_log_channel(PROTOCOL_LOG)
    options = transport.get_security_options()
    options.ciphers = _strong(options.ciphers)
    options.digests = _strong(options.digests)
    options.kex = _strong(options.kex)
    options.key_types = _strong(options.key_types)
    return transport


_WEAK = re.compile(r"cbc|md5|sha1(?!\d)|^(?:ssh-rsa|ssh-dss|arcfour.*|none)$")
"""Names of ciphers, digests, key exchanges and signatures that are not offered: CBC, MD5, SHA-1.

OpenSSH 8.8 and later (Ubuntu 22.04) neither need nor offer any of them."""


def _strong(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not _WEAK.search(name))


def _lower_to_debug(record: logging.LogRecord) -> bool:
    """Log paramiko's messages at level DEBUG: what they report is raised as an error, too."""
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True


log.addFilter(_lower_to_debug)


def _socket(
    context: SshContext, route: SshRoute, *, timeout: float, through: Sequence[str] = ()
) -> Any:
    """Return the connection's transport: a TCP socket, a ProxyCommand, or a jump host's channel.

    `through` has the hosts to which this one is the way.
    """
    if route.proxy_command:
        from aws_setup.ssh.proxy_command import open_proxy  # it imports paramiko

        return open_proxy(route)
    if route.jumps:
        return _via_jump_host(context, route, timeout=timeout, through=(*through, route.address))
    return _open_socket(route, timeout=timeout)


def _open_socket(route: SshRoute, *, timeout: float) -> socket.socket:
    try:
        sock = socket.create_connection((route.host, route.port), timeout=timeout)
        _limit_silence(sock)
        return sock
    except socket.gaierror as error:
        # No name server has answered, as while a VPN is opened (getaddrinfo(3)).
        silent = error.errno == socket.EAI_AGAIN
        raise Unreachable(
            route.address,
            ConnectStage.ADDRESS,
            f"the host name {route.host} does not resolve: {error.strerror}",
            "check this computer's network, DNS servers and VPN"
            if silent
            else "correct HostName in your OpenSSH configuration",
            transient=silent,
        ) from None
    except ConnectionRefusedError:
        raise Unreachable(
            route.address,
            ConnectStage.PORT,
            f"port {route.port} refuses connections: sshd is not running (yet)",
            "wait a minute if the machine is booting; otherwise check its console output in EC2",
        ) from None
    except OSError as error:
        if error.errno in NO_ROUTE:
            raise Unreachable(
                route.address,
                ConnectStage.ROUTE,
                f"this computer has no route to {route.host} ({error.strerror})",
                "check this computer's network and VPN: the addresses of λFS's machines are IPv4, "
                "so that an IPv6-only network needs a way to those (NAT64 with 464XLAT)",
            ) from None
        raise Unreachable(
            route.address,
            ConnectStage.PORT,
            f"port {route.port} does not answer ({error.strerror or 'timed out'}): the security "
            "group does not allow your address, or the machine is not running",
            f"{address_hint(Place.SSH)}; `status` shows whether the machine runs",
        ) from None


def _limit_silence(sock: socket.socket) -> None:
    """End the connection where nobody acknowledges the keep-alive packets any more."""
    with suppress(OSError):  # an emulated kernel may not know the option
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)
        elif sys.platform == "darwin":
            sock.setsockopt(socket.IPPROTO_TCP, _MACOS_DROP_TIME, SILENCE)


def _via_jump_host(
    context: SshContext, route: SshRoute, *, timeout: float, through: Sequence[str]
) -> JumpSocket:
    """Return the way through the hops of a ProxyJump; each ends with the next.

    As in ssh(1), the first hop is reached by the proxies that the user has set for it, and the
    others through the one before.
    """
    routes = [context.settings().jump(text) for text in route.jumps]
    refuse_circle([*through, routes[0].address])
    first, *others = [(hop, _hop_keys(context, hop)) for hop in routes]
    hop, names = first
    with naming_jump_host(route, hop.address):
        sock = _socket(context, hop, timeout=timeout, through=through)
        carrier = _log_in(context, sock, hop, names, timeout=timeout)
    for following, names in others:
        with naming_jump_host(route, following.address):
            sock = open_through(carrier, hop.address, following, timeout=timeout)
            carrier = _log_in(context, sock, following, names, timeout=timeout)
        hop = following
    return open_through(carrier, hop.address, route, timeout=timeout)


def _hop_keys(context: SshContext, hop: SshRoute) -> _HostKeyNames:
    alias = f"[{hop.host}]:{hop.port}"
    own = user_keys(hop.known_hosts_files, hop.host_key_alias or hop.host, hop.port)
    known = context.known_hosts.keys(alias) or list(own.known)
    return _HostKeyNames(alias, known, revoked=own.revoked)


def _prefer_known_algorithms(transport: paramiko.Transport, known: list[HostKey]) -> None:
    """Prefer the algorithms of the known host keys, so that the server sends a comparable key."""
    options = transport.get_security_options()
    preferred: list[str] = []
    for key in known:
        preferred += _RSA if key.algorithm == "ssh-rsa" else [key.algorithm]
    offered = [name for name in preferred if name in options.key_types]
    rest = [name for name in options.key_types if name not in offered]
    options.key_types = tuple(offered + rest)


def _handshake(transport: paramiko.Transport, route: SshRoute, *, timeout: float) -> None:
    transport.banner_timeout = transport.auth_timeout = timeout
    try:
        transport.start_client(timeout=timeout)
        if not transport.initial_kex_done:
            # paramiko returns at the timeout as it does after success (5.1, start_client).
            raise paramiko.SSHException(f"no key exchange within {timeout:.0f} s")
    except (paramiko.SSHException, EOFError, OSError) as error:
        if route.proxy_command:
            proxy: Any = transport.sock
            raise proxy.failure(route, error) from None
        raise ended_with_jump_host(transport, route) or _no_handshake(
            transport, route, error
        ) from None


def _no_handshake(transport: paramiko.Transport, route: SshRoute, error: Exception) -> Unreachable:
    """Return the error of a server that has sent no banner, or no more than that."""
    had = "its key exchange failed" if transport.remote_version else "sent no SSH banner"
    incompatible = isinstance(error, paramiko.ssh_exception.IncompatiblePeer)
    return Unreachable(
        route.address,
        ConnectStage.SSHD,
        f"port {route.port} is open, but {had}: {why_ended(error)}",
        "allow a current algorithm of each kind in the sshd_config there (KexAlgorithms, Ciphers, "
        "MACs, HostKeyAlgorithms)"
        if incompatible
        else "wait a minute if the machine is booting; otherwise check its console output in EC2",
        transient=not incompatible,
    )


def _verify_host_key(
    context: SshContext, transport: paramiko.Transport, route: SshRoute, names: _HostKeyNames
) -> None:
    """Compare the server's host key with the known ones, else with those on the console.

    Without either the key is accepted and reported as trusted on first use, unless
    `require_host_keys` or OpenSSH's StrictHostKeyChecking is set.
    """
    shown = transport.get_remote_server_key()
    key = HostKey(shown.get_name(), shown.asbytes())
    if key in names.revoked:
        raise Unreachable(
            route.address,
            ConnectStage.HOST_KEY,
            f"it sent host key {key}, which your known_hosts marks @revoked",
            "ask the administrator of that host for its present key",
            transient=False,
        )
    expected = names.known or names.console_keys()
    if expected and key not in expected:
        raise HostKeyError(
            route.address,
            shown=str(key),
            known=" or ".join(map(str, expected)),
            file=str(context.known_hosts.path),
            alias=names.alias,
            in_ec2=names.in_ec2,
        )
    if not expected and (context.require_host_keys or route.strict):
        setting, off = (
            ("require_host_keys is", "require_host_keys: False")
            if context.require_host_keys
            else ("your OpenSSH configuration has StrictHostKeyChecking", "it to accept-new")
        )
        why = f"nothing confirms its host key {key}, and {setting} set"
        line, file = f"{names.alias} {key.line}", str(context.known_hosts.path)
        text = {"line": line, "file": file, "off": off}
        raise UnconfirmedHostKey(route.address, why, **text, in_ec2=names.in_ec2)
    if not names.known:
        context.known_hosts.add(names.alias, expected or [key])
    if not expected:
        context.on_first_use(names.alias, key)
