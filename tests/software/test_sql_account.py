"""The database user and the scripts against a server that is a dictionary."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aws_setup.config.paths import ndb_password_path
from aws_setup.errors import SetupError
from aws_setup.software.clients.desired import NdbLogin
from aws_setup.software.sql.account import (
    ACCOUNT_KEY,
    PasswordFile,
    authenticates,
    ensure_account,
)
from aws_setup.software.sql.client import (
    DENIED,
    DENIED_DATABASE,
    NO_TABLE,
    ROOT,
    Mysql,
    SqlError,
    literal,
)
from aws_setup.software.sql.migrations import (
    AppliedScript,
    MigrationState,
    read_applied,
    record_sql,
    wait_for_earlier,
)
from aws_setup.software.sql.scripts import SqlScript, execute
from aws_setup.software.sql.statements import split
from tests.support.fake_machines import FakeMachine, fake_context

_ENTRY = re.compile(r"VALUES \('(.*?)', '(.*?)', (\d+), '(.*?)'\)")


class Server:
    """A database server: its users with their passwords, and the table of applied scripts."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {ROOT: ""}
        self.entries: dict[str, tuple[str, str, str]] | None = {}
        self.locked = False
        self.failures: dict[str, str] = {}
        self.hosts = "%\nlocalhost\n"
        self.executed: list[str] = []
        self.machine = FakeMachine("manager", answer=self._answer)
        self.root = Mysql(self.machine, ROOT)

    def _answer(self, _command: str, stdin: str) -> tuple[int, str]:
        user, password = re.findall(r'="(.*)"', stdin)[:2]
        if self.users.get(user) != password:
            return 1, f"ERROR {DENIED} (28000): Access denied for user '{user}'"
        sql = stdin.split(f'password="{password}"\n', 1)[1]
        if "DELIMITER" in sql:
            return self._script(sql)
        if sql in self.failures:
            return 1, self.failures[sql]
        self.executed.append(sql)
        if sql.startswith("SELECT"):
            return self._select(sql)
        for name, new in re.findall(r"ALTER USER '(.*?)'@.*? IDENTIFIED BY '(.*)';", sql):
            self.users[name] = new
        self._record(sql)
        return 0, ""

    def _select(self, sql: str) -> tuple[int, str]:
        if sql.startswith("SELECT host"):
            user = re.findall(r"user='(.*)'", sql)[0]
            return 0, self.hosts if user in self.users else ""
        if "_LOCK" in sql:
            return 0, "0\n" if self.locked else "1\n"
        if sql.startswith("SELECT name") and self.entries is None:
            return 1, f"ERROR {NO_TABLE} (42S02): Table doesn't exist"
        entries = self.entries if sql.startswith("SELECT name") else {}
        return 0, "".join("\t".join((n, *row)) + "\n" for n, row in (entries or {}).items())

    def _script(self, sql: str) -> tuple[int, str]:
        for statement in sql.split("\n%%next%%\n")[1:]:
            text = statement.strip()
            if text in self.failures:
                return 1, self.failures[text]
            self.executed += [] if text.startswith(("REPLACE", "DO GET_LOCK")) else [text]
            self._record(text)
        return 0, ""

    def _record(self, sql: str) -> None:
        if self.entries is not None:
            for name, *row in _ENTRY.findall(sql):
                self.entries[name] = (row[0], row[1], row[2])


@pytest.fixture
def server() -> Server:
    return Server()


LOGIN = NdbLogin("user", "of-the-image", "vanilla_hopsfs")


def test_a_missing_user_is_created_with_the_password_of_the_clients(server: Server) -> None:
    user = ensure_account(LOGIN, server.root)
    assert server.users[LOGIN.user] == user.password == "of-the-image"
    assert read_applied(server.root)[ACCOUNT_KEY].state is MigrationState.DONE
    granted = [sql for sql in server.executed if "GRANT ALL" in sql]
    assert granted
    assert "`vanilla_hopsfs`.* TO 'user'@'%'" in granted[0]


def test_a_password_that_works_is_not_changed(server: Server) -> None:
    server.users[LOGIN.user] = LOGIN.password
    ensure_account(LOGIN, server.root)
    assert not any("ALTER USER" in sql for sql in server.executed)
    assert any("GRANT ALL" in sql for sql in server.executed)


def test_another_password_is_set_to_that_of_the_clients(server: Server) -> None:
    server.users[LOGIN.user] = "other"
    ensure_account(LOGIN, server.root)
    assert server.users[LOGIN.user] == LOGIN.password


def test_a_user_that_may_not_log_in_from_other_machines_is_completed(server: Server) -> None:
    server.users[LOGIN.user] = LOGIN.password
    server.hosts = "localhost\n"
    ensure_account(LOGIN, server.root)
    assert any("CREATE USER IF NOT EXISTS 'user'@'%'" in sql for sql in server.executed)


def test_the_password_of_root_is_never_changed(server: Server) -> None:
    with pytest.raises(SetupError, match="log in to MySQL as root") as caught:
        ensure_account(NdbLogin(ROOT, "hush", "db"), server.root)
    assert server.users[ROOT] == ""
    assert "hush" not in str(caught.value)


