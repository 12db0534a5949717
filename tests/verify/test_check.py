"""A table of checks: order, needs, results, and the selection of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Refused, SetupError
from aws_setup.verify.check import (
    Broken,
    Check,
    CheckOutcome,
    CheckStatus,
    NotApplicable,
    Verification,
    run_checks,
    select,
)
from aws_setup.verify.table import CHECKS, READINESS


def raising(error: Exception) -> Callable[[None], str]:
    def check(_: None) -> str:
        raise error

    return check


def run(*checks: Check[None]) -> Verification:
    return Verification(list(run_checks(checks, None, clock=SystemClock(pace=0))))


def test_a_failure_skips_what_needs_it_and_nothing_else() -> None:
    ended = run(
        Check("a", raising(Broken("no route", "add a route"))),
        Check("b", lambda _: "fine", needs=("a",)),
        Check("c", lambda _: "fine", needs=("b",)),
        Check("d", lambda _: "fine"),
    )
    statuses = [item.status for item in ended.outcomes]
    fail, skipped = CheckStatus.FAIL, CheckStatus.SKIPPED
    assert statuses == [fail, skipped, skipped, CheckStatus.PASS]
    assert ended.outcomes[2].cause == "needs 'a', which failed"
    assert [(p.name, p.cause, p.fix) for p in ended.broken] == [("a", "no route", "add a route")]
    assert not ended.passed


def test_a_check_that_does_not_apply_blocks_nothing() -> None:
    ended = run(
        Check("a", raising(NotApplicable("there is no database"))),
        Check("b", lambda _: "fine", needs=("a",)),
    )
    assert [item.status for item in ended.outcomes] == [CheckStatus.SKIPPED, CheckStatus.PASS]
    assert ended.passed


def test_nothing_checked_is_not_passed() -> None:
    assert not run(Check("a", raising(NotApplicable("no")))).passed


def test_an_expected_error_is_a_failure_with_its_fix() -> None:
    [outcome] = run(Check("a", raising(SetupError("SSH fails", "timeout", "open it")))).outcomes
    assert (outcome.cause, outcome.fix) == ("SSH fails: timeout", "open it")
    assert outcome.document() == {
        "name": "a",
        "result": "fail",
        "cause": "SSH fails: timeout",
        "fix": "open it",
        "seconds": 0.0,
    }


def test_an_unexpected_error_ends_the_run() -> None:
    with pytest.raises(KeyError):
        run(Check("a", raising(KeyError("bug"))))


def test_quick_leaves_out_what_starts_containers() -> None:
    left = [check.name for check in CHECKS if check not in select(CHECKS, quick=True)]
    assert left[0] == "row in the database"
    assert left[-2:] == ["NameNodes answer", "BasicTest"]
    assert len(left) == 9


def test_every_run_ends_with_the_connections_of_the_client_and_its_file_system() -> None:
    names = [check.name for check in select(CHECKS, names=READINESS)]
    assert names == [
        "client",
        "client configuration",
        "client to ZooKeeper",
        "znodes",
        "client to NDB manager",
        "client to mysqld",
        "client to followers",
        "database login",
        "tables",
        "file system",
        "client to OpenWhisk",
        "NameNode actions",
    ]


def test_only_takes_what_the_named_checks_need() -> None:
    names = [check.name for check in select(CHECKS, names=["database login"])]
    assert names == ["client", "client configuration", "client to mysqld", "database login"]
    with pytest.raises(Refused, match="no check is named 'mysqld'"):
        select(CHECKS, names=["mysqld"])


def test_every_need_comes_before_the_check_that_has_it() -> None:
    earlier: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= earlier
        earlier.add(check.name)


def test_the_outcomes_are_counted() -> None:
    outcomes = [CheckOutcome("a", CheckStatus.PASS), CheckOutcome("b", CheckStatus.SKIPPED)]
    assert Verification(outcomes).count(CheckStatus.SKIPPED) == 1
