"""Progress of uploads: figures, plain lines, and the bar of a terminal."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from aws_setup.engine.plan import Row
from aws_setup.engine.runner import EventKind, StepEvent, apply
from aws_setup.engine.step import Action, Found, RunContext, Step
from aws_setup.engine.wait import Pending
from aws_setup.report.progress import live, plain
from aws_setup.report.upload_progress import MIB, Meter, bar, counted
from tests.support.clock import RecordingClock


def event(
    kind: EventKind, index: int = 0, *, text: str = "", id: str = "", size: int = 0
) -> StepEvent:
    return StepEvent(0.0, kind, f"namenode{index}", Action.CREATE, text, id, size)


def test_the_meter_shows_bytes_rate_and_time_left() -> None:
    meter = Meter(4, 40 * MIB, now=100.0)
    meter.take(event(EventKind.PROGRESS, size=10 * MIB))
    meter.take(event(EventKind.DONE))
    assert meter.text(102.0) == "1 of 4, 10 of 40 MiB, 5.0 MiB/s, 6 s left"


def test_bytes_of_a_failed_attempt_do_not_count() -> None:
    meter = Meter(4, 40 * MIB, now=0.0)
    meter.take(event(EventKind.PROGRESS, size=8 * MIB))
    meter.take(event(EventKind.PROGRESS, size=-8 * MIB))
    assert meter.text(1.0) == "0 of 4, 0 of 40 MiB, 0.0 MiB/s"


def test_without_bytes_only_steps_are_counted() -> None:
    meter = Meter(1, 0, now=0.0)
    meter.take(event(EventKind.DONE))
    assert meter.text(1.0) == "1 of 1"


def lines(*, quiet: bool) -> str:
    console = Console(file=io.StringIO(), width=200)
    with counted(console, 4, 40 * MIB, quiet=quiet) as tell:
        tell(event(EventKind.START))
        tell(event(EventKind.PROGRESS, size=MIB))
        tell(event(EventKind.NOTE, text="retrying: HTTP 503"))
        tell(event(EventKind.DONE, id="version 0.0.1"))
        tell(event(EventKind.FAILED, 1, text="HTTP 403"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_show_ends_and_retries() -> None:
    text = lines(quiet=False)
    assert len(text.splitlines()) == 3
    assert "namenode0: retrying: HTTP 503" in text
    assert "namenode0: created version 0.0.1" in text
    assert "(2 of 4, 1 of 40 MiB" in text


def test_quiet_shows_failures_only() -> None:
    text = lines(quiet=True)
    assert len(text.splitlines()) == 1
    assert "namenode1: failed: HTTP 403" in text


def test_the_bar_moves_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, no_color=True)
    with bar(console, 4, 40 * MIB) as tell:
        for index in range(4):
            tell(event(EventKind.PROGRESS, index, size=10 * MIB))
        for index in range(3):
            tell(event(EventKind.DONE, index))
        tell(event(EventKind.FAILED, 3, text="HTTP 403"))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "4 of 4" in text
    assert "40.0/40.0 MiB" in text
    assert "failed: HTTP 403" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "made",
    [
        "arn:aws:iam::000000000000:role/lambda-fs-eks-cluster-role-of-a-long-name",
        "https://a0123456789abcdef0123456789abcde-1234567890.us-east-1.elb.amazonaws.com",
        "sgr-0123456789abcdef0, sgr-0123456789abcdef1, sgr-0123456789abcdef2, sgr-last0123456789",
    ],
)
def test_an_id_that_its_row_cuts_is_whole_below_the_table(made: str) -> None:
    console = Console(file=Terminal(), width=80, force_terminal=True, legacy_windows=False)
    with live(console, {"eks cluster role": (), "vpc": ()}) as tell:
        for name, number in (("eks cluster role", made), ("vpc", "vpc-1")):
            tell(StepEvent(0.0, EventKind.START, name, Action.CREATE))
            tell(StepEvent(0.0, EventKind.DONE, name, Action.CREATE, id=number))
    assert isinstance(console.file, Terminal)
    text = console.file.getvalue()
    assert "…" in text, "the row itself is cut"
    for word in made.split():
        assert word in text
    assert "vpc: created vpc-1" not in text, "what fits is not repeated"


def test_a_failure_is_not_repeated_below_the_table() -> None:
    console = Console(file=Terminal(), width=80, force_terminal=True, legacy_windows=False)
    with live(console, {"vpc": ()}) as tell:
        tell(StepEvent(0.0, EventKind.START, "vpc", Action.CREATE))
        tell(StepEvent(0.0, EventKind.FAILED, "vpc", Action.CREATE, text="denied " * 20))
    assert isinstance(console.file, Terminal)
    assert "vpc: failed" not in console.file.getvalue()


class Alternating(Step[RunContext]):
    """Its wait has two states in turn, and ends at its deadline."""

    name = "api"

    def find(self, ctx: RunContext) -> Found | None:
        return None

    def create(self, ctx: RunContext) -> Found:
        return Found("api", ready=False)

    def wait(self, ctx: RunContext, found: Found) -> Found:
        states = itertools.cycle(("HTTP 503", "timed out"))
        return ctx.wait_until("it answers", lambda: Pending(next(states)), deadline=9, pause=1)


def test_states_of_a_wait_that_alternate_are_one_line_each_and_the_present_one_is_live() -> None:
    printed, seen = io.StringIO(), list[str]()
    ctx = RunContext(clock=RecordingClock())
    terminal = Console(file=io.StringIO(), width=120, force_terminal=True, no_color=True)
    with (
        plain(Console(file=printed, width=120), {}, {}, quiet=False) as line,
        live(terminal, {"api": ()}) as table,
    ):

        def tell(event: StepEvent) -> None:
            line(event)
            table(event)
            if event.kind in (EventKind.NOTE, EventKind.AGAIN):
                shown = io.StringIO()
                Console(file=shown, width=120).print(table)
                seen.append(shown.getvalue())

        apply([Row(Alternating(), Action.CREATE)], ctx, tell=tell, stop=lambda: None)
    texts = ("api: HTTP 503", "api: timed out")
    assert [printed.getvalue().count(text) for text in texts] == [1, 1]
    assert len(seen) == 10
    assert all(("HTTP 503", "timed out")[number % 2] in row for number, row in enumerate(seen))
