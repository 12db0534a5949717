"""Damaged inputs of every reader, the same in each run; `python -m tests.trust --fuzz` has more."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from aws_setup.errors import SetupError
from tests.trust.fuzz import search as fuzz_search
from tests.trust.fuzz.adapters import Reader, machine, on_file, openwhisk
from tests.trust.fuzz.mutate import EDGES
from tests.trust.fuzz.readers import READERS
from tests.trust.fuzz.search import search

EXAMPLES = 25

pytestmark = pytest.mark.kind("C5", "C7")


@pytest.mark.parametrize("name", READERS)
def test_damaged_input_is_a_value_or_an_error_with_a_fix(name: str) -> None:
    assert search(*READERS[name], number=EXAMPLES, seed=name) == ""


def _foreign(data: bytes, _: Path) -> None:
    assert data in EDGES or b"=" in data


def _slow(data: bytes, _: Path) -> None:
    began = time.thread_time()
    while data == b"null" and time.thread_time() - began < 1.1:
        pass


def _blocked(data: bytes, _: Path) -> None:
    if data == b"null":
        threading.Event().wait(0.2)


def test_a_search_finds_an_input_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_search, "BLOCKED", 0.1)
    assert "it blocked for" in search(b"a = b", _blocked, number=EXAMPLES, seed="x")


def _without_fix(_: bytes, __: Path) -> None:
    raise SetupError("it is wrong")


def _write(path: Path) -> None:
    path.unlink()
    raise SetupError("it is wrong", hint="mend it")


def _write_on_machine(data: bytes, _: Path) -> None:
    machine(data).run(["rm", "/a"])


def _write_to_openwhisk(data: bytes, _: Path) -> None:
    openwhisk(data).delete("namenode0")


@pytest.mark.parametrize(
    ("reader", "why"),
    [(_foreign, "data=b'"), (_slow, "s of CPU time"), (_without_fix, "without a fix"),
     (on_file(_write), "a write before the refusal"),
     (_write_on_machine, "a command on a machine may change something: ['rm', '/a']"),
     (_write_to_openwhisk, "Written: DELETE")],
)  # fmt: skip
def test_a_search_finds_what_no_user_should_meet(reader: Reader, why: str) -> None:
    assert why in search(b"a = b", reader, number=EXAMPLES, seed="x")
