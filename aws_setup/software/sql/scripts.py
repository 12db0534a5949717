"""HopsFS's and λFS's SQL scripts: their documented order, and running or resuming one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aws_setup.config.regular_files import read_file
from aws_setup.config.software import MORE_SQL_SCRIPTS, SQL_SCRIPTS
from aws_setup.errors import Problem, Refused, SetupError
from aws_setup.software.sql.client import Mysql, SqlError
from aws_setup.software.sql.migrations import (
    HOLD_LOCK,
    AppliedScript,
    MigrationState,
    key_of,
    read_applied,
    record,
    record_sql,
)
from aws_setup.software.sql.statements import Statement, digest, split

CREATE_USER = "create_user.sql"
_UPDATES = [f"update-schema_2.8.2.{i}_to_2.8.2.{i + 1}.sql" for i in range(1, 10)]
ORDER = (
    "schema.sql",
    *_UPDATES,
    "update-schema_2.8.2.10_to_3.2.0.0.sql",
    "serverless.sql",
)
"""The scripts that the database user runs, in HopsFS's and λFS's documented order."""

ALREADY_EXISTS = frozenset({1007, 1050, 1060, 1061, 1396})
"""MySQL's error numbers of a database, table, column, index or user that exists already."""

NO_USER = 1396
"""MySQL's error number of a user that cannot be dropped, as there is none (ER_CANNOT_USER)."""

TIMEOUT = 3600.0
"""Time limit of one script, in seconds; NDB takes about a second for each table."""

_DELIMITER = "%%next%%"
"""The delimiter between the statements that are sent; no script contains it."""


@dataclass(frozen=True)
class SqlScript:
    """A script as statements; context statements are not counted."""

    path: Path
    statements: tuple[Statement, ...]

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def counted(self) -> list[Statement]:
        """The statements that are counted."""
        return [statement for statement in self.statements if not statement.context]

    def drops_user(self, number: int) -> bool:
        """Return whether a counted statement drops a user."""
        starts = [statement.start.upper() for statement in self.counted[number : number + 1]]
        return any(start.startswith("DROP USER") for start in starts)

    def entry(self, count: int, state: MigrationState) -> AppliedScript:
        """Return the table's entry after `count` statements."""
        return AppliedScript(state, count, digest(self.counted[:count]))

    def matches(self, entry: AppliedScript) -> bool:
        """Tell whether the executed statements are those in the file now."""
        complete = entry.state is not MigrationState.DONE or entry.statements == len(self.counted)
        return complete and entry.sha256 == digest(self.counted[: entry.statements])


def load(folder: str) -> list[SqlScript]:
    """Return the scripts of a folder in their order, create_user.sql first if it exists.

    Raises:
        Refused: the folder or some of the scripts cannot be read; it names each of them.
    """
    root = Path(folder)
    if not root.is_dir():
        raise Refused(
            f"ndb_sql_scripts_dir: the folder {root} does not exist",
            "HopsFS's and λFS's SQL scripts are read from it",
            SQL_SCRIPTS,
        )
    names = [*([CREATE_USER] if (root / CREATE_USER).exists() else []), *ORDER]
    problems, scripts = [], []
    for name in names:
        try:
            # Editors of Windows write a byte order mark, which the server refuses.
            text = read_file(root / name).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            problems.append(Problem(f"{root / name} cannot be read", why, MORE_SQL_SCRIPTS))
            continue
        scripts.append(SqlScript(root / name, tuple(split(text))))
    if problems:
        raise Refused.all(problems)
    return scripts


def execute(
    script: SqlScript, entry: AppliedScript | None, as_user: Mysql, root: Mysql, *, database: str
) -> None:
    """Run the remaining statements of a script; each one is recorded in the table.

    Args:
        script: the script.
        entry: its entry in the table; None before its first run.
        as_user: the client that runs it.
        root: the client that reads the table after an error.
        database: the database in which it runs, under which its entry is; '' for none.

    Raises:
        SetupError: a statement failed; it names the line. The next run resumes there.
    """
    before = entry or script.entry(0, MigrationState.FAILED)
    interrupted = before.state is MigrationState.RUNNING
    done, key = before.statements, key_of(script.name, database=database)
    while True:
        try:
            as_user.run(_feed(script, done, key), database=database, timeout=TIMEOUT)
        except SqlError as error:
            now = read_applied(root).get(key, before)
            at = now.statements
            if interrupted and at == done and error.code in ALREADY_EXISTS:
                done, interrupted = done + 1, False
                continue
            if error.code == NO_USER and script.drops_user(at):
                # The published create_user.sql begins so, and an image may have no such user.
                done, interrupted = at + 1, False
                continue
            if error.code:
                record(root, key, script.entry(now.statements, MigrationState.FAILED))
            raise _message(script, now.statements, error) from None
        return


def _feed(script: SqlScript, done: int, key: str) -> str:
    """Return the statements after the first `done`, each followed by the update of its entry."""
    parts = [HOLD_LOCK, record_sql(key, script.entry(done, MigrationState.RUNNING))]
    count = 0
    for statement in script.statements:
        if statement.context:
            parts.append(statement.text)
            continue
        count += 1
        if count > done:
            parts.append(statement.text)
            parts.append(record_sql(key, script.entry(count, MigrationState.RUNNING)))
    parts.append(record_sql(key, script.entry(len(script.counted), MigrationState.DONE)))
    return f"DELIMITER {_DELIMITER}\n" + "".join(f"{part}\n{_DELIMITER}\n" for part in parts)


def _message(script: SqlScript, done: int, error: SqlError) -> SetupError:
    if not error.code or done >= len(script.counted):
        return error
    statement = script.counted[done]
    # The server's message quotes the statement, which may hold a password.
    message = error.message.split(" near ")[0] if statement.secret else error.message
    return SetupError(
        f"{script.path}, line {statement.line}: {statement.start}",
        message,
        "correct the script from that line on and run this again: it resumes with that statement",
    )
