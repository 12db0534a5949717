"""Creation exactly once: every outcome of a create call, and what a deletion retries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from aws_setup.aws.idempotency import (
    client_token,
    create_once,
    delete_with_retry,
    is_not_found,
    wait_visible,
)
from aws_setup.engine.retry import CREATE_ONCE, VISIBLE
from aws_setup.engine.step import RunContext
from aws_setup.errors import SetupError
from tests.support.clock import RecordingClock

LOST = ReadTimeoutError(endpoint_url="https://ec2")
VISIBLE_SECONDS = list(VISIBLE.pauses())


def error_of(code: str, status: int = 400) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "CreateVpc")  # type: ignore[arg-type]


THROTTLED = error_of("RequestLimitExceeded", 503)
SERVER_ERROR = error_of("InternalError", 500)
REFUSED = error_of("VpcLimitExceeded")


def creating(outcomes: Sequence[Exception | str]) -> tuple[Callable[[], str], list[int]]:
    """Return a create call that raises or returns these outcomes, and the number of its calls."""
    remaining, calls = list(outcomes), [0]

    def create() -> str:
        calls[0] += 1
        outcome = remaining.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return create, calls


def finding(*results: str | None) -> Callable[[], str | None]:
    """Return a search with these results; the last one is repeated."""
    remaining = list(results)
    return lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0]


@pytest.mark.parametrize(
    ("found", "outcomes", "calls", "slept"),
    [
        (["vpc-1"], [], 0, []),
        ([None], ["vpc-1"], 1, []),
        ([None], [THROTTLED, "vpc-1"], 2, [2.0]),
        ([None, "vpc-1"], [LOST], 1, []),
        ([None, None, "vpc-1"], [SERVER_ERROR], 1, [1.0]),
        ([None], [SERVER_ERROR, "vpc-1"], 2, [*VISIBLE_SECONDS, 2.0]),
        ([None, "vpc-1"], [THROTTLED], 1, [2.0]),
    ],
    ids=[
        "found first",
        "created",
        "throttled, then created",
        "lost answer, found at once",
        "server error, found later",
        "server error, never visible, created",
        "throttled, created by another run",
    ],
)
def test_a_create_is_never_repeated_for_what_exists(
    found: list[str | None], outcomes: list[Exception | str], calls: int, slept: list[float]
) -> None:
    clock = RecordingClock()
    create, made = creating(outcomes)
    assert create_once(RunContext(clock=clock), find=finding(*found), create=create) == "vpc-1"
    assert made == [calls]
    assert clock.slept == slept


@pytest.mark.parametrize(
    ("outcome", "calls"), [(REFUSED, 1), (THROTTLED, 6), (SERVER_ERROR, 6), (LOST, 6)]
)
def test_a_create_raises_the_last_error(outcome: Exception, calls: int) -> None:
    create, made = creating([outcome] * calls)
    with pytest.raises(type(outcome)):
        create_once(RunContext(clock=RecordingClock()), find=finding(None), create=create)
    assert made == [calls]
    assert CREATE_ONCE.attempts == 6


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("InvalidVpcID.NotFound", True),
        ("NatGatewayNotFound", True),
        ("NoSuchEntity", True),
        ("ResourceNotFoundException", True),
        ("InvalidAMIID.NotFound", False),
        ("InvalidKeyPair.NotFound", False),
        ("VpcLimitExceeded", False),
    ],
)
def test_not_found_is_what_a_run_may_have_created(code: str, expected: bool) -> None:
    assert is_not_found(error_of(code)) is expected
    assert not is_not_found(ValueError(code))


def test_a_resource_that_stays_invisible_is_none_after_31_seconds() -> None:
    clock = RecordingClock()
    assert wait_visible(lambda: None, clock=clock) is None
    assert clock.now() == 31.0


def test_a_deletion_waits_for_users_and_accepts_what_is_gone() -> None:
    clock, notes = RecordingClock(), list[str]()
    ctx = RunContext(clock=clock, note=notes.append)
    delete, calls = creating([error_of("DependencyViolation"), error_of("InvalidVpcID.NotFound")])
    delete_with_retry(ctx, "VPC vpc-1", delete, gone={"InvalidVpcID.NotFound"})
    assert (calls, clock.slept, notes) == ([2], [5.0], ["DependencyViolation"])


def test_a_deletion_that_stays_in_use_names_the_last_answer() -> None:
    ctx = RunContext(clock=RecordingClock())
    delete, _ = creating([error_of("DependencyViolation")] * 9)
    with pytest.raises(SetupError, match="DependencyViolation"):
        delete_with_retry(ctx, "VPC vpc-1", delete, gone=set(), deadline=20.0)


def test_a_client_token_depends_on_every_part_and_has_64_characters() -> None:
    first = client_token("lambda-fs", "vpc", {"a": 1, "b": 2}, 0)
    assert first == client_token("lambda-fs", "vpc", {"b": 2, "a": 1}, 0)
    assert len({first, client_token("lambda-fs", "vpc", {"a": 1, "b": 2}, 1)}) == 2
    assert len(first) == 64
