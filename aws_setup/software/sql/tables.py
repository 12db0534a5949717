"""The tables that the scripts leave behind, and which of them a database lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from aws_setup.software.sql.client import NO_DATABASE, NO_TABLE, Mysql, SqlError, literal
from aws_setup.software.sql.scripts import SqlScript

_LEADING = r"(?:\s|--[^\n]*\n|\#[^\n]*\n|/\*.*?\*/)*"
"""What may precede a statement: white space and comments."""

_CREATED = re.compile(
    rf"{_LEADING}CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?`?(\w+)`?", re.I | re.S
)
_REMOVED = re.compile(
    rf"{_LEADING}(?:(?:DROP|RENAME)\s+TABLES?\s|ALTER\s+TABLE\s+\S+\s+RENAME\b)", re.I | re.S
)


def tables_of(scripts: Iterable[SqlScript]) -> list[str]:
    """Return the tables that scripts leave behind, in the order in which they make them."""
    names: list[str] = []
    for script in scripts:
        for statement in script.statements:
            if created := _CREATED.match(statement.text):
                names.append(created[1])
            elif _REMOVED.match(statement.text):
                words = set(re.findall(r"\w+", statement.text))
                names = [name for name in names if name not in words]
    return list(dict.fromkeys(names))


def missing_tables(names: Sequence[str], database: str, root: Mysql) -> list[str]:
    """Return those of the tables that a database does not have."""
    rows = root.run(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA={literal(database)};"  # nosec B608
    )
    known = {row[0].lower() for row in rows}
    return [name for name in names if name.lower() not in known and _lacks(name, database, root)]


def _lacks(name: str, database: str, root: Mysql) -> bool:
    """Say whether there is no table, which NDB may have before this server knows it."""
    try:
        # Names of tables are word characters; that of the database is checked by the configuration.
        root.run(f"SELECT 1 FROM `{database}`.`{name}` LIMIT 1;")  # nosec B608
    except SqlError as error:
        if error.code in {NO_DATABASE, NO_TABLE}:
            return True
        raise
    return False
