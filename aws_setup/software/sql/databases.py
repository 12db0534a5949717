"""The databases of the cluster: which one is empty, and which entries count for one."""

from __future__ import annotations

from collections.abc import Mapping

from aws_setup.config import Config
from aws_setup.config.software import SQL_SCRIPTS
from aws_setup.software.sql import migrations
from aws_setup.software.sql.client import NO_DATABASE, NO_TABLE, Mysql, SqlError, literal
from aws_setup.software.sql.migrations import AppliedScript

INODES = "hdfs_inodes"
"""The table of the files; schema.sql makes it, and every later version has it."""


def count_inodes(database: str, root: Mysql) -> int | None:
    """Return the number of files and folders, including the root; None without the table."""
    try:
        # The name of the database is checked by the configuration: letters, digits and _.
        rows = root.run(f"SELECT COUNT(*) FROM `{database}`.{INODES};")  # nosec B608
    except SqlError as error:
        if error.code in {NO_DATABASE, NO_TABLE}:
            return None
        raise
    return int(rows[0][0])


def is_empty(database: str, root: Mysql) -> bool:
    """Tell whether a database does not exist, or has neither tables nor procedures."""
    # A table that NDB has and this server does not know yet becomes known when it is read.
    if count_inodes(database, root) is not None:
        return False
    name = literal(database)
    rows = root.run(
        "SELECT (SELECT COUNT(*) FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA={name}) + (SELECT COUNT(*) FROM "  # nosec B608
        f"information_schema.ROUTINES WHERE ROUTINE_SCHEMA={name});"
    )
    return rows == [["0"]]


def databases_with_files(root: Mysql) -> list[str]:
    """Return the names of the databases that have the table of the files, sorted."""
    rows = root.run(
        f"SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME='{INODES}';"  # nosec B608
    )
    return sorted(row[0] for row in rows)


def how_to_make_tables(config: Config, database: str) -> str:
    """Return the fix where tables of a database are missing, without the command that follows."""
    if not config.ndb_sql_scripts_dir:
        return SQL_SCRIPTS
    if not config.populate_mysql_ndb_tables:
        return "set populate_mysql_ndb_tables: True"
    return (
        "restore them; or, to lose all files and start again, run as MySQL's root on the NDB "
        f"manager: DROP DATABASE `{database}`"
    )


def recorded_database(entries: Mapping[str, AppliedScript]) -> str | None:
    """Return the only database that entries name, '' where they name none; None for several."""
    names = {name.partition("/")[0] for name in entries if "/" in name}
    return None if len(names) > 1 else next(iter(names), "")


def prepare_entries(database: str, root: Mysql) -> dict[str, AppliedScript]:
    """Create the table of applied scripts, and return the entries that count for a database.

    What an earlier version has written without a database is noted as this one's where it counts.
    Entries of a database that is empty are deleted: it was dropped, or emptied by hand.
    """
    entries = migrations.create_table(root)
    known = migrations.applied_in(entries, database)
    own = [name for name in entries if name.startswith(migrations.key_of("", database=database))]
    if is_empty(database, root):
        migrations.delete(root, own)
        return migrations.of_all_databases(known)
    if not own:
        unnamed = [name for name in known if name not in migrations.OF_ALL_DATABASES]
        migrations.assign(root, unnamed, database=database)
    return known
