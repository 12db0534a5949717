"""The mysql client on the NDB manager, with its password in a temporary option file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from aws_setup.errors import SetupError
from aws_setup.ssh.machine import Machine

MYSQL = "/usr/local/mysql/bin/mysql"

ROOT = "root"
DENIED_DATABASE = 1044
DENIED = 1045
NO_DATABASE = 1049
NO_TABLE = 1146

_SCRIPT = """\
umask 077
file=$(mktemp) || exit 1
trap 'rm -f -- "$file"' EXIT
trap 'exit 75' HUP INT TERM PIPE
dd bs=1 count="$1" status=none > "$file" || exit 1
program=$2
shift 2
"$program" --defaults-file="$file" "$@"
"""
"""Arguments: length of the option file, program, its arguments. Stdin: option file, then SQL.

The option file has mode 0600 and is deleted in any case, also when the connection is lost.
"""

_ERROR = re.compile(r"^ERROR (\d{1,9})[^:]*: (.*)$", re.MULTILINE)


class SqlError(SetupError):
    """A statement failed; `code` is MySQL's error number, 0 when there is none."""

    def __init__(self, machine: str, *, code: int, message: str) -> None:
        super().__init__(f"{machine}: mysql ended with an error", message, _fix(code))
        self.code, self.message = code, message


def _fix(code: int) -> str:
    if code == DENIED:
        return "set ndb_root_password or ndb_password (LAMBDA_FS_NDB_…) to the user's password"
    if code in {1005, 1114, 1297, 1028}:
        return "check `ndb_mgm -e show` and the data nodes' disks, then run the same command again"
    return "fix the cause on the NDB manager, then run the same command again"


@dataclass(frozen=True)
class Mysql:
    """The client for one database user; the password is in no command line and in no log."""

    machine: Machine
    user: str
    password: str = field(default="", repr=False)

    def run(
        self,
        sql: str,
        *,
        database: str = "",
        timeout: float = 120,
        arguments: Sequence[str] = (),
    ) -> list[list[str]]:
        """Run statements up to the first error and return their rows.

        Args:
            sql: the statements.
            database: the default database.
            timeout: the time limit in seconds.
            arguments: more arguments of the client; nothing secret.

        Raises:
            SqlError: a statement failed, or the server does not answer.
        """
        options = self.options()
        names = [*arguments, *([database] if database else [])]
        result = self.machine.run(
            [
                *("sh", "-c", _SCRIPT, "lambda-fs", str(len(options.encode())), MYSQL),
                *("--batch", "--skip-column-names", "--default-character-set=utf8mb4", *names),
            ],
            # Some images authenticate MySQL's root by the system's root user, without a password.
            sudo=self.user == ROOT,
            stdin=options + sql,
            timeout=timeout,
            check=False,
            # What is read in the database leaves the files and servers as they are.
            changes=not sql.startswith("SELECT "),
            label="mysql",
        )
        if result.code:
            found = _ERROR.search(result.stderr)
            message = found[0] if found else result.stderr.strip() or f"exit code {result.code}"
            code = int(found[1]) if found else 0
            raise SqlError(str(self.machine), code=code, message=message)
        return [line.split("\t") for line in result.stdout.splitlines()]

    def options(self) -> str:
        """Return the option file's text."""
        return f"[client]\nuser={_quoted(self.user)}\npassword={_quoted(self.password)}\n"


def _quoted(text: str) -> str:
    """Return a value quoted for an option file."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
