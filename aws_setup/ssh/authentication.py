"""Logging in: which key a server accepts, and whether a failure is one of the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aws_setup.engine.wording import count_of
from aws_setup.ssh.errors import NO_SESSION, ConnectStage, Unreachable, why_ended
from aws_setup.ssh.jump_host import ended_with_jump_host
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.ssh_config import USER, SshRoute

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko


def authenticate(key_ring: KeyRing, transport: paramiko.Transport, route: SshRoute) -> None:
    """Log in with one of the keys.

    Raises:
        Unreachable: the server accepts none or asks for more, or the connection broke.
    """
    tried, asked = 0, []
    for key in key_ring.keys_to_offer(route.identity_files):
        tried += 1
        try:
            asked = transport.auth_publickey(route.user, key)
            if not asked:
                return
            if "publickey" not in asked:
                break
        except (paramiko.SSHException, EOFError, OSError) as error:
            # At its own time-out paramiko leaves the connection open and names no other class.
            # Where sending fails, it seems to be open until the thread that reads notices.
            refused = isinstance(error, paramiko.AuthenticationException)
            if refused and transport.is_active() and str(error) != AUTHENTICATION_TIMEOUT:
                continue
            if tried <= MOST_REFUSED:
                raise ended_with_jump_host(transport, route) or _broken(route, error) from None
            break
    raise _incomplete(route, asked) if asked else _denied(route, tried)


AUTHENTICATION_TIMEOUT = "Authentication timeout."
"""What paramiko raises when sshd does not answer (5.1, AuthHandler.wait_for_response)."""

MOST_REFUSED = 2
"""Offered keys up to which a closed connection is a broken one: sshd itself closes it at the last
of MaxAuthTries keys (sshd_config(5): 6 by default, which are not reached; 3 where it is strict)."""


def _broken(route: SshRoute, error: Exception) -> Unreachable:
    """Return the error of a connection that ended before sshd has answered about a key."""
    answered = str(error) == NO_SESSION or isinstance(
        error,
        (paramiko.AuthenticationException, paramiko.ProxyCommandFailure, EOFError, OSError),
    )
    return Unreachable(
        route.address,
        ConnectStage.SSHD,
        f"the connection broke while logging in: {why_ended(error)}",
        "run the same command again; if it stays so, check sshd's log on the machine"
        if answered
        else "check your SSH agent with `ssh-add -l`, or set ssh_key_path to another key",
        transient=answered,
    )


def _incomplete(route: SshRoute, methods: Sequence[str]) -> Unreachable:
    """Return the error of a server to which a key is not enough (RFC 4252, section 5.1)."""
    accept = "set `AuthenticationMethods publickey` for that user in its sshd_config"
    # https://man.openbsd.org/ssh_config#ControlMaster
    share = (
        "set `ProxyCommand ssh -W %h:%p HOST` in place of ProxyJump, ControlMaster and ControlPath "
        "for HOST, and keep a login to it open"
    )
    return Unreachable(
        route.address,
        ConnectStage.KEY,
        f"it accepts a key for user {route.user}, and then asks for {' or '.join(methods)}",
        f"{share}, or {accept}" if route.is_jump_host else accept,
        transient=False,
    )


def _denied(route: SshRoute, tried: int) -> Unreachable:
    if route.is_jump_host:
        return Unreachable(
            route.address,
            ConnectStage.KEY,
            f"it accepts none of {count_of(tried, 'offered key')} for user {route.user}",
            "set User and IdentityFile for that jump host in your OpenSSH configuration, or load "
            "its key into your SSH agent",
            transient=False,
        )
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
        "set ssh_key_path to the private key of the key pair with which the machine was launched "
        "(its KeyName in EC2); another ssh_keypair_name is that of later machines only",
        transient=False,
    )
