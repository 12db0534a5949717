"""Files that others can write: refused by line, soon, whatever they contain."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from aws_setup.config import bounded_yaml, file_warnings, load_config
from aws_setup.config.yaml_source import read_entries
from aws_setup.errors import Problem, Refused

FILLED = b"ssh_keypair_name: k\nssh_key_path: /k.pem\n"
SOON = 3.0
"""Seconds: a refusal takes 0.1 s; without the limits these files take minutes or the memory."""


def problems(tmp_path: Path, content: bytes) -> tuple[Problem, ...]:
    path = tmp_path / "config_aws.yaml"
    path.write_bytes(content + FILLED)
    began = time.process_time()
    with pytest.raises(Refused) as caught:
        load_config(path)
    assert time.process_time() - began < SOON
    return caught.value.problems


def bomb(levels: int) -> bytes:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines).encode() + b"\n"


@pytest.mark.kind("C6")
@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (bomb(9), 5, "with its aliases it stands for more than"),
        (b"a: &a\n  - *a\n", 1, "inside its own anchor"),
        (b"x: " + b"[" * 400 + b"]" * 400 + b"\n", 1, "nested deeper"),
        (b"x: " + b"{a: " * 400 + b"}" * 400 + b"\n", 1, "nested deeper"),
        (b"x:\n" + b"".join(b" " * n + b"- \n" for n in range(1, 300)), 33, "nested deeper"),
        (b"x: " + b"[" * 100_000, 1, "nested deeper"),
        (b"? " * 400 + b"a\n", 1, "nested deeper"),
        (b"x: [" + b"a, " * 60_000 + b"a]\n", 1, "more than 20000 values"),
        (b"# comment\n" * 30_000, 0, "longer than 256 KB"),
        (b"vpc_name: ok\nvpc_cidr: \x00\n", 2, "U+0000 is not allowed"),
        (b"vpc_name: ok\nx: \xff\xfe\n", 2, "0xff is not UTF-8"),
        (b"a: 1\n\tb: 2\n", 2, "invalid YAML"),
        (b"a: !!python/object/apply:os.system [x]\n", 1, "no such key"),
        (b"<<: {vpc_name: x}\n", 1, "no such key"),
    ],
    ids=lambda value: value[:12].decode("ascii", "replace") if isinstance(value, bytes) else None,
)
def test_a_hostile_file_is_refused_by_line(
    tmp_path: Path, content: bytes, line: int, why: str
) -> None:
    first, *_ = problems(tmp_path, content)
    assert why in first.why
    assert first.what.startswith(f"config_aws.yaml:{line}" if line else "config_aws.yaml")


@pytest.mark.kind("C6", "C13")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (r'ssh_config_path: "/a\0b"', "U+0000"),
        (r'vpc_name: "a\eb"', "U+001B"),
        ('ndb_password: "a\\nb"', "U+000A"),
        ("ndb_password: |\n  secret", "U+000A"),
        ('ndb_root_password: "a\\rb"', "U+000D"),
        ('ndb_user: "user\\n"', "U+000A"),
        ('zk_node_public_IPs: ["1.2.3.4\\n"]', "U+000A"),
        ("num_ndb_datanodes: " + "9" * 5000, ""),
        ("vpc_name: !vault x", "the tag !vault is not supported"),
        ("tags: {a: !env x}", "the tag !env is not supported"),
        ("vpc_name: !!binary aGVsbG8=", "the tag !!binary is not supported"),
        ("tags: !!set {a, b}", "the tag !!set is not supported"),
        ("tags: {<<: {a: b}}", "the merge key << is not supported"),
        ("tags: {[a, b]: c}", "a key must be a plain word"),
        ("tags: {? {a: b} : c}", "a key must be a plain word"),
    ],
)
def test_a_value_that_no_key_may_have_is_named(tmp_path: Path, text: str, why: str) -> None:
    found, *_ = problems(tmp_path, text.encode() + b"\n")
    key = text.partition(":")[0]
    assert found.what.startswith("config_aws.yaml:1:")
    assert key in found.what
    assert why in found.why
    assert len(found.why) < 300
    assert "secret" not in str(found)


@pytest.mark.kind("C6")
def test_a_key_set_twice_inside_a_value_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    path.write_text("x:\n  - {a: b, 'a': c}\n  - {a: 1, b: 1}\n")
    [(_, entry)], _ = read_entries(path)
    [(position, why, _)] = entry.unusable(natural=True)
    assert (str(position), why) == ("config_aws.yaml:2:12", "the key a is set twice")


@pytest.mark.kind("C6")
def test_unknown_keys_by_the_thousand_and_of_any_length(tmp_path: Path) -> None:
    many = b"".join(b"some_unknown_key_%d: 1\n" % n for n in range(2000))
    assert "more than 1000 keys" in problems(tmp_path, many)[0].why
    long = problems(tmp_path, b"k" * 100_000 + b": 1\n")[0]
    assert len(long.what) < 200


@pytest.mark.kind("C6")
def test_byte_order_marks_and_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    text = FILLED.decode().replace("\n", "\r\n")
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert load_config(path).ssh_keypair_name == "k"


@pytest.mark.kind("C6", "C7")
def test_damaged_yaml_raises_nothing_but_its_own_error() -> None:
    dice = random.Random(7)
    seed = b"a: &x [1, {b: 'c'}]\nd: *x\ne: |\n  t\nf: 2026-01-02\n? g\n: !!int 7\n\"h\": 0x1f\n"
    pieces = [
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b"&",
        b"*",
        b"!",
        b"\x00",
        b"\xff",
        b"\n",
        b"\t",
        b"<<: ",
    ]
    for _ in range(1500):
        content = bytearray(seed)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(content))
            content[at : at + dice.randint(0, 4)] = dice.choice(pieces)
        try:
            bounded_yaml.load(bytes(content))
        except bounded_yaml.BadYaml as error:
            assert error.why
            assert error.hint


@pytest.mark.kind("C13")
@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_password_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    path.write_bytes(FILLED + b"ndb_password: hush\n")
    path.chmod(0o644)
    (warning,) = file_warnings(path)
    assert "ndb_password" in warning.what
    assert "644" in warning.why
    assert "chmod 600" in warning.hint
    assert "hush" not in str(warning)
    path.chmod(0o600)
    assert file_warnings(path) == []
    path.write_bytes(FILLED)
    path.chmod(0o644)
    assert file_warnings(path) == []
