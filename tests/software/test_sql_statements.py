"""SQL scripts are split as by the mysql client."""

from __future__ import annotations

import pytest

from aws_setup.rehearsal.environment import SCHEMA
from aws_setup.software.sql.statements import digest, split


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        ("a; b;", ["a", "b"]),
        ("a;\n\n-- c;\nb", ["a", "b"]),
        ("a ';' ; b \"x;\" `y;`;", ["a ';'", 'b "x;" `y;`']),
        ("a 'it''s; \\'; ' ;b;", ["a 'it''s; \\'; '", "b"]),
        ("/* one; */ a; # two;\nb;", ["a", "b"]),
        ("/*!40101 SET NAMES utf8 */;", ["/*!40101 SET NAMES utf8 */"]),
        ("DELIMITER //\na; b//\ndelimiter ;\nc;", ["a; b", "c"]),
        ("a--b;c -- d\n;", ["a--b", "c"]),
        ("a;\r\nb;\r\n", ["a", "b"]),
        (";;  ;\n", []),
    ],
)
def test_statements(script: str, texts: list[str]) -> None:
    assert [" ".join(statement.text.split()) for statement in split(script)] == texts


def test_lines_are_those_of_the_file() -> None:
    assert [statement.line for statement in split(SCHEMA)] == [4, 9, 12]


def test_use_and_set_are_context() -> None:
    kinds = [s.context for s in split("USE db; SET a=1; /*!40101 SET b=2 */; CREATE TABLE t;")]
    assert kinds == [True, True, True, False]


def test_comments_do_not_change_the_digest_and_text_does() -> None:
    assert digest(split("a; -- x\nb;")) == digest(split("a;\nb; # y"))
    assert digest(split("a; b;")) != digest(split("a; c;"))


def test_the_start_of_a_statement_never_shows_a_password() -> None:
    statement = split("CREATE USER u IDENTIFIED\nBY 'hush';")[0]
    assert statement.start == "CREATE USER u IDENTIFIED …"
    assert statement.secret
