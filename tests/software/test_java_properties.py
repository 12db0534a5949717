"""Java's properties files: only the named keys change, and unusable files are refused."""

from __future__ import annotations

import pytest

from aws_setup.errors import Refused
from aws_setup.software.java_properties import JavaProperties

HOST, USER = "io.hops.metadata.ndb.mysqlserver.host", "io.hops.metadata.ndb.mysqlserver.username"

NDB = b"""\
#Wed Nov 25 \xc3\xa9 io.hops.metadata.ndb.mysqlserver.host=no
! com.mysql.clusterj.connectstring=no
com.mysql.clusterj.connectstring=10.0.0.1:1186

io.hops.metadata.ndb.mysqlserver.host : 10.0.0.1
  io.hops.metadata.ndb.mysqlserver.username\tuser
continued = a\\
      b \\\\
key\\ with\\:signs=va=l:u\\u00e9
only
"""


def parse(data: bytes) -> JavaProperties:
    return JavaProperties.parse(data, source="vm: ndb-config.properties")


def test_values_are_those_that_java_reads() -> None:
    file = parse(NDB)
    assert file.get("com.mysql.clusterj.connectstring") == "10.0.0.1:1186"
    assert (file.get(HOST), file.get(USER)) == ("10.0.0.1", "user")
    assert file.get("continued") == "ab \\"
    assert file.get("key with:signs") == "va=l:ué"
    assert (file.get("only"), file.get("b"), file.get("missing")) == ("", None, None)


def test_only_the_named_keys_change() -> None:
    changes = {HOST: "10.0.6.227", USER: "ada", "continued": " x", "only": "1"}
    data = parse(NDB).with_values(changes)
    expected = (
        NDB.replace(b"host : 10.0.0.1", b"host : 10.0.6.227")
        .replace(b"username\tuser", b"username\tada")
        .replace(b"a\\\n      b \\\\", b"\\ x")
        .replace(b"only\n", b"only=1\n")
    )
    assert data == expected
    assert {key: parse(data).get(key) for key in changes} == changes


def test_a_file_with_the_values_is_the_same_bytes() -> None:
    assert parse(NDB).with_values({HOST: "10.0.0.1", "continued": "ab \\"}) == NDB


@pytest.mark.parametrize(
    "value",
    ["a'b\"c\\d#e; $f", "=x", ": y", " leading", "trailing ", "é€😀", "\t\n\r\f", "#!", ""],
)
@pytest.mark.parametrize("line", [b"k=old", b"k old", b"k", b"k=", b"k = \\\n", b"k=\\"])
def test_java_reads_the_value_that_was_written(line: bytes, value: str) -> None:
    for tail in (b"", b"\n", b"\nnext=1\n"):
        data = parse(line + tail).with_values({"k": value})
        assert parse(data).get("k") == value
        assert data.isascii()
        if tail == b"\nnext=1\n" and not line.endswith(b"\\"):
            assert parse(data).get("next") == "1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"k=v\n"),
        (b"a=1", b"a=1\nk=v\n"),
        (b"a=1\r\n", b"a=1\r\nk=v\r\n"),
        (b"a=1\\", b"a=1\\\n\nk=v\n"),
        (b"a=1\\\n", b"a=1\\\n\nk=v\n"),
        (b"# comment \\\n", b"# comment \\\nk=v\n"),
        (b"# comment \\", b"# comment \\\nk=v\n"),
    ],
)
def test_a_missing_key_is_appended_as_a_line_of_its_own(before: bytes, after: bytes) -> None:
    data = parse(before).with_values({"k": "v"})
    assert data == after
    assert parse(data).get("k") == "v"
    assert parse(data).get("a") == parse(before).get("a")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"k=1\nk : 2\n", "the key k is set 2 times"),
        (b"k=1\n\\u006b=2\n", "the key k is set 2 times"),
        (b"\xef\xbb\xbfk=1\n", "UTF-8 byte order mark"),
        ("k=1\n".encode("utf-16"), "it is UTF-16"),
        ("k=1\n".encode("utf-16-le"), "NUL bytes"),
        ("k=é\n".encode(), "the line of the key k is not ASCII"),
        (b"k=\\u12x4\n", "the invalid escape \\u12x4"),
        (b"k=\\u1\n", "the invalid escape \\u1"),
        (b"k=\\ud83d\n", "half of a surrogate pair"),
    ],
)
def test_an_unusable_file_is_refused_by_name(data: bytes, why: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(data).with_values({"k": "3"})
    problem = caught.value.problems[0]
    assert problem.what == "vm: ndb-config.properties cannot be edited"
    assert why in problem.why
    assert problem.hint
    assert "3" not in str(caught.value)


def test_another_line_that_is_unusable_is_no_obstacle() -> None:
    data = parse("b=é\nc=\\u1\nk=1\n".encode()).with_values({"k": "2"})
    assert data == "b=é\nc=\\u1\nk=2\n".encode()
