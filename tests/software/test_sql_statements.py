"""SQL scripts are split as by the mysql client."""

from __future__ import annotations

import time
from collections.abc import Callable

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


HUGE: dict[str, Callable[[int], str]] = {
    "one long insert": lambda size: "INSERT t VALUES " + "(1,'a;b'),\n" * (size // 11) + "(2);",
    "one long text": lambda size: f"INSERT INTO t VALUES ('{'x;' * (size // 2)}');",
    "many statements": lambda size: "a;\n" * (size // 3),
    "blanks": lambda size: " " * size + "a;",
    "escaped quotes, never closed": lambda size: "'" + "\\'" * (size // 2),
    "comments, never closed": lambda size: "/* " * (size // 3),
    "dashes": lambda size: "-" * size + ";",
    "slashes": lambda size: "/" * size + ";",
    "quotes": lambda size: "'" * size,
    "lines": lambda size: "\n" * size + "a;",
}


@pytest.mark.kind("C8")
@pytest.mark.parametrize("kind", HUGE)
def test_a_script_of_twice_the_size_takes_about_twice_as_long(kind: str) -> None:
    def seconds(size: int) -> float:
        script = HUGE[kind](size)
        began = time.process_time()
        split(script)
        return time.process_time() - began

    small, large = (min(seconds(size) for _ in range(3)) for size in (60_000, 480_000))
    # Eight times the size: linear is 8, quadratic 64.
    assert large < 30 * small + 0.05


@pytest.mark.kind("C8")
def test_a_dump_of_4_mb_is_split() -> None:
    rows = ",\n".join(f"({n},'it''s; \\'{n}\\'')" for n in range(200_000))
    first, second = split(f"INSERT INTO t VALUES {rows};\nSELECT 1;")
    assert first.text.endswith("(199999,'it''s; \\'199999\\'')")
    assert (second.text, second.line) == ("SELECT 1", 200_001)


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        ("a 'not; closed", ["a 'not; closed"]),
        ("a /* not; closed", ["a"]),
        ("delimiter $$\na - b / c; $ d$$\ne", ["a - b / c; $ d", "e"]),
        ("DELIMITER ]]\na; [b]]]\nc]]", ["a; [b", "]\nc"]),
        ("a -- b\\\n;'\\\\';c", ["a \n", "'\\\\'", "c"]),
    ],
)
def test_unusual_delimiters_and_ends(script: str, texts: list[str]) -> None:
    assert [s.text for s in split(script)] == [text.strip() for text in texts]
