"""How long machines ran, from what AWS shows of them; and what a bill does with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aws_setup.aws.paused import (
    PAUSED_TAG,
    SECONDS_TAG,
    counted_marks,
    format_time,
    pause_marks,
    settled_marks,
    started_by_hand,
    stopped_seconds,
)
from aws_setup.aws.pricing import Prices
from aws_setup.aws.spot import SpotPrice
from aws_setup.pause.bill import Bill, at_end, decode, encode
from aws_setup.pause.machine_hours import machine_hours
from aws_setup.pause.usage import Usage, Usages

BORN = datetime(2026, 11, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return BORN + timedelta(hours=hours)


def machine(*, started: float = 0, stopped: float | None = None, **tags: str) -> dict[str, Any]:
    """Return an instance that was created at 0 o'clock and last started and stopped later."""
    reason = "" if stopped is None else f"User initiated ({at(stopped):%Y-%m-%d %H:%M:%S} GMT)"
    return {
        "State": {"Name": "running" if stopped is None else "stopped"},
        "StateTransitionReason": reason,
        "LaunchTime": at(started),
        "NetworkInterfaces": [{"Attachment": {"AttachTime": BORN}}],
        "Tags": [{"Key": f"lambda-fs:{key}", "Value": value} for key, value in tags.items()],
    }


def tagged(item: dict[str, Any], marks: dict[str, str]) -> dict[str, Any]:
    """Return an instance with tags written to it."""
    known = {tag["Key"]: tag["Value"] for tag in item["Tags"]} | marks
    return item | {"Tags": [{"Key": key, "Value": value} for key, value in known.items()]}


def hours(item: dict[str, Any], now: float) -> float:
    return stopped_seconds(item, at(now)) / 3600


def test_a_stop_by_hand_and_the_pause_after_it_are_one() -> None:
    stopped = machine(stopped=2)
    assert hours(stopped, 5) == 3
    assert hours(tagged(stopped, pause_marks(at(4))), 5) == 1, "counted from the mark"
    assert hours(tagged(stopped, pause_marks(at(2))), 5) == 3, "which is set to the stop"


def test_resume_killed_between_tag_and_start_counts_no_hour_twice() -> None:
    paused = tagged(machine(stopped=2), pause_marks(at(2)))
    once = tagged(paused, settled_marks(paused, at(5)))
    twice = tagged(once, settled_marks(once, at(6)))
    assert hours(once, 5) == 3
    assert hours(twice, 7) == 5
    running = twice | {"State": {"Name": "running"}, "LaunchTime": at(7)}
    assert hours(running, 9) == 5


def test_a_start_by_hand_during_a_pause_ends_it() -> None:
    item = tagged(machine(started=4), pause_marks(at(1)))
    assert hours(item, 9) == 3
    again = tagged(machine(started=4, stopped=6), pause_marks(at(1)))
    assert hours(again, 9) == 3 + 3
    paused_again = tagged(item, settled_marks(item, at(6)))
    stopped = paused_again | {
        "State": {"Name": "stopped"},
        "StateTransitionReason": machine(stopped=6)["StateTransitionReason"],
    }
    assert hours(stopped, 9) == 3 + 3


def test_what_create_starts_again_was_not_running() -> None:
    stopped = machine(stopped=2)
    counted = tagged(stopped, counted_marks(stopped, at(5)))
    assert PAUSED_TAG not in counted_marks(stopped, at(5))
    running = counted | {"State": {"Name": "running"}, "LaunchTime": at(5.1)}
    assert hours(running, 9) == 3
    assert not started_by_hand(running)
    assert started_by_hand(machine(started=5))


@pytest.mark.parametrize("damaged", ["", "x", "-5", "7/", "99999/yesterday"])
def test_a_damaged_tag_stops_nothing(damaged: str) -> None:
    item = tagged(machine(stopped=2), {SECONDS_TAG: damaged, PAUSED_TAG: damaged})
    assert hours(item, 5) >= 3


