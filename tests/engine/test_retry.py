"""Retry policies: their pauses, their limits, and what is retried."""

from __future__ import annotations

import pytest

from aws_setup.engine import retry as policies
from aws_setup.engine.deadline import within
from aws_setup.engine.retry import Attempts, RetryPolicy, retry, retry_after
from tests.support.clock import RecordingClock


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [
        (policies.VISIBLE, [1, 2, 4, 8, 8, 8]),
        (policies.CREATE_ONCE, [2, 4, 6, 8, 10]),
        (policies.SERVER_UNREACHABLE, [1, 2, 3, 4, 5, 5, 5]),
        (policies.DECIDED, [2] * 6),
        (RetryPolicy(first=9.0, longest=5.0, attempts=3), [5, 5]),
        (RetryPolicy(first=1.0, attempts=1), []),
    ],
)
def test_the_pauses_of_a_policy(policy: RetryPolicy, pauses: list[float]) -> None:
    assert list(policy.pauses()) == pauses
    assert [policy.pause_after(made) for made in range(1, len(pauses) + 2)] == [*pauses, None]


def test_jitter_is_between_half_and_all_of_a_pause() -> None:
    policy = RetryPolicy(first=4.0, attempts=50, jitter=True)
    assert all(2.0 <= pause <= 4.0 for pause in policy.pauses())


def test_no_attempt_starts_after_the_deadline() -> None:
    clock = RecordingClock()
    attempts = Attempts(clock)
    policy = RetryPolicy(first=4.0, deadline=10.0)
    assert [attempts.again(policy) for _ in range(3)] == [True, True, False]
    assert clock.slept == [4.0, 4.0]
    assert attempts.made == 3


def test_a_servers_retry_after_is_the_shortest_pause_and_respects_the_deadline() -> None:
    clock = RecordingClock()
    attempts = Attempts(clock)
    policy = RetryPolicy(first=1.0, deadline=60.0)
    assert attempts.again(policy, after=30.0)
    assert attempts.again(policy, after=0.0)
    assert not attempts.again(policy, after=30.0)
    assert clock.slept == [30.0, 1.0]


class PacedClock(RecordingClock):
    """A clock that shortens its pauses to nothing, as AWS_SETUP_PACE=0 does."""

    def now(self) -> float:
        return 0.0


@pytest.mark.kind("C4")
@pytest.mark.parametrize(
    ("policy", "after", "most"),
    [
        (policies.SERVER_BUSY, 1.0, 300),
        (policies.SERVER_BUSY, 30.0, 300),
        (policies.BEING_DELETED, None, 300),
        (RetryPolicy(first=0.5, factor=2.0, deadline=60.0, answers=True), 7.0, 60),
    ],
)
def test_pauses_end_at_the_deadline_on_a_clock_that_shortens_them(
    policy: RetryPolicy, after: float | None, most: float
) -> None:
    clock = PacedClock()
    attempts = Attempts(clock)
    while attempts.again(policy, after=after):
        assert attempts.made < 1000
    assert most - 30 <= sum(clock.slept) <= most


@pytest.mark.kind("C4")
def test_a_pause_that_is_longer_than_the_wait_around_it_is_not_begun() -> None:
    clock = RecordingClock()
    with within(20.0, clock=clock):
        attempts = Attempts(clock)
        assert attempts.again(policies.SERVER_RESTARTING, after=15.0)
        assert not attempts.again(policies.SERVER_RESTARTING, after=15.0)
    assert clock.slept == [15.0]


def test_each_failure_may_apply_another_policy() -> None:
    clock = RecordingClock()
    attempts = Attempts(clock)
    assert attempts.again(RetryPolicy(first=1.0, attempts=5))
    assert not attempts.again(RetryPolicy(first=1.0, attempts=2))


class Failing:
    """A call that fails a number of times and then returns its number of calls."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return self.calls


def test_retry_repeats_a_retryable_error_and_reports_each() -> None:
    clock, notes = RecordingClock(), list[Exception]()
    act, error = Failing(2, TimeoutError()), TimeoutError
    policy = RetryPolicy(first=1.0, step=1.0, attempts=3)
    result = retry(
        act,
        policy,
        clock=clock,
        should_retry=lambda raised: isinstance(raised, error),
        note=notes.append,
    )
    assert (result, clock.slept, notes) == (3, [1.0, 2.0], [act.error, act.error])


@pytest.mark.parametrize(
    ("error", "calls"), [(TimeoutError(), 3), (ValueError(), 1)], ids=["retryable", "other"]
)
def test_retry_raises_the_last_error(error: Exception, calls: int) -> None:
    act = Failing(9, error)
    with pytest.raises(type(error)):
        retry(
            act,
            RetryPolicy(first=1.0, attempts=3),
            clock=RecordingClock(),
            should_retry=lambda raised: isinstance(raised, TimeoutError),
        )
    assert act.calls == calls


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
