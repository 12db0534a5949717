"""Tests of steps that follow others: they are requested early, and waited for in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from aws_setup.engine.plan import Row, dependants, inspect_all, only, removal_needs
from aws_setup.engine.runner import EventKind, StepEvent, apply, jobs_of
from aws_setup.engine.step import Action, Drift, Found, RunContext, Step
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import SetupError


def nothing() -> None:
    """Do nothing when the run is stopped."""


@dataclass(frozen=True)
class Resource(Step[RunContext]):
    """A step that is usable after a wait; its functions run in create and wait."""

    name: str
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    on_create: Callable[[], None] = nothing
    on_wait: Callable[[], None] = nothing
    current: Callable[[], Found | None] = lambda: None

    def find(self, ctx: RunContext) -> Found | None:
        return self.current()

    def create(self, ctx: RunContext) -> Found:
        self.on_create()
        return Found(self.name, "requested", ready=False)

    def wait(self, ctx: RunContext, found: Found) -> Found:
        self.on_wait()
        return Found(self.name, "usable")


def run(*steps: Resource) -> tuple[RunContext, list[StepEvent], list[str], dict[str, Exception]]:
    """Apply a table of new resources; return context, events, blocked and failed steps."""
    ctx = RunContext(clock=SystemClock())
    events: list[StepEvent] = []
    outcome = apply(inspect_all(steps, ctx, stop=nothing), ctx, tell=events.append, stop=nothing)
    return ctx, events, outcome.blocked, outcome.failed


def test_a_follower_is_requested_while_the_run_waits_for_what_it_follows() -> None:
    requested = threading.Event()
    order: list[str] = []

    def wait_for_nodes() -> None:
        assert requested.wait(240), "the release was not requested while the nodes were started"
        order.append("nodes")

    ctx, events, blocked, failed = run(
        Resource("nodes", on_wait=wait_for_nodes),
        Resource(
            "release",
            follows=("nodes",),
            on_create=requested.set,
            on_wait=lambda: order.append("release"),
        ),
        Resource("api", needs=("release",), on_create=lambda: order.append("api")),
    )
    assert (blocked, failed) == ([], {})
    assert order == ["nodes", "release", "api"], "waits are in order, a need is usable before"
    assert {found.state for found in ctx.found.values()} == {"usable"}
    ends = [event.step for event in events if event.kind is EventKind.DONE]
    assert ends == ["nodes", "release", "api"]


def test_what_follows_a_failure_is_requested_and_not_waited_for() -> None:
    requested = threading.Event()

    def fail() -> None:
        requested.wait(240)
        raise SetupError("the nodes did not join", "no capacity", "try another zone")

    waited: list[str] = []
    ctx, events, blocked, failed = run(
        Resource("nodes", on_wait=fail),
        Resource(
            "release",
            follows=("nodes",),
            on_create=requested.set,
            on_wait=lambda: waited.append("release"),
        ),
        Resource("api", needs=("release",)),
    )
    assert list(failed) == ["nodes"], "the first cause is the only failure"
    assert blocked == ["release", "api"]
    assert not waited
    assert ctx.found["release"].state == "requested", "it exists: receipt and destroy know it"
    assert [event.step for event in events if event.kind is EventKind.BLOCKED] == blocked


def test_a_request_that_fails_is_a_failure_and_not_blocked() -> None:
    def fail() -> None:
        raise SetupError("refused", "", "")

    _, _, blocked, failed = run(
        Resource("nodes", on_create=fail), Resource("release", follows=("nodes",))
    )
    assert (list(failed), blocked) == (["nodes"], ["release"])


def test_a_follower_is_inspected_again_after_a_change() -> None:
    drift = (Drift("host", "a", "b"),)
    seen: list[str] = []

    def release() -> Found:
        seen.append("release")
        return Found("release", drift=drift if len(seen) > 1 else ())

    ctx = RunContext(clock=SystemClock())
    steps = [Resource("nodes"), Resource("release", follows=("nodes",), current=release)]
    outcome = apply(inspect_all(steps, ctx, stop=nothing), ctx, tell=lambda _: None, stop=nothing)
    assert outcome.done == {"nodes": Action.CREATE, "release": Action.UPDATE}


TABLE = (Resource("nodes"), Resource("release", follows=("nodes",)), Resource("beside"))


def test_only_and_destroy_treat_a_followed_step_as_a_need() -> None:
    assert [step.name for step in only(TABLE, ["release"])] == ["nodes", "release"]
    assert dependants(TABLE, ["nodes"]) == {"nodes", "release"}
    rows = [Row(step, Action.EXISTS, Found(step.name)) for step in TABLE]
    assert removal_needs(rows) == {"nodes": {"release"}, "release": set(), "beside": set()}


def test_a_step_without_followers_is_one_job() -> None:
    assert [(job.step, job.part) for job in jobs_of(TABLE)] == [
        ("nodes", "request"),
        ("nodes", "wait"),
        ("release", "request"),
        ("release", "wait"),
        ("beside", "whole"),
    ]


@pytest.mark.parametrize("follows", [("release",), ("missing",)])
def test_a_cycle_or_an_unknown_name_is_an_error(follows: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"release|missing"):
        run(Resource("nodes", follows=follows), Resource("release", follows=("nodes",)))
