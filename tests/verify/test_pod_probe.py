"""The Job of verify: its answers, and what becomes of it when a run is killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aws_setup.errors import SetupError
from aws_setup.ssh import PortState
from aws_setup.verify.chain import Address
from aws_setup.verify.pod_probe import is_leftover, parse

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MYSQLD, MANAGER = Address("10.0.1.1", 3306), Address("10.0.1.1", 1186)


def stamp(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def a_job(created: float, ended: float | None, kind: str = "Complete") -> dict[str, Any]:
    condition = {"type": kind, "status": "True", "lastTransitionTime": stamp(ended or 0)}
    return {
        "metadata": {"name": "j", "creationTimestamp": stamp(created)},
        "status": {} if ended is None else {"conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("found", "leftover"),
    [
        (a_job(30, 20), False),
        (a_job(100, 90), True),
        (a_job(100, 90, "Failed"), True),
        (a_job(100, None), False),
        (a_job(1000, None), True),
    ],
)
def test_a_job_is_left_over_when_no_run_can_still_read_it(
    found: dict[str, Any], leftover: bool
) -> None:
    assert is_leftover(found, NOW) == leftover


def test_the_answers_of_nc() -> None:
    line = "10.0.1.1:3306=1,5 10.0.1.1:1186=1,0 "
    states = {MYSQLD: PortState.TIMED_OUT, MANAGER: PortState.REFUSED}
    assert parse(line, [MYSQLD, MANAGER]) == states
    with pytest.raises(SetupError, match="did not report every address"):
        parse("", [MYSQLD])
