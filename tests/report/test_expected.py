"""What a wait usually takes, what is said when it takes twice that, and when a run is done."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from aws_setup.aws.usual_times import USUAL
from aws_setup.engine.history import RunRecord, RunStarted
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.engine.wording import count_of
from aws_setup.report import plan_table
from aws_setup.report.expected import Forecast, rounded, usual_times
from aws_setup.report.progress import _Plain, _Table, live, plain
from aws_setup.verify.namenode_checks import start_text

NEEDS: dict[str, tuple[str, ...]] = {
    "vpc": (),
    "eks cluster": ("vpc",),
    "nat gateway": ("vpc",),
    "core-nodes": ("eks cluster", "nat gateway"),
}
TIMES = {"eks cluster": 540.0, "nat gateway": 110.0, "core-nodes": 120.0}
TODAY = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def event(kind: EventKind, step: str, text: str = "", *, action: Action = Action.CREATE) -> Any:
    return StepEvent(0.0, kind, step, action, text)


def record(step: str, seconds: float, *, action: Action = Action.CREATE) -> RunRecord:
    began = StepEvent(1.0, EventKind.START, step, action)
    ended = StepEvent(1.0 + seconds, EventKind.DONE, step, action)
    return RunRecord(RunStarted("create", "s"), (began, ended))


def test_the_times_of_earlier_runs_count_before_those_of_aws() -> None:
    create = {"eks cluster": Action.CREATE, "vpc": Action.CREATE, "ssh": Action.EXISTS}
    assert usual_times(create, []) == {"eks cluster": USUAL[Action.CREATE]["eks cluster"]}
    earlier = [record("eks cluster", seconds) for seconds in (90, 600, 640, 620, 9999, 630)]
    earlier += [record("eks cluster", 3, action=Action.EXISTS), record("vpc", 2)]
    assert usual_times(create, earlier) == {"eks cluster": 630, "vpc": 2}
    assert usual_times({"eks cluster": Action.DELETE}, earlier) == {"eks cluster": 150}
    assert usual_times(create, [], pace=0) == {}, "a cloud without delays has no usual times"
    fast = usual_times(create, [], pace=1 / 60)
    assert fast["eks cluster"] == pytest.approx(560 / 60)


def forecast(**started: float) -> Forecast:
    return Forecast(NEEDS, TIMES, {name.replace("_", " "): at for name, at in started.items()})


def test_a_wait_shows_what_it_usually_takes() -> None:
    run = forecast(eks_cluster=100.0, vpc=90.0)
    assert run.elapsed("eks cluster", 350.0) == "4 min 10 s of about 9 min"
    assert run.elapsed("vpc", 92.0) == "2 s"
    assert run.elapsed("core-nodes", 350.0) == ""
    run.ended["eks cluster"] = 400.0
    assert run.elapsed("eks cluster", 900.0) == "5 min"


def test_a_run_ends_with_its_critical_path() -> None:
    run = forecast(vpc=0.0)
    assert run.remaining(0.0) == 660.0
    run.ended["vpc"] = 5.0
    run.started |= {"eks cluster": 5.0, "nat gateway": 5.0}
    assert run.remaining(65.0) == 600.0
    run.ended["nat gateway"] = 100.0
    assert run.remaining(600.0) == 120.0, "a wait that takes a little longer ends at once"
    text = run.summary(245.0, 0.0, today=TODAY)
    done = datetime(2026, 11, 27, 12, 7, tzinfo=UTC).astimezone().strftime("%H:%M")
    assert text == f"2 of 4 steps, 4 min 5 s of about 11 min, done at about {done}"
    assert 0.36 < run.fraction(245.0, 0.0) < 0.38


def test_after_twice_the_usual_time_nothing_is_promised_and_what_to_check_is_said() -> None:
    run = forecast(eks_cluster=0.0)
    assert not run.is_late("eks cluster", 1079.0)
    assert run.is_late("eks cluster", 1080.0)
    assert run.remaining(1080.0) is None
    assert "done at" not in run.summary(1080.0, 0.0, today=TODAY)
    assert "more than twice its usual 9 min; check `aws eks" in run.late_text("eks cluster")
    assert "`status`" in run.late_text("core-nodes") or "kubectl" in run.late_text("core-nodes")
    run.ended["eks cluster"] = 1090.0
    assert not run.is_late("eks cluster", 2000.0)


def test_without_known_times_nothing_is_guessed() -> None:
    run = Forecast(NEEDS, {}, {"vpc": 0.0})
    assert run.remaining(10.0) is None
    assert run.summary(10.0, 0.0, today=TODAY) == "0 of 4 steps, 10 s"
    circular = Forecast({"a": ("b",), "b": ("a",)}, {"a": 30.0, "b": 30.0})
    assert circular.remaining(0.0) == 60.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "10 s"), (87, "1 min 30 s"), (129, "2 min"), (540, "9 min")]
)
def test_usual_times_are_round(seconds: float, text: str) -> None:
    assert rounded(seconds) == text


def output(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_in_a_pipe_a_line_a_minute_says_what_is_waited_for() -> None:
    console = Console(file=io.StringIO(), width=80)
    shown = _Plain(console, NEEDS, TIMES, quiet=False)
    now = time.monotonic()
    shown.tick(now)
    assert output(console) == "", "nothing runs yet"
    shown(event(EventKind.START, "ssh", action=Action.EXISTS))
    for step in ("nat gateway", "eks cluster"):
        shown(event(EventKind.START, step))
        shown(event(EventKind.NOTE, step, "CREATING"))
    shown.tick(now + 250)
    line = output(console).splitlines()[-1]
    assert "eks cluster: CREATING, 4 min 10 s of about 9 min (0 of 4 steps" in line
    for late in (1100, 1160):
        shown.tick(now + late)
    text = output(console)
    assert text.count("eks cluster: it takes more than twice its usual 9 min") == 1
    shown(event(EventKind.DONE, "eks cluster"))
    shown(event(EventKind.FAILED, "nat gateway", "no address"))
    before = output(console)
    shown.tick(now + 1200)
    assert output(console) == before


def test_a_quiet_run_has_no_thread_and_the_others_end_theirs() -> None:
    console = Console(file=io.StringIO(), width=80)
    for quiet in (True, False):
        with plain(console, NEEDS, TIMES, quiet=quiet) as tell:
            tell(event(EventKind.NOTE, "eks cluster", "CREATING"))
    assert output(console).count("CREATING") == 1


def test_a_terminal_shows_the_bar_and_the_usual_time() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, no_color=True)
    with live(console, NEEDS, TIMES) as tell:
        tell(event(EventKind.START, "eks cluster"))
        tell(event(EventKind.NOTE, "eks cluster", "CREATING"))
        assert isinstance(tell, _Table)
        console.print(tell)
    text = output(console)
    assert "of about 9 min" in text
    assert "░░░" in text
    assert "done at about" in text
    assert "waits for eks cluster, nat gateway" in text


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_run_that_expects_no_change_has_no_bar_and_names_a_change_all_the_same() -> None:
    console = Console(file=Terminal(), width=80, no_color=True)
    with live(console, {}, {}):
        pass
    assert output(console) == ""
    with live(console, {}, {}) as tell:
        tell(event(EventKind.DONE, "client configuration", action=Action.UPDATE))
    assert "client configuration: updated" in output(console)


def test_a_step_that_turned_out_to_need_a_change_counts_as_one_more() -> None:
    shown = _Plain(Console(file=io.StringIO()), {"a": ()}, {}, quiet=True)
    shown(event(EventKind.DONE, "a"))
    shown(event(EventKind.DONE, "client configuration", action=Action.UPDATE))
    summary = shown._forecast.summary(1.0, 0.0, today=datetime.now(UTC))
    assert summary.startswith("2 of 2 steps")
    assert shown._forecast.fraction(1.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("text", "one", "many"),
    [
        (lambda n: count_of(n, "inode"), "1 inode", "2 inodes"),
        (lambda n: count_of(n, "file or folder", "files and folders"), "1 file or folder", ""),
        (lambda n: start_text([2.0] * n, number=n), "1 cold start of 2.0 s", "2 cold starts of"),
        (plan_table._count, "1 step; -v lists it", "2 steps; -v lists them"),
    ],
)
def test_one_of_a_kind_is_not_plural(text: Callable[[int], str], one: str, many: str) -> None:
    assert text(1) == one
    assert text(2).startswith(many)
