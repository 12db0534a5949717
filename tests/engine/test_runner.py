"""Tests of the runner: its order, its limits, failures, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from aws_setup.engine.graph import Limits, run_graph
from aws_setup.engine.plan import Row, inspect_all, removal_needs
from aws_setup.engine.runner import EventKind, StepEvent, apply
from aws_setup.engine.step import Action, Drift, Found, RunContext, Step
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted, SetupError


def nothing() -> None:
    """Do nothing when the run is stopped."""


@dataclass(frozen=True)
class FakeResource(Step[RunContext]):
    """A step that exists as soon as it was created; `work` runs in its create and delete."""

    name: str
    needs: tuple[str, ...] = ()
    work: Callable[[RunContext], None] = lambda _: None

    def find(self, ctx: RunContext) -> Found | None:
        return None

    def create(self, ctx: RunContext) -> Found:
        self.work(ctx)
        return Found(f"id of {self.name}")

    def delete(self, ctx: RunContext, found: Found) -> None:
        self.work(ctx)


def failing(_: RunContext) -> None:
    raise ValueError("no")


def test_no_more_jobs_than_workers_run_at_a_time() -> None:
    lock, full, running, most = threading.Lock(), threading.Event(), [0], [0]

    def work(_: str) -> bool:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == 3:
                full.set()
        full.wait(240)
        with lock:
            running[0] -= 1
        return True

    names: dict[str, set[str]] = {f"job {index}": set() for index in range(30)}
    assert run_graph(names, work, stop=nothing, limits=Limits(workers=3)) == []
    assert most[0] == 3


def noting(done: list[str]) -> Callable[[str], bool]:
    """Return work that notes its name and succeeds."""

    def work(name: str) -> bool:
        done.append(name)
        return True

    return work


@pytest.fixture
def thread_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what limits the threads of the pool, as `ulimit -u` and a container do."""
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def limit(most: int) -> None:
        def limited(thread: threading.Thread) -> None:
            if thread.name.startswith("step"):
                if len(started) >= most:
                    raise RuntimeError("can't start new thread")
                started.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)

    return limit


@pytest.mark.timeout(60)
def test_where_no_thread_can_be_started_the_run_ends_with_the_fix(
    thread_limit: Callable[[int], None],
) -> None:
    done: list[str] = []
    thread_limit(0)
    with pytest.raises(SetupError, match="limit of processes and threads is reached") as caught:
        run_graph({"a": set(), "b": set()}, noting(done), stop=nothing)
    assert "ulimit -u" in caught.value.problems[0].hint
    assert done == []


@pytest.mark.timeout(60)
def test_where_few_threads_can_be_started_they_do_every_job_once(
    thread_limit: Callable[[int], None],
) -> None:
    thread_limit(2)
    done: list[str] = []
    names: dict[str, set[str]] = {f"job {index:02}": set() for index in range(30)}
    assert run_graph(names, noting(done), stop=nothing) == []
    assert sorted(done) == list(names)


def test_after_a_failure_independent_jobs_run_unless_fail_fast() -> None:
    needs: dict[str, set[str]] = {"a": set(), "b": set(), "c": {"b"}, "d": {"a"}}
    done: list[str] = []

    def work(name: str) -> bool:
        done.append(name)
        return name != "a"

    one_at_a_time = Limits(workers=1)
    assert run_graph(needs, work, stop=nothing, limits=one_at_a_time) == ["d"]
    assert done == ["a", "b", "c"]
    done.clear()
    fail_fast = Limits(workers=1, fail_fast=True)
    assert run_graph(needs, work, stop=nothing, limits=fail_fast) == ["b", "c", "d"]
    assert done == ["a"]


