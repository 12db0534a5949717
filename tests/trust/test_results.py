"""Equal states are recovered from once, and the tables say so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.trust import snapshot, story
from tests.trust.cliffs import ENDS_RUN, Cliff, Kind
from tests.trust.groups import AGAIN, TOGETHER, Plan, Tries, _try, batches, numbered
from tests.trust.results import Recoveries, Result, first_order, read, record, table

DENIED = Result("cliffs", "create: denied x #1", "create", "denied", 2.0, state="s", recovered=True)


def cliff(number: int, phase: str = "create") -> Cliff:
    return Cliff(phase, "x", number, Kind.THROTTLED)


def tries(path: Path, *, every: bool = False) -> Tries:
    return Tries(Plan(every=every), path, number=9, recoveries=Recoveries(path))


def test_from_an_equal_state_of_the_same_command_is_not_recovered_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    tried = tries(path)
    assert tried.known(cliff(1), "s") is None, "nothing is known yet"
    record(path, DENIED)
    ends = [tried.known(cliff(number), "s") for number in range(20 * AGAIN)]
    assert set(ends) == {"", None}
    assert 5 <= ends.count(None) <= 40, "one in twenty is recovered from all the same"
    every = tries(path, every=True)
    assert {every.known(cliff(number), "s") for number in range(9)} == {None}
    assert {tried.known(cliff(number), "other") for number in range(9)} == {None}
    assert {tried.known(cliff(number, "pause"), "s") for number in range(9)} == {None}


def test_what_another_process_has_written_in_part_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    tried = Recoveries(path)
    record(path, DENIED)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert tried.end("create", "s") is None
    path.write_bytes(content)
    assert tried.end("create", "s") == ""
    record(path, Result(**{**vars(DENIED), "case": "c", "state": "t"}))
    assert (tried.end("create", "t"), tried.end("create", "s")) == ("", "")


def test_processes_share_the_kills_in_the_order_of_the_first_ones_run(tmp_path: Path) -> None:
    results = tmp_path / "build" / "results.jsonl"
    writes = ["a", "b", "a", "c"]
    assert first_order(results, "create", writes) == tuple(writes)
    order = first_order(results, "create", ["c", "a", "a", "b"])
    assert order == tuple(writes), "parallel steps wrote in another order"
    assert first_order(results, "pause", ["x"]) == ("x",)
    every = [Cliff("create", name, at, kind) for name, at in numbered(writes) for kind in Kind]
    shares = [Plan(shard=at, shards=2).select(every, set(), order=order) for at in range(2)]
    assert sorted(map(str, (*shares[0], *shares[1]))) == sorted(map(str, every))
    kills = [
        [(cliff.write, cliff.number) for cliff in share if cliff.kind in ENDS_RUN]
        for share in shares
    ]
    assert kills == [[("a", 1)] * 2 + [("b", 1)] * 2, [("a", 2)] * 2 + [("c", 1)] * 2]


def test_what_was_not_survived_is_not_survived_from_an_equal_state_either(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    record(path, Result(**{**vars(DENIED), "failure": "run again: exit code 1"}))
    tried = tries(path)
    ends = {tried.known(cliff(number), "s") for number in range(60)} - {None}
    assert ends == {"as after create: denied x #1: run again: exit code 1"}


def test_the_table_counts_runs_and_states(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    record(path, DENIED)
    record(path, Result(**{**vars(DENIED), "case": "b", "column": "throttled", "recovered": False}))
    record(path, Result(**{**vars(DENIED), "case": "c", "state": "t"}))
    found = read(path)
    assert all(result.commit for result in found)
    text = table(found)
    assert "The 3 disturbances left 2 different states" in text
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


def lost(write: str, number: int = 1) -> Cliff:
    return Cliff("create", write, number, Kind.LOST)


def test_lost_answers_share_runs_but_never_those_of_one_name() -> None:
    every = [lost(f"aws {name}", number) for name in "abcde" for number in (1, 2)]
    every += [lost(f"helm {name}") for name in "abcde"]
    made = batches(every)
    assert sorted(str(one) for batch in made for one in batch) == sorted(map(str, every))
    assert max(map(len, made)) == TOGETHER
    for batch in made:
        assert len({one.write for one in batch}) == len(batch), "its next call is the same again"
        assert sum(one.write.startswith("helm") for one in batch) <= 2


def test_lost_answers_that_a_shared_run_does_not_survive_are_tried_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.jsonl"
    unused: Any = None
    bad, late, good = lost("bad"), lost("late"), lost("good")

    def together(_: Any, cliffs: list[Cliff], *__: Any) -> dict[Cliff, story.Outcome]:
        fine = {it: story.Outcome("", "s") for it in cliffs if it is not late}
        return {} if bad in cliffs else fine

    def alone(_: Any, one: Cliff, *__: Any) -> story.Outcome:
        return story.Outcome("run again: exit code 1" if one is bad else "", "s", recovered=True)

    monkeypatch.setattr(story, "attempt_together", together)
    monkeypatch.setattr(story, "attempt", alone)
    assert _try(unused, [good, late], unused, tries(path)) == 0
    assert [(it.case, it.recovered) for it in read(path)] == [
        (str(good), False),
        (str(late), True),
    ]
    path.unlink()
    assert _try(unused, [good, bad, late], unused, tries(path)) == 1
    ends = {it.case: it.survived for it in read(path)}
    assert ends == {str(good): True, str(bad): False, str(late): True}
