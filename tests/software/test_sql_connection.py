"""A connection that is lost in the middle of a script, against a real MariaDB over real SSH."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action, Found
from aws_setup.errors import SetupError
from aws_setup.rehearsal.environment import write_scripts
from aws_setup.rehearsal.vms.namespace_vms import missing_requirement
from aws_setup.software.ndb.mysqld import start_mysqld
from aws_setup.software.sql.client import Mysql
from aws_setup.software.sql.schema_step import SchemaStep
from aws_setup.ssh.pool import MachinePool
from tests.support.ndb import VMS, NdbEnvironment, mariadb_template, ndb_environment, run

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        missing_requirement() != "", reason=missing_requirement() or "machines run here"
    ),
]

SLOW = """\
CREATE TABLE before_it (id INT PRIMARY KEY);
DO SLEEP(3);
CREATE TABLE after_it (id INT PRIMARY KEY);
CREATE TABLE last_one (id INT PRIMARY KEY);
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[NdbEnvironment]:
    with ndb_environment(tmp_path, VMS[:1], mariadb_template()) as made:
        _ctx, pool = made.context()
        start_mysqld(pool.machine("i-0a", made.public["i-0a"]))
        pool.close()
        (write_scripts(tmp_path / "sql", user="lambdafs") / "serverless.sql").write_text(SLOW)
        yield made


def root(manager: NdbEnvironment, sql: str) -> list[list[str]]:
    _ctx, pool = manager.context()
    try:
        return Mysql(pool.machine("i-0a", manager.public["i-0a"]), "root").run(sql)
    finally:
        pool.close()


def create(manager: NdbEnvironment, breaking: list[MachinePool] | None = None) -> Row:
    ctx, pool = manager.context(ndb_sql_scripts_dir=str(manager.folder / "sql"))
    ctx.found["mysqld"] = Found("i-0a", "running")
    if breaking is not None:
        breaking.append(pool)
    try:
        return run(ctx, [SchemaStep(pool)])["ndb tables"]
    finally:
        pool.close()


def break_in_the_middle(manager: NdbEnvironment, reached: list[MachinePool]) -> None:
    """Close the run's connections while the server works on the slow statement."""
    working = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%';"
    for _ in range(200):
        if root(manager, working) == [["1"]]:
            break
        time.sleep(0.05)
    reached[0].close()


def test_a_run_right_after_a_broken_connection_waits_for_the_old_session_and_finishes(
    manager: NdbEnvironment,
) -> None:
    reached: list[MachinePool] = []
    breaker = threading.Thread(target=break_in_the_middle, args=(manager, reached))
    breaker.start()
    with pytest.raises(SetupError) as caught:
        create(manager, reached)
    breaker.join()
    assert caught.value.problems[0].hint
    assert create(manager).action is Action.UPDATE
    assert "waiting for the statements that an earlier run has sent" in manager.notes
    assert create(manager).action is Action.EXISTS
    existing = {row[0] for row in root(manager, "SHOW TABLES FROM vanilla_hopsfs;")}
    assert {"before_it", "after_it", "last_one"} <= existing
