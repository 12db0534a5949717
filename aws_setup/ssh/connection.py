"""Opening one SSH connection, stage by stage: address, port, sshd, host key, user, key."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_setup.engine.wording import count_of
from aws_setup.errors import Place, SetupError, address_hint
from aws_setup.ssh.errors import ConnectStage, HostKeyError, Unreachable
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.known_hosts import HostKey, KnownHosts
from aws_setup.ssh.ssh_config import USER, SshRoute, SshSettings
from aws_setup.ssh.user_known_hosts import UserKeys, user_keys

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

KEEP_ALIVE = 15
"""Seconds between keep-alive packets, well below the 350 s after which AWS drops idle flows."""

log = logging.getLogger(__name__)

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
    transport = _transport(_socket(context, route, timeout=timeout))
    try:
        known = context.known_hosts.keys(alias)
        if known:
            _prefer_known_algorithms(transport, known)
        _handshake(transport, route, timeout=timeout)
        _verify_host_key(
            context, transport, route, alias=alias, known=known, console_keys=console_keys
        )
        _authenticate(context, transport, route, timeout=timeout)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(KEEP_ALIVE)
    return transport


def _transport(sock: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock, disabled_algorithms={"pubkeys": ["ssh-rsa", "ssh-dss"]})
    transport.set_log_channel(log.name)
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


def _socket(context: SshContext, route: SshRoute, *, timeout: float) -> Any:
    """Return the connection's transport: a TCP socket, a ProxyCommand, or a jump host's channel."""
    if route.proxy_command:
        from aws_setup.ssh.proxy_command import open_proxy  # it imports paramiko

        return open_proxy(route)
    if route.jumps:
        return _via_jump_host(context, route, timeout=timeout)
    return _open_socket(route, timeout=timeout)


def _open_socket(route: SshRoute, *, timeout: float) -> socket.socket:
    try:
        return socket.create_connection((route.host, route.port), timeout=timeout)
    except socket.gaierror as error:
        raise Unreachable(
            route.address,
            ConnectStage.ADDRESS,
            f"the host name {route.host} does not resolve: {error.strerror}",
            "correct HostName in your OpenSSH configuration",
            transient=False,
        ) from None
    except ConnectionRefusedError:
        raise Unreachable(
            route.address,
            ConnectStage.PORT,
            f"port {route.port} refuses connections: sshd is not running (yet)",
            "wait a minute if the machine is booting; otherwise check its console output in EC2",
        ) from None
    except OSError as error:
        raise Unreachable(
            route.address,
            ConnectStage.PORT,
            f"port {route.port} does not answer ({error.strerror or 'timed out'}): the security "
            "group does not allow your address, or the machine is not running",
            f"{address_hint(Place.SSH)}; `status` shows whether the machine runs",
        ) from None


def _via_jump_host(context: SshContext, route: SshRoute, *, timeout: float) -> paramiko.Channel:
    """Return a channel through the hops of a ProxyJump; each hop holds a reference to the last."""
    carrier: Any = None
    for hop in map(context.settings().jump, route.jumps):
        sock = (
            _tunnel(carrier, hop, timeout=timeout)
            if carrier
            else _open_socket(hop, timeout=timeout)
        )
        carrier = _transport(sock)
        alias = f"[{hop.host}]:{hop.port}"
        own = user_keys(hop.known_hosts_files, hop.host_key_alias or hop.host, hop.port)
        known = context.known_hosts.keys(alias) or list(own.known)
        if known:
            _prefer_known_algorithms(carrier, known)
        _handshake(carrier, hop, timeout=timeout)
        _refuse_revoked(carrier, hop, own)
        _verify_host_key(context, carrier, hop, alias=alias, known=known, console_keys=list)
        _authenticate(context, carrier, hop, timeout=timeout)
        carrier.set_keepalive(KEEP_ALIVE)
    return _tunnel(carrier, route, timeout=timeout)


def _tunnel(carrier: paramiko.Transport, route: SshRoute, *, timeout: float) -> paramiko.Channel:
    try:
        return carrier.open_channel(
            "direct-tcpip", (route.host, route.port), ("127.0.0.1", 0), timeout=timeout
        )
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise Unreachable(
            route.address,
            ConnectStage.PROXY,
            f"the jump host cannot connect to {route.host}:{route.port}: "
            f"{error or 'connection closed'}",
            "check ProxyJump in your OpenSSH configuration",
        ) from None


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
        raise Unreachable(
            route.address,
            ConnectStage.SSHD,
            f"port {route.port} is open, but sent no SSH banner: {error or 'connection closed'}",
            "wait a minute if the machine is booting; otherwise check its console output in EC2",
        ) from None


def _refuse_revoked(transport: paramiko.Transport, hop: SshRoute, own: UserKeys) -> None:
    shown = transport.get_remote_server_key()
    key = HostKey(shown.get_name(), shown.asbytes())
    if key in own.revoked:
        raise Unreachable(
            hop.address,
            ConnectStage.HOST_KEY,
            f"it sent host key {key}, which your known_hosts marks @revoked",
            "ask the administrator of that host for its present key",
            transient=False,
        )


def _verify_host_key(
    context: SshContext,
    transport: paramiko.Transport,
    route: SshRoute,
    *,
    alias: str,
    known: list[HostKey],
    console_keys: Callable[[], list[HostKey]],
) -> None:
    """Compare the server's host key with the known ones, else with those on the console.

    Without either the key is accepted and reported as trusted on first use, unless
    `require_host_keys` or OpenSSH's StrictHostKeyChecking is set.
    """
    shown = transport.get_remote_server_key()
    key = HostKey(shown.get_name(), shown.asbytes())
    expected = known or console_keys()
    if expected and key not in expected:
        raise HostKeyError(
            route.address,
            shown=str(key),
            known=" or ".join(map(str, expected)),
            file=str(context.known_hosts.path),
            alias=alias,
        )
    if not expected and (context.require_host_keys or route.strict):
        setting, off = (
            ("require_host_keys is", "require_host_keys: False")
            if context.require_host_keys
            else ("your OpenSSH configuration has StrictHostKeyChecking", "it to accept-new")
        )
        raise Unreachable(
            route.address,
            ConnectStage.HOST_KEY,
            f"nothing confirms its host key {key}, and {setting} set",
            f"compare it with the machine's console output, then add `{alias} {key.line}` to "
            f"{context.known_hosts.path}, or set {off}",
        )
    if not known:
        context.known_hosts.add(alias, expected or [key])
    if not expected:
        context.on_first_use(alias, key)


def _authenticate(
    context: SshContext, transport: paramiko.Transport, route: SshRoute, *, timeout: float
) -> None:
    tried = 0
    for key in context.key_ring.keys_to_offer(route.identity_files):
        tried += 1
        try:
            transport.auth_publickey(route.user, key)
            return
        except (paramiko.SSHException, EOFError, OSError) as error:
            # At its own time-out paramiko leaves the connection open and names no other class.
            if transport.is_active() and str(error) != AUTHENTICATION_TIMEOUT:
                if isinstance(error, paramiko.AuthenticationException):
                    continue
            elif tried <= MOST_REFUSED:
                raise _broken(route, error) from None
            break
    raise _denied(route, tried)


AUTHENTICATION_TIMEOUT = "Authentication timeout."
"""What paramiko raises when sshd does not answer (5.1, AuthHandler.wait_for_response)."""

MOST_REFUSED = 2
"""Offered keys up to which a closed connection is a broken one: sshd itself closes it at the last
of MaxAuthTries keys (sshd_config(5): 6 by default, which are not reached; 3 where it is strict)."""


def _broken(route: SshRoute, error: Exception) -> Unreachable:
    """Return the error of a connection that ended before sshd has answered about a key."""
    answered = isinstance(error, (paramiko.AuthenticationException, EOFError, OSError))
    return Unreachable(
        route.address,
        ConnectStage.SSHD,
        f"the connection broke while logging in: {error or 'connection closed'}",
        "run the same command again; if it stays so, check sshd's log on the machine"
        if answered
        else "check your SSH agent with `ssh-add -l`, or set ssh_key_path to another key",
        transient=answered,
    )


def _denied(route: SshRoute, tried: int) -> SetupError:
    if route.user != USER:
        return Unreachable(
            route.address,
            ConnectStage.USER,
            f"your OpenSSH configuration sets user {route.user}; the λFS machines have user {USER}",
            f"set `User {USER}` for this address there, or set ssh_config_path to another file",
            transient=False,
        )
    return Unreachable(
        route.address,
        ConnectStage.KEY,
        f"it accepts none of {count_of(tried, 'offered key')} for user {route.user}",
        "set ssh_key_path to the private key of ssh_keypair_name's key pair",
        transient=False,
    )
