"""Spans, the critical path, and the timeline as text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from aws_setup.engine.graph import transitive_reduction
from aws_setup.engine.history import RunEnded, RunRecord, RunStarted
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.report.timeline import (
    SpanOutcome,
    critical_path,
    path_seconds,
    scaled,
    spans,
    text_timeline,
    total_seconds,
)

NEEDS = {
    "vpc": (),
    "subnet": ("vpc",),
    "role": (),
    "cluster": ("subnet", "role"),
    "machine": ("subnet",),
    "software": ("machine",),
}
TIMES = {
    "vpc": (0.0, 2.0),
    "role": (0.0, 9.0),
    "subnet": (2.0, 3.0),
    "cluster": (9.5, 600.0),
    "machine": (3.0, 60.0),
    "software": (60.0, 200.0),
}


def recorded(
    times: dict[str, tuple[float, float]] | None = None,
    *more: StepEvent,
    action: Action = Action.CREATE,
    end: RunEnded | None = None,
) -> RunRecord:
    """Return a run over NEEDS in which each step took its time."""
    happened = list(more)
    for step, (start, stop) in (TIMES if times is None else times).items():
        happened.append(StepEvent(start, EventKind.START, step, action))
        happened.append(StepEvent(stop, EventKind.DONE, step, action, id=f"{step}-1"))
    happened.sort(key=lambda event: event.at)
    return RunRecord(RunStarted("create", "s", needs=NEEDS), tuple(happened), end)


def test_spans_have_times_outcomes_and_ids() -> None:
    found = {span.step: span for span in spans(recorded())}
    assert {step: (span.start, span.end) for step, span in found.items()} == TIMES
    assert {span.outcome for span in found.values()} == {SpanOutcome.CREATED}
    assert found["vpc"].id == "vpc-1"
    assert total_seconds(recorded()) == 600


def test_the_critical_path_follows_the_need_that_ended_last() -> None:
    path = critical_path(recorded())
    assert [link.span.step for link in path] == ["role", "cluster"]
    assert [link.waited_for for link in path] == ["", "role"]
    assert path[1].idle == pytest.approx(0.5)
    assert path_seconds(path) == pytest.approx(9 + 590.5)


def test_the_critical_path_uses_actual_times() -> None:
    slow = TIMES | {"software": (60.0, 900.0)}
    path = critical_path(recorded(slow))
    assert [link.span.step for link in path] == ["vpc", "subnet", "machine", "software"]


def test_the_critical_path_runs_through_the_step_that_another_follows() -> None:
    record = recorded({"cluster": (0.0, 600.0), "machine": (1.0, 605.0), "vpc": (1.0, 500.0)})
    head = replace(record.head, follows={"machine": ("cluster", "vpc")})
    path = critical_path(replace(record, head=head))
    assert [(link.span.step, link.waited_for) for link in path] == [
        ("cluster", ""),
        ("machine", "cluster"),
    ]
    assert path_seconds(path) == pytest.approx(605), "no second is counted twice"


def test_failed_unfinished_and_blocked_steps() -> None:
    end = RunEnded("interrupted", 50.0, 1)
    record = recorded(
        {"vpc": (0.0, 2.0)},
        StepEvent(2.0, EventKind.START, "subnet", Action.CREATE),
        StepEvent(4.0, EventKind.FAILED, "subnet", text="quota"),
        StepEvent(1.0, EventKind.START, "role", Action.UPDATE),
        StepEvent(49.0, EventKind.BLOCKED, "machine"),
        end=end,
    )
    found = {span.step: span for span in spans(record)}
    assert (found["subnet"].outcome, found["subnet"].text) == (SpanOutcome.FAILED, "quota")
    assert (found["role"].outcome, found["role"].end) == (SpanOutcome.UNFINISHED, 50.0)
    assert (found["machine"].outcome, found["machine"].seconds) == (SpanOutcome.BLOCKED, 0)
    assert [link.span.step for link in critical_path(record)] == ["role"]


@pytest.mark.parametrize("action", [Action.UPDATE, Action.DELETE, Action.EXISTS])
def test_the_outcome_follows_from_the_action(action: Action) -> None:
    expected = {Action.UPDATE: "updated", Action.DELETE: "deleted", Action.EXISTS: "exists"}
    assert {span.outcome for span in spans(recorded(action=action))} == {expected[action]}


def test_an_existing_step_that_was_waited_for_is_drawn() -> None:
    waited = [
        StepEvent(0.0, EventKind.START, "cluster", Action.EXISTS),
        StepEvent(300.0, EventKind.DONE, "cluster", Action.EXISTS, id="c"),
        StepEvent(0.0, EventKind.START, "vpc", Action.EXISTS),
        StepEvent(0.1, EventKind.DONE, "vpc", Action.EXISTS, id="v"),
    ]
    lines = text_timeline(recorded({}, *waited))
    assert re.search(r"^cluster +5 min  █+$", lines[1])
    assert lines[2] == "1 more existed already."
    found = {span.step: (span.acted, span.changed) for span in spans(recorded({}, *waited))}
    assert found == {"cluster": (True, False), "vpc": (False, False)}


def test_a_run_without_events_has_no_path() -> None:
    record = recorded({})
    assert (spans(record), critical_path(record), total_seconds(record)) == ([], [], 0)
    assert text_timeline(record) == ["create: nothing to do, 0 steps existed"]


def test_a_rehearsed_run_on_the_clouds_clock() -> None:
    record = scaled(recorded(end=RunEnded("ok", 600.0, 3)), 60)
    assert total_seconds(record) == 36_000
    assert record.end
    assert record.end.seconds == 36_000


@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_text_fits_a_terminal_and_marks_the_path(ascii_only: bool) -> None:
    lines = text_timeline(recorded(), ascii_only=ascii_only)
    assert max(map(len, lines)) <= 80
    dark, light = "#-" if ascii_only else "█░"
    by_step = {line.split()[0]: line for line in lines}
    assert dark in by_step["cluster"]
    assert dark not in by_step["machine"]
    assert light in by_step["machine"]
    assert re.search(r"cluster +9 min 50 s  ", by_step["cluster"])
    assert "9 min 60 s" not in "".join(lines)
    assert lines[-1].startswith(f"{dark} critical path, 10 min of 10 min;")
    assert ascii_only is "".join(lines).isascii()


def test_the_text_names_unsuccessful_steps_and_omits_existing_ones() -> None:
    record = recorded(
        {"vpc": (0.0, 2.0)},
        StepEvent(0.0, EventKind.START, "role"),
        StepEvent(0.0, EventKind.DONE, "role"),
        StepEvent(2.0, EventKind.START, "subnet", Action.CREATE),
        StepEvent(4.0, EventKind.FAILED, "subnet", text="quota"),
        StepEvent(4.0, EventKind.BLOCKED, "machine"),
        StepEvent(
            2.0, EventKind.START, "a step with a name that is longer than its column", Action.CREATE
        ),
    )
    lines = text_timeline(record)
    by_step = {line.split()[0]: line for line in lines}
    assert max(map(len, lines)) <= 80
    assert by_step["subnet"].endswith("failed")
    assert by_step["machine"].endswith("not started")
    assert by_step["a"].endswith("unfinished")
    assert "role" not in by_step
    assert "1 more existed already." in lines


def test_needs_that_follow_from_other_needs_are_omitted() -> None:
    needs = {"vpc": {"subnet", "machine", "disk"}, "subnet": {"machine", "disk"}}
    needs |= {"machine": {"disk"}, "disk": set()}
    expected = {"vpc": ["subnet"], "subnet": ["machine"], "machine": ["disk"], "disk": []}
    assert transitive_reduction(needs) == expected
