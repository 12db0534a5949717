"""Equal states are recovered from once, and the tables say so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.trust import snapshot
from tests.trust.cliffs import Cliff, Kind
from tests.trust.groups import AGAIN, Plan, _known
from tests.trust.results import Result, read, record, table

DENIED = Result("cliffs", "create: denied x #1", "create", "denied", 2.0, state="s", recovered=True)


def cliff(number: int, phase: str = "create") -> Cliff:
    return Cliff(phase, "x", number, Kind.THROTTLED)


def test_from_an_equal_state_of_the_same_command_is_not_recovered_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert _known(Plan(), path, cliff(1), "s") is None, "nothing is known yet"
    record(path, DENIED)
    ends = [_known(Plan(), path, cliff(number), "s") for number in range(20 * AGAIN)]
    assert set(ends) == {"", None}
    assert 5 <= ends.count(None) <= 40, "one in twenty is recovered from all the same"
    assert {_known(Plan(every=True), path, cliff(number), "s") for number in range(9)} == {None}
    assert {_known(Plan(), path, cliff(number), "other") for number in range(9)} == {None}
    assert {_known(Plan(), path, cliff(number, "pause"), "s") for number in range(9)} == {None}


def test_what_was_not_survived_is_not_survived_from_an_equal_state_either(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    record(path, Result(**{**vars(DENIED), "failure": "run again: exit code 1"}))
    ends = {_known(Plan(), path, cliff(number), "s") for number in range(60)} - {None}
    assert ends == {"as after create: denied x #1: run again: exit code 1"}


def test_the_table_counts_runs_and_states(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    record(path, DENIED)
    record(path, Result(**{**vars(DENIED), "case": "b", "column": "throttled", "recovered": False}))
    record(path, Result(**{**vars(DENIED), "case": "c", "state": "t"}))
    found = read(path)
    assert all(result.commit for result in found)
    text = table(found)
    assert "Each of the 3 disturbed runs was run; they left 2 different states" in text
    assert "| create |  |  |  | 1 of 1 | 2 of 2 |  |" in text


def test_the_table_says_how_many_there_are(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    record(path, Result(**{**vars(DENIED), "of": 441}))
    assert "| create | 1 of 441 |  |  |  |  | 1 of 1 |  |" in table(read(path))


def test_what_the_user_keeps_may_be_as_before_or_as_after_the_command() -> None:
    before, after = Counter(["vpc"]), Counter(["vpc", "local .kube/config"])
    assert snapshot.outside(before, after, before) == ""
    assert snapshot.outside(before, after, after) == ""
    assert snapshot.outside(before, after, Counter()) != ""
    assert snapshot.outside(before, after, after + Counter(["subnet"])) != ""
