"""The errors of remote commands and of many machines at once."""

from __future__ import annotations

import tracemalloc

import pytest

from aws_setup.errors import SetupError
from aws_setup.ssh.errors import (
    SHOWN_LINES,
    ConnectStage,
    RemoteError,
    Unreachable,
    combine_errors,
    last_lines,
)


def test_a_failed_command_shows_its_last_lines() -> None:
    output = "\n".join(f"line {number}" for number in range(9))
    error = RemoteError("vm", "make", code=2, output=output)
    assert error.lines == tuple(f"line {number}" for number in range(9 - SHOWN_LINES, 9))
    assert error.problems[0].why.startswith("exit code 2: line 4 | line 5")


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("cat: write error: No space left on device", "free space"),
        ("sudo: a password is required", "without a password"),
        ("sudo: a terminal is required to read the password", "without a password"),
        ("", "fix the cause"),
    ],
)
def test_the_fix_follows_from_the_output(output: str, hint: str) -> None:
    assert hint in RemoteError("vm", "make", code=1, output=output).problems[0].hint


def test_many_errors_become_one_with_all_problems() -> None:
    errors = [
        Unreachable(f"vm-{number}", ConnectStage.PORT, "it refuses", "wait") for number in range(3)
    ]
    combined = combine_errors(errors)
    assert combined.problems[0].what == "vm-0 cannot be reached (port) (and 2 more)"
    assert [problem.what for problem in combined.problems[1:]] == [
        "vm-1 cannot be reached (port)",
        "vm-2 cannot be reached (port)",
    ]
    only = SetupError("a", "b", "c")
    assert combine_errors([only]) is only


@pytest.mark.kind("C4")
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        (" \n\t\n", ()),
        ("a", ("a",)),
        ("\na\n\n b \r\n", ("a", "b")),
        ("a\nb\nc\nd\n", ("b", "c", "d")),
        ("1 %\r2 %\r3 %\r4 %", ("2 %", "3 %", "4 %")),
        ("x" * 100 + "\ny", ("x" * 100, "y")),
    ],
)
def test_the_last_lines_are_those_that_are_not_blank(text: str, lines: tuple[str, ...]) -> None:
    assert last_lines(text, 3) == lines


@pytest.mark.kind("C4")
def test_an_error_about_much_output_needs_no_memory_for_its_lines() -> None:
    output = "first\n" * 1_400_000
    tracemalloc.start()
    error = RemoteError("m", "yes first", code=1, output=output)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(error.lines) == {"first"}
    assert most < 1_000_000, "with a string for each line it is 100 MB"