def test_ctrl_c_waits_for_running_jobs_and_a_second_one_aborts_them() -> None:
    stopped, aborted, entered = threading.Event(), threading.Event(), threading.Event()
    started: list[str] = []

    def work(name: str) -> bool:
        started.append(name)
        entered.set()
        return aborted.wait(240)

    main = threading.main_thread().ident or 0

    def press() -> None:
        entered.wait(240)
        signal.pthread_kill(main, signal.SIGINT)
        stopped.wait(240)
        signal.pthread_kill(main, signal.SIGINT)  # in the moment in which the main thread blocks

    def signal_main(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal_main)
    threading.Thread(target=press, daemon=True).start()
    try:
        with pytest.raises(Interrupted):
            run_graph(
                {"a": set(), "b": set()},
                work,
                stop=stopped.set,
                limits=Limits(workers=1, abort=aborted.set),
            )
    finally:
        signal.signal(signal.SIGINT, before)
    assert started == ["a"]
    assert aborted.is_set()


def test_a_cycle_and_an_unknown_need_are_errors() -> None:
    with pytest.raises(ValueError, match="not in the graph"):
        run_graph({"a": {"b"}}, lambda _: True, stop=nothing)
    with pytest.raises(ValueError, match="cycle"):
        run_graph({"a": {"b"}, "b": {"a"}}, lambda _: True, stop=nothing)


def run(
    rows: list[Row], *, limits: Limits | None = None
) -> tuple[list[StepEvent], dict[str, Action]]:
    """Apply rows; return the events and what was done."""
    events: list[StepEvent] = []
    ctx = RunContext(clock=SystemClock(pace=0))
    outcome = apply(rows, ctx, tell=events.append, stop=nothing, limits=limits)
    return events, outcome.done


def test_a_plan_creates_and_deletes_in_one_run() -> None:
    rows = [
        Row(FakeResource("new"), Action.CREATE),
        Row(FakeResource("surplus"), Action.DELETE, Found("1")),
        Row(FakeResource("same"), Action.EXISTS, Found("2")),
    ]
    events, done = run(rows)
    assert done == {"new": Action.CREATE, "surplus": Action.DELETE, "same": Action.EXISTS}
    ids = {event.step: event.id for event in events if event.kind is EventKind.DONE}
    assert ids == {"new": "id of new", "surplus": "1", "same": "2"}


@dataclass(frozen=True)
class Unwanted(FakeResource):
    """A resource that should not exist."""

    surplus: bool = True


@pytest.mark.parametrize("follows", [(), ("unwanted",)])
def test_what_should_not_exist_and_does_not_is_never_created(follows: tuple[str, ...]) -> None:
    rows = [
        Row(Unwanted("unwanted", work=failing), Action.EXISTS),
        Row(Following("new", follows=follows), Action.CREATE),
    ]
    _, done = run(rows)
    assert done == {"unwanted": Action.EXISTS, "new": Action.CREATE}


@dataclass(frozen=True)
class Following(FakeResource):
    """A resource that follows others."""

    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed(Step[RunContext]):
    """A step whose state is a figure in the world; `work` changes the world."""

    name: str
    world: dict[str, int]
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    drifts: bool = False

    def find(self, ctx: RunContext) -> Found | None:
        drift = (Drift("figure", "old", "new"),) if self.drifts and not self.world["n"] else ()
        return Found(self.name, str(self.world["n"]), drift=drift)

    def create(self, ctx: RunContext) -> Found:
        self.world["n"] += 1
        return Found(self.name, str(self.world["n"]))


@dataclass(frozen=True)
class Stuck(Observed):
    """A step that a change of the world makes impossible."""

    def find(self, ctx: RunContext) -> Found | None:
        drift = (Drift("figure", str(self.world["n"]), "0", "begin again"),)
        return Found(self.name, str(self.world["n"]), drift=drift if self.world["n"] else ())


@pytest.mark.kind("D1")
@pytest.mark.parametrize("link", ["needs", "follows"])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_what_depends_on_a_change_is_inspected_again_through_any_chain(
    link: str, length: int
) -> None:
    world = {"n": 0}
    changed = Observed("changed", world, drifts=True)
    chain = [Observed("0", world, **{link: ("changed",)})]  # type: ignore[arg-type]
    for index in range(1, length):
        chain.append(Observed(str(index), world, **{link: (str(index - 1),)}))  # type: ignore[arg-type]
    aside = Observed("aside", world)
    ctx = RunContext(clock=SystemClock(pace=0))
    rows = inspect_all([changed, *chain, aside], ctx, stop=nothing)
    outcome = apply(rows, ctx, tell=lambda _: None, stop=nothing)
    assert {ctx.found[step.name].state for step in chain} == {"1"}
    assert ctx.found["aside"].state == "0"
    assert {outcome.done[step.name] for step in chain} == {Action.EXISTS}


