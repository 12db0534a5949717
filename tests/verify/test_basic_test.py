"""What BasicTest prints, and what the check says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.verify import basic_test
from aws_setup.verify.basic_test import Before, judge
from aws_setup.verify.check import Broken, NotApplicable

FINE = "[SUCCESS] Everything appears to be working!\n"
EMPTY = Before(0)


def counted(text: str, number: int) -> str:
    return (
        f"[ERROR] The directory should contain {text}, not {number}.\nSomething is going wrong!\n"
    )


def test_an_empty_file_system_ends_with_success() -> None:
    assert judge(FINE * 4, code=0, before=EMPTY) == "[SUCCESS], with 10 files"
    assert judge(FINE, code=0, before=EMPTY), "as of the BasicTest that only creates one file"


@pytest.mark.parametrize("before", [Before(3), None])
def test_entries_that_were_there_before_are_no_failure(before: Before | None) -> None:
    output = counted("1 file", 4) + counted("2 files now", 5) + FINE + counted("no files now", 3)
    text = judge(output, code=0, before=before)
    assert text.startswith("no [ERROR] but those of the")
    assert judge(counted("1 file", 4), code=0, before=before) == text, "which has no [SUCCESS]"


@pytest.mark.parametrize(
    ("output", "before"),
    [
        (counted("1 file", 0), EMPTY),
        (counted("1 file", 0), None),
        (counted("1 file", 2), EMPTY),
        (counted("1 file", 3), Before(3)),
        (counted("1 file", 5), Before(3)),
        (counted("no files now", 1), EMPTY),
        (FINE + counted("10 file(s)", 9), Before(3)),
        (FINE + counted("10 file(s)", 13), Before(3)),
        (FINE + "[ERROR] something else\n", Before(3)),
    ],
)
def test_another_number_of_entries_is_a_failure(output: str, before: Before | None) -> None:
    with pytest.raises(Broken, match="ERROR") as broken:
        judge(output, code=0, before=before)
    assert broken.value.cause == next(line for line in output.splitlines() if "[ERROR]" in line)


def test_files_that_an_interrupted_test_has_left_are_no_failure() -> None:
    output = counted("1 file", 2) + FINE + counted("10 file(s)", 60) + FINE
    assert judge(output, code=0, before=Before(0, folders=1, left=50))
    with pytest.raises(Broken, match="60"):
        judge(output, code=0, before=Before(0, folders=1, left=40))


def test_an_exception_is_the_cause_and_not_a_number_that_was_expected() -> None:
    output = counted("1 file", 4) + 'Exception in thread "main" java.io.IOException: no answer\n'
    with pytest.raises(Broken, match="IOException: no answer"):
        judge(output, code=1, before=Before(3))
    with pytest.raises(Broken, match="it printed nothing"):
        judge("", code=0, before=EMPTY)


def test_what_the_file_system_held_is_counted_before_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[str] = []

    def query(_: Any, sql: str) -> list[list[str]]:
        happened.append(sql)
        return [["3"], ["0"], ["0"]]

    def run(command: list[str], **_: Any) -> Any:
        happened.append(command[2])
        return SimpleNamespace(code=0, stdout=counted("1 file", 4) + FINE, stderr="")

    def without(_: Any, __: str) -> list[list[str]]:
        raise NotApplicable("the NDB manager is not part of this deployment")

    chain: Any = SimpleNamespace(client=SimpleNamespace(run=run))
    monkeypatch.setattr(basic_test, "query", query)
    assert "3 entries that / held before" in basic_test.check(chain)
    assert happened == [basic_test._COUNTS, basic_test.COMMAND]
    monkeypatch.setattr(basic_test, "query", without)
    assert "the entries that / held before" in basic_test.check(chain)
