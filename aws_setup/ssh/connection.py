"""One connection from nothing to authenticated: address, port, sshd, host key, user and key."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paramiko

from aws_setup.errors import SetupError
from aws_setup.ssh.errors import ConnectStage, HostKeyError, Unreachable
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.known_hosts import HostKey, KnownHosts
from aws_setup.ssh.ssh_config import USER, SshRoute, SshSettings

KEEP_ALIVE = 15
"""Seconds between keep-alive packets, well below the 350 s after which AWS drops idle flows."""

log = logging.getLogger(__name__)

_RSA = ("rsa-sha2-512", "rsa-sha2-256")


@dataclass(frozen=True)
class SshContext:
    """What every connection of a run shares."""

    settings: Callable[[], SshSettings]
    identities: KeyRing
    known: KnownHosts
    trusted: Callable[[str, HostKey], None]


def connect(
    door: SshContext,
    route: SshRoute,
    *,
    alias: str,
    published: Callable[[], list[HostKey]],
    timeout: float,
) -> paramiko.Transport:
    """Return an authenticated connection.

    Args:
        door: the run's configuration, keys and known hosts.
        route: how to reach the machine.
        alias: the name under which its host key is known: the instance id.
        published: the host keys that the machine's console shows; asked when none is known.
        timeout: seconds for each layer.

    Raises:
        Unreachable: with the layer that failed; HostKeyError for a changed host key.
    """
    transport = _transport(_socket(door, route, timeout=timeout))
    try:
        known = door.known.keys(alias)
        if known:
            _prefer_known_algorithms(transport, known)
        _handshake(transport, route, timeout=timeout)
        _verify_host_key(door, transport, route, alias=alias, known=known, published=published)
        _authenticate(door, transport, route, timeout=timeout)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(KEEP_ALIVE)
    return transport


def _transport(sock: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock)
    transport.set_log_channel(log.name)
    return transport


def _only_for_the_log(record: logging.LogRecord) -> bool:
    """Make paramiko's tracebacks debug lines: what they are about is raised as well."""
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True


log.addFilter(_only_for_the_log)


def _socket(door: SshContext, route: SshRoute, *, timeout: float) -> Any:
    """Return what carries the connection: a TCP socket, a ProxyCommand, or a jump's channel."""
    if route.proxy_command:
        return paramiko.ProxyCommand(route.proxy_command)
    if route.jumps:
        return _via_jump_host(door, route, timeout=timeout)
    return _open_socket(route, timeout=timeout)


def _open_socket(route: SshRoute, *, timeout: float) -> socket.socket:
    try:
        return socket.create_connection((route.host, route.port), timeout=timeout)
    except socket.gaierror as error:
        raise Unreachable(
            route.address,
            ConnectStage.ADDRESS,
            f"the name {route.host} has no address: {error.strerror}",
            "mend HostName in your OpenSSH configuration",
            passing=False,
        ) from None
    except ConnectionRefusedError:
        raise Unreachable(
            route.address,
            ConnectStage.PORT,
            f"port {route.port} refuses connections: sshd does not run (yet)",
            "a machine that boots needs a minute; else look at its console output in EC2",
        ) from None
    except OSError as error:
        raise Unreachable(
            route.address,
            ConnectStage.PORT,
            f"port {route.port} does not answer ({error.strerror or 'timed out'}): the security "
            "group keeps your address out, or the machine does not run",
            "set user_public_ip to the address you have now, and run `create` again",
        ) from None


def _via_jump_host(door: SshContext, route: SshRoute, *, timeout: float) -> paramiko.Channel:
    """Return a channel through the hops of a ProxyJump; each hop is kept alive by the next."""
    carrier: Any = None
    for hop in map(door.settings().jump, route.jumps):
        sock = (
            _tunnel(carrier, hop, timeout=timeout)
            if carrier
            else _open_socket(hop, timeout=timeout)
        )
        carrier = _transport(sock)
        alias = f"[{hop.host}]:{hop.port}"
        _handshake(carrier, hop, timeout=timeout)
        known = door.known.keys(alias)
        _verify_host_key(door, carrier, hop, alias=alias, known=known, published=list)
        _authenticate(door, carrier, hop, timeout=timeout)
        carrier.set_keepalive(KEEP_ALIVE)
    return _tunnel(carrier, route, timeout=timeout)


def _tunnel(carrier: paramiko.Transport, route: SshRoute, *, timeout: float) -> paramiko.Channel:
    try:
        return carrier.open_channel(
            "direct-tcpip", (route.host, route.port), ("127.0.0.1", 0), timeout=timeout
        )
    except paramiko.SSHException as error:
        raise Unreachable(
            route.address,
            ConnectStage.PROXY,
            f"the jump host cannot connect to {route.host}:{route.port}: {error}",
            "look at ProxyJump in your OpenSSH configuration",
        ) from None


def _prefer_known_algorithms(transport: paramiko.Transport, known: list[HostKey]) -> None:
    """Ask for a host key of a kind that is known, so that it can be compared."""
    options = transport.get_security_options()
    wanted: list[str] = []
    for key in known:
        wanted += _RSA if key.algorithm == "ssh-rsa" else [key.algorithm]
    offered = [name for name in wanted if name in options.key_types]
    rest = [name for name in options.key_types if name not in offered]
    options.key_types = tuple(offered + rest)


def _handshake(transport: paramiko.Transport, route: SshRoute, *, timeout: float) -> None:
    transport.banner_timeout = transport.auth_timeout = timeout
    try:
        transport.start_client(timeout=timeout)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise Unreachable(
            route.address,
            ConnectStage.PROXY if route.proxy_command else ConnectStage.SSHD,
            f"port {route.port} is open, but no SSH server greets: {error or 'it hung up'}",
            "a machine that boots needs a minute; else look at its console output in EC2",
        ) from None


def _verify_host_key(
    door: SshContext,
    transport: paramiko.Transport,
    route: SshRoute,
    *,
    alias: str,
    known: list[HostKey],
    published: Callable[[], list[HostKey]],
) -> None:
    """Compare the shown host key with the known, else published ones; else trust and say so."""
    shown = transport.get_remote_server_key()
    key = HostKey(shown.get_name(), shown.asbytes())
    expected = known or published()
    if expected and key not in expected:
        raise HostKeyError(
            route.address,
            shown=str(key),
            known=" or ".join(map(str, expected)),
            file=str(door.known.path),
            alias=alias,
        )
    if not known:
        door.known.add(alias, expected or [key])
    if not expected:
        door.trusted(alias, key)


def _authenticate(
    door: SshContext, transport: paramiko.Transport, route: SshRoute, *, timeout: float
) -> None:
    tried = 0
    for key in door.identities.offered(route.identities):
        tried += 1
        try:
            transport.auth_publickey(route.user, key)
            return
        except paramiko.AuthenticationException:
            continue
        except (paramiko.SSHException, EOFError, OSError):
            break
    raise _denied(route, tried)


def _denied(route: SshRoute, tried: int) -> SetupError:
    if route.user != USER:
        return Unreachable(
            route.address,
            ConnectStage.USER,
            f"your OpenSSH configuration says user {route.user}, and the λFS machines have {USER}",
            f"set `User {USER}` for this address in it, or set ssh_config_path to another file",
            passing=False,
        )
    return Unreachable(
        route.address,
        ConnectStage.KEY,
        f"it accepts none of the {tried} keys offered for user {route.user}",
        "set ssh_key_path to the private key of ssh_keypair_name's key pair",
        passing=False,
    )
