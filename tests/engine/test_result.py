"""Result documents: the keys of --json, and the result that decides the exit code."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from aws_setup.engine.plan import Row
from aws_setup.engine.result import Result, changes, problems_of
from aws_setup.engine.runner import Outcome
from aws_setup.engine.step import Action, Drift, Found, RunContext, Step
from aws_setup.errors import Problem, Refused, SetupError


@dataclass(frozen=True)
class Item(Step[RunContext]):
    """A step that is only named."""

    name: str

    def find(self, ctx: RunContext) -> Found | None:
        raise NotImplementedError

    def create(self, ctx: RunContext) -> Found:
        raise NotImplementedError


DRIFTED = Row(
    Item("disk"),
    Action.CONFLICT,
    Found("vol-1", "in-use", {"notes": ("slow",)}, (Drift("zone", "a", "b", "delete it"),)),
)


def test_the_document_of_a_plan() -> None:
    result = Result("plan", "lambda-fs", more={"prices": {"hourly": 1.5}})
    result.planned([DRIFTED, Row(Item("vpc"), Action.CREATE, details="10.0.0.0/16")])
    document = result.document()
    assert document.keys() == {
        "command",
        "deployment",
        "result",
        "seconds",
        "hourly_usd",
        "steps",
        "problems",
        "warnings",
        "account",
        "region",
        "api_calls",
        "prices",
    }
    assert document["steps"] == [
        {
            "name": "disk",
            "part": "other",
            "details": "",
            "action": "conflict",
            "id": "vol-1",
            "state": "in-use",
            "drift": [{"what": "zone", "has": "a", "wants": "b", "mend": "delete it"}],
            "notes": ["slow"],
            "error": None,
        },
        {
            "name": "vpc",
            "part": "other",
            "details": "10.0.0.0/16",
            "action": "create",
            "id": None,
            "state": None,
            "drift": [],
            "notes": [],
            "error": None,
        },
    ]


def test_a_skipped_step_says_why() -> None:
    result = Result("plan")
    result.planned([Row(Item("ndb"), Action.EXISTS, Found("", skipped="no NDB cluster"))])
    assert result.steps[0]["state"] == "skipped: no NDB cluster"


def test_a_step_that_could_not_be_inspected_is_a_problem() -> None:
    result = Result("plan")
    result.planned([Row(Item("vpc"), Action.UNKNOWN, error=SetupError("no answer", "timeout"))])
    assert result.steps[0]["error"] == "no answer: timeout"
    assert result.problems == [Problem("vpc: no answer", "timeout")]


def test_the_document_of_a_run_has_its_outcome() -> None:
    rows = [DRIFTED, Row(Item("vpc"), Action.CREATE), Row(Item("route"), Action.CREATE)]
    outcome = Outcome(
        done={"vpc": Action.CREATE}, failed={"disk": SetupError("no disk")}, blocked=["route"]
    )
    result = Result("create")
    result.ended(rows, outcome, {"vpc": "vpc-1"})
    ids = {step["name"]: (step["action"], step["id"], step["error"]) for step in result.steps}
    assert ids == {
        "disk": ("conflict", "vol-1", "no disk"),
        "vpc": ("create", "vpc-1", None),
        "route": ("create", None, None),
    }
    assert result.result == "failed"


@pytest.mark.parametrize(
    ("outcome", "result", "code"),
    [
        (Outcome(), "ok", 0),
        (Outcome(failed={"a": SetupError("x")}), "failed", 1),
        (Outcome(blocked=["a"]), "failed", 1),
        (Outcome(failed={"a": SetupError("x")}, interrupted=True), "interrupted", 130),
    ],
)
def test_the_exit_code_of_an_outcome(outcome: Outcome, result: str, code: int) -> None:
    ended = Result("create")
    ended.ended([], outcome, {})
    assert (ended.result, ended.exit_code) == (result, code)


@pytest.mark.parametrize(
    ("error", "result", "code", "what"),
    [
        (Refused.all([Problem("a"), Problem("b")]), "refused", 2, ["a", "b"]),
        (SetupError("a", "b", "c"), "failed", 1, ["a"]),
        (KeyError("a"), "failed", 1, ["KeyError"]),
    ],
)
def test_the_exit_code_of_an_error(
    error: Exception, result: str, code: int, what: list[str]
) -> None:
    ended = Result("create")
    ended.fail(error)
    assert (ended.result, ended.exit_code) == (result, code)
    assert [problem.what for problem in ended.problems] == what


def test_changes_are_the_rows_that_a_run_acts_on() -> None:
    rows = [Row(Item(action), action) for action in Action]
    acting = {Action.CREATE, Action.UPDATE, Action.DELETE, Action.UNKNOWN}
    assert {row.action for row in changes(rows)} == acting


@pytest.mark.parametrize(
    ("step", "what", "shown"),
    [
        ("vpc-cni add-on", "vpc-cni add-on is DEGRADED", "vpc-cni add-on is DEGRADED"),
        ("group a_ags", "group a_ags: 0 of 1 machine", "group a_ags: 0 of 1 machine"),
        ("vpc", "vpc-12 is in use", "vpc: vpc-12 is in use"),
        ("zookeeper", "no capacity", "zookeeper: no capacity"),
    ],
)
def test_a_problem_names_its_step_once(step: str, what: str, shown: str) -> None:
    (problem,) = problems_of({step: SetupError(what, "why", "hint")})
    assert problem.what == shown


def test_calls_that_were_refused_for_one_reason_are_one_problem() -> None:
    reason = ("your session has expired", "log in again")
    failed: dict[str, Exception] = {
        step: SetupError(f"Describe{kind} failed (Expired)", *reason)
        for step, kind in (("vpc", "Vpcs"), ("route", "Tables"), ("routing", "Tables"))
    }
    failed["role"] = SetupError("GetRole failed (AccessDenied)", "not yours", "ask")
    expired, denied = problems_of(failed)
    assert expired.what == "vpc, route, routing: DescribeVpcs, DescribeTables failed (Expired)"
    assert (expired.why, expired.hint) == reason
    assert denied.what == "role: GetRole failed (AccessDenied)"