def activity(text: str, start: float, *, end: float | None = None, code: str = "Successful") -> Any:
    return {
        "Description": text,
        "StartTime": at(start),
        "EndTime": at(start if end is None else end),
        "StatusCode": code,
    }


def test_machines_of_a_group_count_from_launch_to_termination() -> None:
    known = machine_hours(
        [
            activity("Terminating EC2 instance: i-0a", 5, end=5.1),
            activity("Launching a new EC2 instance: i-0a", 1),
            activity("Launching a new EC2 instance: i-0b", 6),
            activity("Launching a new EC2 instance: i-0c.  Status", 7, end=7.5, code="Cancelled"),
            activity("Launching a new EC2 instance.  Status Reason: none", 7, code="Failed"),
            activity("Terminating EC2 instance: i-0d", 3),
        ],
        {"i-0b": at(6), "i-0e": at(2)},
        at(10),
    )
    assert known.hours == {"i-0a": 4, "i-0b": 4, "i-0c": 0.5, "i-0e": 8}
    assert known.unknown == ("i-0d",), "launched before the history begins"


def bill(*items: Usage, notes: tuple[str, ...] = (), **each: float) -> Bill:
    keys = {item.key for item in items}
    unknown = tuple(sorted(keys - each.keys()))
    return Bill(Usages(at(10), [*items], [*notes]), Prices({}, "a list", unknown, each))


def test_an_unknown_price_is_named_and_never_zero() -> None:
    found = bill(Usage("a", "x", "known", 1, 10), Usage("b", "x", "strange", 1, 10), known=0.5)
    assert found.document()["unknown"] == ["strange"]
    text = "\n".join(found.lines())
    assert "not included (price unknown): strange" in text
    assert "so far: at least $5.00" in text
    assert "If nothing changes: at least $12.00 a day" in text
    found.usages.deadline = at(12)
    assert "at least $6.00 in all if nothing changes" in "\n".join(found.lines())


def test_without_a_price_on_demand_spot_is_not_compared_with_it() -> None:
    spot = {"c6i.4xlarge": SpotPrice(0.25, at(9))}
    prices = Prices({"x": 0.25}, "a list", ("r9.large",), {"spot:c6i.4xlarge": 0.25}, spot)
    text = "\n".join(prices.lines())
    assert "$0.250/h at" in text
    assert "its price on demand is not known" in text
    assert "$0.000/h" not in text
    assert "all on demand" not in text
    assert "at least $6.00 a day" in text


def test_the_projection_goes_to_the_deadline() -> None:
    found = bill(Usage("a", "x", "known", 2, 10), known=0.5)
    assert "$24.00 a day, $72.00 over a weekend" in "\n".join(found.lines())
    found.usages.deadline = at(14)
    assert found.document()["usd_at_deadline"] == 5 + 4
    assert "2026-11-01 14:00 UTC: $9.00 in all" in "\n".join(found.lines())


def test_a_removal_counts_until_each_deletion_and_survives_the_receipt() -> None:
    items = Usage("a", "x", "known", 1, 10, "vm", at(0)), Usage("b", "x", "known", 1, 10, "nat")
    ended = at_end(bill(*items, known=1.0), {"vm": at(11)}, at(12))
    assert ended.so_far == 11 + 12
    assert ended.hourly == 1, "the NAT gateway is not deleted"
    kept = encode(ended, ended=False)
    assert [(item.hours, item.since) for item in decode(kept)] == [(11, at(0)), (12, None)]
    assert decode(encode(ended, ended=True)) == []
    assert kept["since"] == format_time(at(0))


@pytest.mark.parametrize("kept", [{}, {"resources": 5}, {"resources": [{"id": "a"}]}])
def test_a_damaged_receipt_remembers_nothing(kept: dict[str, Any]) -> None:
    assert decode(kept) == []