@pytest.mark.kind("D1")
@pytest.mark.parametrize("before", [Action.EXISTS, Action.UPDATE, Action.UNKNOWN])
def test_what_a_change_has_made_impossible_is_no_success(before: Action) -> None:
    world = {"n": 0}
    rows = [
        Row(Observed("changed", world), Action.CREATE),
        Row(Stuck("stuck", world, needs=("changed",)), before, Found("stuck", "0")),
        Row(Observed("after", world, needs=("stuck",)), Action.EXISTS, Found("after", "0")),
    ]
    ctx = RunContext(clock=SystemClock(pace=0))
    outcome = apply(rows, ctx, tell=lambda _: None, stop=nothing)
    assert "figure is 1, but 0" in str(outcome.failed["stuck"])
    assert outcome.blocked == ["after"]
    assert outcome.done == {"changed": Action.CREATE}


@pytest.mark.kind("D1")
def test_what_depends_on_something_deleted_is_inspected_again() -> None:
    world = {"n": 0}
    gone = FakeResource("surplus", work=lambda _: world.update(n=1))
    rows = [
        Row(gone, Action.DELETE, Found("1")),
        Row(Observed("after", world, needs=("surplus",)), Action.EXISTS, Found("after", "0")),
    ]
    ctx = RunContext(clock=SystemClock(pace=0))
    apply(rows, ctx, tell=lambda _: None, stop=nothing)
    assert ctx.found["after"].state == "1"


def test_what_a_step_sends_is_an_event_with_bytes() -> None:
    events, _ = run([Row(FakeResource("upload", work=lambda ctx: ctx.progress(64)), Action.CREATE)])
    sent = [event for event in events if event.kind is EventKind.PROGRESS]
    assert [(event.step, event.action, event.bytes) for event in sent] == [
        ("upload", Action.CREATE, 64)
    ]


def test_fail_fast_blocks_every_step_that_has_not_started() -> None:
    rows = [Row(FakeResource(name, work=failing), Action.CREATE) for name in ("a", "b", "c")]
    events, done = run(rows, limits=Limits(workers=1, fail_fast=True))
    assert done == {}
    kinds = {event.step: event.kind for event in events}
    assert kinds == {"a": EventKind.FAILED, "b": EventKind.BLOCKED, "c": EventKind.BLOCKED}


def test_removal_follows_needs_backwards_also_through_steps_that_are_gone() -> None:
    rows = [
        Row(FakeResource("vpc"), Action.EXISTS, Found("1")),
        Row(FakeResource("subnet", needs=("vpc",)), Action.CREATE),
        Row(FakeResource("vm", needs=("subnet",)), Action.EXISTS, Found("3")),
    ]
    assert removal_needs(rows) == {"vpc": {"vm"}, "vm": set()}


@pytest.mark.timeout(120)
def test_ten_thousand_independent_steps_take_no_minutes() -> None:
    rows = [Row(FakeResource(f"step {index}"), Action.CREATE) for index in range(10_000)]
    _, done = run(rows, limits=Limits(workers=4, fail_fast=True))
    assert len(done) == 10_000


@pytest.mark.timeout(60)
def test_ten_thousand_steps_behind_a_failed_one_name_it_in_no_minutes() -> None:
    first = Row(FakeResource("first", work=failing), Action.CREATE)
    rest = [
        Row(FakeResource(f"step {index}", needs=("first",)), Action.CREATE)
        for index in range(10_000)
    ]
    events: list[StepEvent] = []
    apply([first, *rest], RunContext(clock=SystemClock()), tell=events.append, stop=nothing)
    told = [event.text for event in events if event.kind is EventKind.BLOCKED]
    assert told == ["not started: first failed"] * 10_000
