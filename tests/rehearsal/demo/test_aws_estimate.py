"""The estimate of times on AWS from those of the rehearsal, and of costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

import create_aws_infrastructure
from aws_setup.config import Config
from aws_setup.engine.history import RunEnded, RunRecord, RunStarted
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.rehearsal.demo.audit import AuditDelta, StepResult, estimate_cost
from aws_setup.rehearsal.demo.aws_estimate import (
    MIN_WAITS,
    OVERSHOOT,
    WORK_STEPS,
    estimate_on_aws,
    long_steps,
)
from aws_setup.rehearsal.demo.scenario import CONFIGURE_SCRIPT, CREATE_SCRIPT, DemoStep
from aws_setup.report.timeline import critical_path, spans, total_seconds

SPEED = 60.0


def events(step: str, start: float, *notes: tuple[float, str], end: float) -> list[StepEvent]:
    """Return the events of a step that was created."""
    noted = [StepEvent(at, EventKind.NOTE, step, text=text) for at, text in notes]
    return [
        StepEvent(start, EventKind.START, step, Action.CREATE),
        *noted,
        StepEvent(end, EventKind.DONE, step, Action.CREATE),
    ]


def run(*steps: list[StepEvent], **needs: tuple[str, ...]) -> RunRecord:
    named = {step[0].step: needs.get(step[0].step.replace(" ", "_"), ()) for step in steps}
    ordered = sorted((event for step in steps for event in step), key=lambda event: event.at)
    head = RunStarted("create", CREATE_SCRIPT, needs=named, hourly_usd=6.0)
    return RunRecord(head, tuple(ordered), RunEnded("ok", ordered[-1].at + 0.5, 10))


def test_waits_are_multiplied_and_work_is_not() -> None:
    made = run(
        events("eks cluster", 0.0, (0.5, "CREATING"), end=9.5),
        events("ssh", 1.0, (1.1, "sshd"), end=4.0),
        events("nat gateway", 0.0, (1.0, "AWS makes it"), (2.0, "helm upgrades"), end=5.0),
    )
    on_aws = {span.step: span.seconds for span in spans(estimate_on_aws(made, SPEED))}
    assert on_aws == pytest.approx(
        {"eks cluster": 0.5 + 540, "ssh": 3.0, "nat gateway": 1 + 60 + 3}
    )


def test_a_busy_computer_makes_no_wait_for_aws_longer() -> None:
    deleted = [
        StepEvent(0.0, EventKind.START, "core-nodes", Action.DELETE),
        StepEvent(1.0, EventKind.NOTE, "core-nodes", Action.DELETE, text="DELETING"),
        StepEvent(21.0, EventKind.DONE, "core-nodes", Action.DELETE),
    ]
    polled = events("nat gateway", 0.0, (0.1, "pending"), end=30.1)
    unknown = events("left by Kubernetes", 0.0, (0.0, "waits"), end=20.0)
    made = run(deleted, polled, unknown)
    on_aws = {span.step: span.seconds for span in spans(estimate_on_aws(made, SPEED))}
    nodes, nat = 380 * OVERSHOOT, 114 * OVERSHOOT
    assert on_aws == pytest.approx(
        {
            "core-nodes": 1 + nodes + 20 - nodes / SPEED,
            "nat gateway": 0.1 + nat + 30 - nat / SPEED,
            "left by Kubernetes": 20 * SPEED,
        }
    )


def test_a_step_begins_when_its_needs_have_ended() -> None:
    made = run(
        events("vpc", 0.0, end=1.0),
        events("eks cluster", 1.25, (1.25, "CREATING"), end=2.25),
        events("ssh", 2.25, end=3.25),
        eks_cluster=("vpc",),
        ssh=("eks cluster",),
    )
    on_aws = estimate_on_aws(made, SPEED)
    at = {span.step: (span.start, span.end) for span in spans(on_aws)}
    assert at == {"vpc": (0, 1), "eks cluster": (1.25, 61.25), "ssh": (61.25, 62.25)}
    assert [link.span.step for link in critical_path(on_aws)] == ["vpc", "eks cluster", "ssh"]
    assert on_aws.end
    assert on_aws.end.seconds == pytest.approx(62.75)


def test_a_step_that_follows_another_is_requested_early_and_waited_for_after_it() -> None:
    nodes = events("core-nodes", 0.0, (0.5, "CREATING"), end=2.5)
    release = events("openwhisk release", 1.0, end=2.6)
    nodes.insert(1, StepEvent(0.5, EventKind.REQUESTED, "core-nodes", Action.CREATE))
    release.insert(1, StepEvent(2.0, EventKind.REQUESTED, "openwhisk release", Action.CREATE))
    made = run(nodes, release)
    head = replace(made.head, follows={"openwhisk release": ("core-nodes",)})
    on_aws = estimate_on_aws(replace(made, head=head), SPEED)
    at = {span.step: (span.start, span.end) for span in spans(on_aws)}
    assert at["core-nodes"] == pytest.approx((0, 0.5 + 2 * SPEED))
    assert at["openwhisk release"] == pytest.approx((1.0, 0.5 + 2 * SPEED + 0.1))
    path = critical_path(on_aws)
    assert [link.span.step for link in path] == ["core-nodes", "openwhisk release"]
    assert path[1].span.seconds == pytest.approx(0.1), "the wait for the nodes is the nodes' time"


def test_the_dns_of_a_load_balancer_counts_from_its_creation() -> None:
    made = run(
        events("openwhisk public address", 0.0, end=0.5),
        events("openwhisk ready", 0.5, (0.5, "Pending"), end=3.0),
        events("openwhisk api", 3.0, end=3.1),
        openwhisk_ready=("openwhisk public address",),
        openwhisk_api=("openwhisk public address", "openwhisk ready"),
    )
    on_aws = {span.step: span.end for span in spans(estimate_on_aws(made, SPEED))}
    assert on_aws["openwhisk public address"] == pytest.approx(0.5 + 25)
    assert on_aws["openwhisk api"] == pytest.approx(0.5 + 180)


def test_waits_that_pass_while_helm_runs_have_a_minimum() -> None:
    made = run(events("openwhisk api", 0.0, end=0.1))
    assert total_seconds(estimate_on_aws(made, SPEED)) == MIN_WAITS["openwhisk api"].seconds == 180
    on_aws = [StepEvent(0.0, EventKind.DONE, "openwhisk api", Action.EXISTS)]
    assert total_seconds(estimate_on_aws(run(on_aws), SPEED)) == 0


def test_short_steps_off_the_critical_path_are_removed() -> None:
    made = run(
        events("vpc", 0.0, end=0.01),
        events("eks cluster", 0.01, end=100.0),
        events("elastic ip", 0.0, end=0.01),
        [StepEvent(0.0, EventKind.DONE, "subnet", Action.EXISTS)],
        eks_cluster=("vpc",),
    )
    long, short = long_steps(made)
    assert ({span.step for span in spans(long)}, short) == ({"vpc", "eks cluster"}, 1)


def test_the_steps_without_waits_are_those_of_the_software() -> None:
    config = Config(ssh_keypair_name="k", ssh_key_path="k", ndb_sql_scripts_dir="sql")
    table = create_aws_infrastructure.SCRIPT.story().table(config)
    software = {step.name for step in table if getattr(step, "part", "") == "software"}
    assert software - {"known hosts"} == WORK_STEPS - {"openwhisk release"}


def test_each_part_costs_from_the_run_that_creates_it() -> None:
    def result(
        script: str, hours: float, *, hourly: float | None, verb: str = "create"
    ) -> StepResult:
        record = RunRecord(RunStarted(verb, script, hourly_usd=hourly)) if hourly else None
        step = DemoStep("", script, (verb,))
        return StepResult(step, 0, 1.0, AuditDelta(0, ()), run=record, on_aws=hours * 3600)

    estimate = estimate_cost(
        [
            result(CREATE_SCRIPT, 1.0, hourly=None, verb="plan"),
            result(CREATE_SCRIPT, 0.5, hourly=10.0),
            result(CONFIGURE_SCRIPT, 1.0, hourly=9.0, verb="configure"),
            result(CREATE_SCRIPT, 0.5, hourly=10.0),
            result(CREATE_SCRIPT, 1.0, hourly=19.0, verb="destroy"),
        ]
    )
    assert estimate.hourly == pytest.approx(19.0)
    assert estimate.session == pytest.approx(5 + 19 + 9.5 + 19)
