"""Database user and scripts against a real MariaDB, over real SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.context import Context
from aws_setup.config.paths import ndb_password_path
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action, Found
from aws_setup.errors import Refused, SetupError
from aws_setup.rehearsal.environment import write_scripts
from aws_setup.rehearsal.vms.namespace_vms import missing_requirement
from aws_setup.software.clients.login import PUBLISHED
from aws_setup.software.hdfs_format import LAMBDA_FS, FormatFileSystem
from aws_setup.software.ndb.mysqld import start_mysqld
from aws_setup.software.sql.account import authenticates
from aws_setup.software.sql.client import Mysql, SqlError
from aws_setup.software.sql.migrations import AppliedScript, MigrationState, record
from aws_setup.software.sql.schema_step import SchemaStep
from aws_setup.software.sql.scripts import ORDER, load
from tests.support.ndb import VMS, NdbEnvironment, mariadb_template, ndb_environment, run

pytestmark = pytest.mark.skipif(
    missing_requirement() != "", reason=missing_requirement() or "machines run here"
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[NdbEnvironment]:
    with ndb_environment(tmp_path, VMS[:1], mariadb_template()) as made:
        _ctx, pool = made.context()
        start_mysqld(pool.machine("i-0a", made.public["i-0a"]))
        pool.close()
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scripts(tmp_path / "sql", user="user")


def create(manager: NdbEnvironment, folder: Path, **keys: Any) -> tuple[Row, Context]:
    ctx, pool = manager.context(ndb_sql_scripts_dir=str(folder), **keys)
    ctx.found["mysqld"] = Found("i-0a", "running")
    try:
        return run(ctx, [SchemaStep(pool)])["ndb tables"], ctx
    finally:
        pool.close()


def root(manager: NdbEnvironment, sql: str) -> list[list[str]]:
    _ctx, pool = manager.context()
    try:
        return Mysql(pool.machine("i-0a", manager.public["i-0a"]), "root").run(sql)
    finally:
        pool.close()


def tables(manager: NdbEnvironment, database: str = "vanilla_hopsfs") -> set[str]:
    rows = root(manager, f"SHOW TABLES FROM {database};")
    return {row[0] for row in rows}


ALL_TABLES = {"hdfs_inodes", "hdfs_variables"} | {f"t{index}" for index in range(1, len(ORDER))}


def forget_databases(manager: NdbEnvironment) -> None:
    """Let the entries be those of an earlier version, which did not name their database."""
    root(manager, "UPDATE lambda_fs_setup.scripts SET name = SUBSTRING_INDEX(name, '/', -1);")


def test_every_script_runs_once_and_a_second_run_does_nothing(
    manager: NdbEnvironment, folder: Path
) -> None:
    row, ctx = create(manager, folder)
    assert row.action is Action.CREATE
    assert tables(manager) == ALL_TABLES
    again, unchanged = create(manager, folder)
    assert again.action is Action.EXISTS
    assert not unchanged.warnings
    root(manager, "DROP TABLE vanilla_hopsfs.t1, vanilla_hopsfs.hdfs_variables;")
    _, dropped = create(manager, folder)
    (warning,) = dropped.warnings
    assert f"2 of {len(ALL_TABLES)} tables" in warning
    assert "hdfs_variables, t1" in warning
    assert tables(manager) == ALL_TABLES - {"t1", "hdfs_variables"}, "no row of others is touched"
    assert ctx.found["ndb tables"].facts == {"database": "vanilla_hopsfs", "user": "user"}
    assert not ndb_password_path(ctx.config).exists()
    assert not list(manager.disk(0).path("/tmp").glob("tmp.*"))


def test_the_login_is_not_checked_while_the_client_that_decides_it_is_stopped(
    manager: NdbEnvironment, folder: Path
) -> None:
    create(manager, folder, ndb_password="of the image")
    ctx, pool = manager.context(ndb_sql_scripts_dir=str(folder))
    stopped = {"id": "i-3a", "name": "client", "private_ip": "10.0.2.1", "public_ip": None}
    ctx.found |= {
        "mysqld": Found("i-0a", "running"),
        "lambda-fs client": Found("c", "stopped", {"instances": [stopped]}),
    }
    try:
        found = SchemaStep(pool).find(ctx)
        assert found
        assert found.drift == ()
        assert found.state.endswith("; login not checked: client is stopped")
        ctx.found["ndb tables"] = found
        formatted = FormatFileSystem(pool, LAMBDA_FS, needs=()).find(ctx)
        assert formatted
        assert formatted.status == "not checked: client is stopped"
    finally:
        pool.close()


def logs_in(manager: NdbEnvironment, user: str, password: str) -> bool:
    _, pool = manager.context()
    try:
        machine = pool.machine("i-0a", manager.public["i-0a"])
        return authenticates(Mysql(machine, user, password), database="vanilla_hopsfs")
    finally:
        pool.close()


def test_the_password_of_the_clients_replaces_that_of_the_script(
    manager: NdbEnvironment, folder: Path
) -> None:
    create(manager, folder)
    assert logs_in(manager, PUBLISHED.user, PUBLISHED.password)
    assert not logs_in(manager, "user", "from-the-script")


def test_a_configured_password_with_every_quote_works_and_is_in_no_file(
    manager: NdbEnvironment, folder: Path
) -> None:
    password = "a'b\"c\\d#e; $f"
    create(manager, folder, ndb_password=password)
    row, ctx = create(manager, folder, ndb_password=password)
    assert row.action is Action.EXISTS
    assert not ndb_password_path(ctx.config).exists()
    assert password not in repr(ctx.found)


def test_a_login_that_stops_working_is_drift_and_is_set_again(
    manager: NdbEnvironment, folder: Path
) -> None:
    create(manager, folder)
    root(manager, "ALTER USER 'user'@'%' IDENTIFIED BY 'x', 'user'@'localhost' IDENTIFIED BY 'x';")
    row, _ = create(manager, folder)
    assert row.action is Action.UPDATE
    assert row.found
    assert str(row.found.drift[0]) == "database user: refused -> user, as the clients log in"
    assert create(manager, folder)[0].action is Action.EXISTS


def test_the_user_of_an_earlier_version_keeps_its_stored_password(
    manager: NdbEnvironment, folder: Path
) -> None:
    path = ndb_password_path(manager.config())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("generated-1A\n")
    create(manager, folder, ndb_user="lambdafs")
    assert logs_in(manager, "lambdafs", "generated-1A")
    create(manager, folder)
    assert logs_in(manager, "lambdafs", "generated-1A")
    assert logs_in(manager, PUBLISHED.user, PUBLISHED.password)


def test_a_user_whose_password_this_computer_does_not_know_keeps_it(
    manager: NdbEnvironment, folder: Path
) -> None:
    create(manager, folder, ndb_user="lambdafs", ndb_password="of another computer")
    other = {"infrastructure_json_path": str(manager.folder / "other"), "ndb_user": "lambdafs"}
    ctx, pool = manager.context(ndb_sql_scripts_dir=str(folder), **other)
    ctx.found["mysqld"] = Found("i-0a", "running")
    found = SchemaStep(pool).find(ctx)
    with pytest.raises(SetupError, match="is one that this computer does not know") as caught:
        SchemaStep(pool).create(ctx)
    pool.close()
    assert found
    (drift,) = found.drift
    assert str(drift) == (
        "password of lambdafs: one that this computer does not know -> that of the image's user"
    )
    assert drift.fix == caught.value.problems[0].hint
    assert "LAMBDA_FS_NDB_PASSWORD" in drift.fix
    assert logs_in(manager, "lambdafs", "of another computer")


def test_an_sql_error_names_file_and_line_and_a_corrected_script_resumes_there(
    manager: NdbEnvironment, folder: Path
) -> None:
    script = folder / "serverless.sql"
    script.write_text("CREATE TABLE good (id INT PRIMARY KEY);\n\nCREATE TABEL bad (id INT);\n")
    with pytest.raises(SetupError) as caught:
        create(manager, folder)
    problem = caught.value.problems[0]
    assert problem.what == f"{script}, line 3: CREATE TABEL bad (id INT)"
    assert problem.why.startswith("ERROR 1064")
    assert "good" in tables(manager)
    script.write_text(script.read_text().replace("TABEL", "TABLE"))
    row, _ = create(manager, folder)
    assert row.action is Action.UPDATE
    assert "bad" in tables(manager)


def test_a_script_that_ran_and_was_changed_since_is_refused(
    manager: NdbEnvironment, folder: Path
) -> None:
    create(manager, folder)
    with (folder / "schema.sql").open("a") as file:
        file.write("\nDROP TABLE hdfs_inodes$$\n")
    ctx, pool = manager.context(ndb_sql_scripts_dir=str(folder))
    ctx.found["mysqld"] = Found("i-0a", "running")
    found = SchemaStep(pool).find(ctx)
    pool.close()
    assert found
    assert [(drift.what, bool(drift.fix)) for drift in found.drift] == [("schema.sql", True)]


def test_a_run_killed_between_a_statement_and_its_entry_resumes_after_it(
    manager: NdbEnvironment, folder: Path
) -> None:
    create(manager, folder)
    _ctx, pool = manager.context()
    client = Mysql(pool.machine("i-0a", manager.public["i-0a"]), "root")
    schema = next(script for script in load(str(folder)) if script.name == "schema.sql")
    record(client, "vanilla_hopsfs/schema.sql", schema.entry(1, MigrationState.RUNNING))
    client.run("DROP PROCEDURE vanilla_hopsfs.simpleproc;")
    pool.close()
    row, _ = create(manager, folder)
    assert row.action is Action.UPDATE
    assert create(manager, folder)[0].action is Action.EXISTS


def test_a_user_that_exists_already_gets_the_password_of_the_clients(
    manager: NdbEnvironment, folder: Path
) -> None:
    root(manager, "CREATE USER 'user'@'%' IDENTIFIED BY 'theirs';")
    create(manager, folder)
    assert logs_in(manager, PUBLISHED.user, PUBLISHED.password)
    assert create(manager, folder)[0].action is Action.EXISTS


def test_a_user_that_may_not_read_the_state_of_ndb_is_completed(
    manager: NdbEnvironment, folder: Path
) -> None:
    """NameNodes read ndbinfo when they start; the published user may read everything."""
    create(manager, folder)
    root(
        manager,
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'user'@'%', 'user'@'localhost';"
        "GRANT ALL ON vanilla_hopsfs.* TO 'user'@'%', 'user'@'localhost';",
    )
    row, _ = create(manager, folder)
    assert row.found
    assert [drift.has for drift in row.found.drift] == ["may not read ndbinfo"]
    assert create(manager, folder)[0].action is Action.EXISTS


def test_a_table_that_cannot_be_read_is_not_an_empty_one(
    manager: NdbEnvironment, folder: Path
) -> None:
    root(manager, "ALTER USER root@localhost IDENTIFIED BY 'set';")
    with pytest.raises(SqlError) as caught:
        create(manager, folder)
    assert "ndb_root_password" in caught.value.problems[0].hint


def test_without_a_folder_the_step_says_that_it_is_skipped(tmp_path: Path) -> None:
    with ndb_environment(tmp_path, ()) as env:
        ctx, pool = env.context()
        found = SchemaStep(pool).find(ctx)
    assert found
    assert found.skipped.startswith("ndb_sql_scripts_dir")


def test_missing_scripts_are_all_named(tmp_path: Path, folder: Path) -> None:
    (folder / "schema.sql").unlink()
    (folder / "serverless.sql").unlink()
    with ndb_environment(tmp_path, ()) as env:
        ctx, pool = env.context(ndb_sql_scripts_dir=str(folder))
        with pytest.raises(Refused) as caught:
            SchemaStep(pool).find(ctx)
    assert len(caught.value.problems) == 2
    hints = [problem.hint for problem in caught.value.problems]
    assert all("from hops-metadata-dal-impl-ndb/schema" in hint for hint in hints), "another folder"


def test_an_entry_is_compared_with_the_statements_that_ran(folder: Path) -> None:
    schema = next(script for script in load(str(folder)) if script.name == "schema.sql")
    assert schema.matches(schema.entry(2, MigrationState.FAILED))
    assert not schema.matches(schema.entry(2, MigrationState.DONE))
    assert not schema.matches(AppliedScript(MigrationState.FAILED, 2, "0" * 64))


@pytest.mark.parametrize("unnamed", [False, True], ids=["of this version", "of an earlier one"])
def test_another_database_gets_its_own_tables_and_the_first_one_keeps_its_files(
    manager: NdbEnvironment, folder: Path, unnamed: bool
) -> None:
    create(manager, folder)
    root(manager, "INSERT INTO vanilla_hopsfs.hdfs_inodes VALUES (2, 1, 'thesis');")
    if unnamed:
        forget_databases(manager)
    row, ctx = create(manager, folder, ndb_database="second")
    assert row.found
    assert [str(drift) for drift in row.found.drift] == [
        "database: vanilla_hopsfs -> second, made with its tables and without files"
    ]
    (warning,) = ctx.warnings.values()
    assert warning.what == "λFS changes to the database second, which has no files"
    assert warning.hint == "to keep using them, set ndb_database: vanilla_hopsfs"
    assert tables(manager, "second") == ALL_TABLES
    assert ctx.found["ndb tables"].state == "13 of 13 scripts"
    for database in ("second", "vanilla_hopsfs"):
        again, ctx = create(manager, folder, ndb_database=database)
        assert again.action is Action.EXISTS
        assert not ctx.warnings
    assert root(manager, "SELECT name FROM vanilla_hopsfs.hdfs_inodes;") == [["thesis"]]


@pytest.mark.parametrize("unnamed", [False, True], ids=["of this version", "of an earlier one"])
@pytest.mark.parametrize("made_again", [False, True])
def test_a_database_that_was_dropped_by_hand_gets_its_tables_again(
    manager: NdbEnvironment, folder: Path, unnamed: bool, made_again: bool
) -> None:
    create(manager, folder)
    if unnamed:
        forget_databases(manager)
    root(manager, "DROP DATABASE vanilla_hopsfs;")
    if made_again:
        root(manager, "CREATE DATABASE vanilla_hopsfs;")
    row, ctx = create(manager, folder)
    assert row.action is Action.UPDATE
    assert not ctx.warnings
    assert tables(manager) == ALL_TABLES
    assert create(manager, folder)[0].action is Action.EXISTS


def test_an_interrupted_script_of_an_earlier_version_resumes_in_its_database(
    manager: NdbEnvironment, folder: Path
) -> None:
    script = folder / "serverless.sql"
    script.write_text("CREATE TABLE good (id INT PRIMARY KEY);\nCREATE TABEL bad (id INT);\n")
    with pytest.raises(SetupError):
        create(manager, folder)
    forget_databases(manager)
    script.write_text(script.read_text().replace("TABEL", "TABLE"))
    assert create(manager, folder)[0].action is Action.UPDATE
    assert {"good", "bad"} < tables(manager)
    names = {row[0] for row in root(manager, "SELECT name FROM lambda_fs_setup.scripts;")}
    unnamed = {name for name in names if "/" not in name}
    assert unnamed == {"create_user.sql", "database user"}, "the users are those of every database"


def test_scripts_that_name_another_database_are_no_success(
    manager: NdbEnvironment, folder: Path
) -> None:
    root(
        manager,
        "CREATE DATABASE theirs; CREATE USER user@localhost;GRANT ALL ON *.* TO user@localhost;",
    )
    for path in folder.glob("[!c]*.sql"):
        path.write_text(f"USE theirs;\n{path.read_text()}")
    with pytest.raises(SetupError, match="vanilla_hopsfs has no tables although") as caught:
        create(manager, folder)
    assert caught.value.problems[0].why.endswith("schema.sql, line 1: USE theirs")


def test_of_two_databases_a_stopped_client_alone_knows_which_is_the_deployments(
    manager: NdbEnvironment, folder: Path
) -> None:
    create(manager, folder)
    create(manager, folder, ndb_database="second")
    ctx, pool = manager.context(ndb_sql_scripts_dir=str(folder))
    stopped = {"id": "i-3a", "name": "client", "private_ip": "10.0.2.1", "public_ip": None}
    ctx.found |= {
        "mysqld": Found("i-0a", "running"),
        "lambda-fs client": Found("c", "stopped", {"instances": [stopped]}),
    }
    try:
        found = SchemaStep(pool).find(ctx)
    finally:
        pool.close()
    assert found
    assert found.state == "not checked: client is stopped"