def test_a_login_is_refused_for_user_password_or_database(server: Server) -> None:
    server.users["user"] = "right"
    assert authenticates(Mysql(server.machine, "user", "right"))
    assert not authenticates(Mysql(server.machine, "user", "wrong"))
    server.failures["SELECT 1;"] = f"ERROR {DENIED_DATABASE} (42000): Access denied to database"
    assert not authenticates(Mysql(server.machine, "user", "right"), database="db")
    server.failures["SELECT 1;"] = "ERROR 1040 (HY000): Too many connections"
    with pytest.raises(SqlError):
        authenticates(Mysql(server.machine, "user", "right"))


def test_destroy_deletes_the_stored_password(tmp_path: Path) -> None:
    ctx = fake_context(tmp_path, {})
    step, path = PasswordFile(), ndb_password_path(ctx.config)
    assert step.find(ctx) is None
    path.parent.mkdir()
    path.write_text("secret\n")
    found = step.find(ctx)
    assert found
    step.delete(ctx, found)
    assert not path.exists()


def test_without_the_table_nothing_is_applied(server: Server) -> None:
    server.entries = None
    assert read_applied(server.root) == {}
    server.users[ROOT] = "set"
    with pytest.raises(SqlError) as caught:
        read_applied(server.root)
    assert caught.value.code == DENIED


def test_a_session_that_does_not_end_is_an_error(server: Server) -> None:
    notes: list[str] = []
    wait_for_earlier(server.root, note=notes.append)
    assert notes == []
    server.locked = True
    with pytest.raises(SetupError, match="still being executed"):
        wait_for_earlier(server.root, note=notes.append)
    assert notes == ["waiting for the statements that an earlier run has sent"]


def script(text: str) -> SqlScript:
    return SqlScript(Path("folder/tables.sql"), tuple(split(text)))


def test_a_script_resumes_after_its_last_statement(server: Server) -> None:
    tables = script("USE db; CREATE TABLE a; CREATE TABLE b; CREATE TABLE c;")
    execute(tables, tables.entry(1, MigrationState.FAILED), server.root, server.root, database="db")
    assert [sql for sql in server.executed if "CREATE" in sql] == [
        "CREATE TABLE b",
        "CREATE TABLE c",
    ]
    assert "USE db" in server.executed, "every session needs its context statements"
    assert tables.matches(read_applied(server.root)["db/tables.sql"])


def test_a_statement_that_an_interrupted_run_has_executed_is_skipped_once(
    server: Server,
) -> None:
    tables = script("CREATE TABLE a; CREATE TABLE b;")
    server.failures = {"CREATE TABLE a": "ERROR 1050 (42S01) at line 3: Table 'a' already exists"}
    before = tables.entry(0, MigrationState.RUNNING)
    execute(tables, before, server.root, server.root, database="db")
    assert "CREATE TABLE b" in server.executed
    server.entries = {}
    with pytest.raises(SetupError, match="line 1: CREATE TABLE a"):
        execute(tables, None, server.root, server.root, database="db")
    assert read_applied(server.root)["db/tables.sql"] == tables.entry(0, MigrationState.FAILED)


def test_a_user_that_a_script_drops_and_that_does_not_exist_is_no_error(server: Server) -> None:
    """The published create_user.sql begins so."""
    users = script("DROP USER user; CREATE USER user; DROP USER other;")
    missing = "ERROR 1396 (HY000) at line 3: Operation DROP USER failed for 'user'@'%'"
    server.failures = {"DROP USER user": missing, "DROP USER other": missing}
    execute(users, None, server.root, server.root, database="")
    assert "CREATE USER user" in server.executed
    assert users.matches(read_applied(server.root)["tables.sql"])
    exists = "ERROR 1396 (HY000) at line 3: Operation CREATE USER failed for 'user'@'%'"
    server.failures, server.entries = {"CREATE USER user": exists}, {}
    with pytest.raises(SetupError, match="line 1: CREATE USER user"):
        execute(users, None, server.root, server.root, database="")


def test_an_error_never_shows_a_password(server: Server) -> None:
    users = script("CREATE USER u IDENTIFIED BY 'hush';")
    text = "CREATE USER u IDENTIFIED BY 'hush'"
    server.failures = {text: f"ERROR 1064 (42000) at line 3: error near '{text}' at line 1"}
    with pytest.raises(SetupError) as caught:
        execute(users, None, server.root, server.root, database="")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "quoted"), [("a", "'a'"), ("it's", "'it''s'"), ("a\\b", "'a\\\\b'")]
)
def test_literals_are_quoted(text: str, quoted: str) -> None:
    assert literal(text) == quoted


def test_an_entry_is_one_statement() -> None:
    entry = AppliedScript(MigrationState.RUNNING, 2, "ab")
    assert record_sql("it's", entry).endswith("VALUES ('it''s', 'running', 2, 'ab')")


def test_the_option_file_quotes_the_password() -> None:
    client = Mysql(FakeMachine("manager"), "u", 'a"b\\c#d')
    assert client.options() == '[client]\nuser="u"\npassword="a\\"b\\\\c#d"\n'
    assert 'a"b' not in repr(client)
