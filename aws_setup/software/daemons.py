"""The start of a program that stays in the background of a machine."""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.ssh.exchange import CommandResult, label_of
from aws_setup.ssh.machine import Machine

START = """\
output=$(mktemp -p /run lambda-fs-start.XXXXXX) || exit 1
trap 'rm -f -- "$output"' EXIT
trap 'exit 75' HUP INT TERM PIPE
"$@" > "$output" 2>&1 < /dev/null
code=$?
cat -- "$output" >&2
exit "$code"
"""
"""Arguments: the command. What it prints goes to stderr when it has ended.

What it leaves in the background inherits a file, not the streams of the SSH channel. sshd reports
the exit code of a command at once, but the end of its output only when no process has the streams
open any more (OpenSSH, session.c: session_exit_message), and mysql.server leaves mysqld_safe with
its stderr (MySQL 8.0, support-files/mysql.server.sh: `>/dev/null &`). /run is in memory: a daemon
that needs no disk to start starts with a full one.
https://github.com/openssh/openssh-portable/blob/master/session.c
https://github.com/mysql/mysql-server/blob/8.0/support-files/mysql.server.sh
"""


def start_daemon(machine: Machine, command: Sequence[str], *, timeout: float = 60) -> CommandResult:
    """Run a command as root that starts a daemon; returns when the command ends, not the daemon.

    Args:
        machine: the machine.
        command: the command and its arguments.
        timeout: seconds until the command must have ended.

    Raises:
        RemoteError: an exit code other than 0, with what the command printed, or it did not end.
        ConnectionLost: the connection was lost meanwhile.
        Unreachable: the machine cannot be reached.
    """
    line = ["sh", "-c", START, "lambda-fs", *command]
    return machine.run(line, sudo=True, timeout=timeout, label=label_of(command))
