"""What a deployment has cost since its creation, costs now, and is going to cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from aws_setup.aws.paused import display_time, format_time, parse_time
from aws_setup.aws.pricing import Prices, price
from aws_setup.aws.session import Aws
from aws_setup.engine.step import CostItem
from aws_setup.pause.usage import Usage, Usages

WEEKEND_HOURS = 72.0
"""From Friday evening to Monday evening."""


@dataclass(frozen=True)
class Bill:
    """The usage of a deployment with its prices; `ended` is usage of what no longer exists."""

    usages: Usages
    prices: Prices
    ended: tuple[Usage, ...] = ()

    @property
    def items(self) -> tuple[Usage, ...]:
        """All usage."""
        return (*self.usages.items, *self.ended)

    @property
    def so_far(self) -> float:
        """US dollars since the creation, without what the notes and unknown prices name."""
        return sum(self._usd(item) for item in self.items)

    @property
    def hourly(self) -> float:
        """US dollars an hour at present."""
        return sum(item.count * self.prices.each.get(item.key, 0.0) for item in self.items)

    @property
    def parts(self) -> dict[str, tuple[float, float]]:
        """Part -> US dollars so far and US dollars an hour, the most expensive part first."""
        found: dict[str, tuple[float, float]] = {}
        for item in self.items:
            so_far, hourly = found.get(item.part, (0.0, 0.0))
            rate = item.count * self.prices.each.get(item.key, 0.0)
            found[item.part] = (so_far + self._usd(item), hourly + rate)
        return dict(sorted(found.items(), key=lambda pair: -pair[1][0]))

    @property
    def since(self) -> datetime | None:
        """When the oldest resource was created."""
        return min((item.since for item in self.items if item.since), default=None)

    @property
    def deadline(self) -> datetime | None:
        """When AWS pauses the deployment by itself; None when nothing does."""
        return self.usages.deadline

    @property
    def complete(self) -> bool:
        """Whether every price and every time is known."""
        return not (self.prices.unknown or self.usages.notes)

    def until(self, moment: datetime) -> float:
        """Return US dollars from the creation until a later time, if nothing changes.

        What begins to cost before that time, as extended support, counts from its beginning.
        """
        coming = [
            (begins, item.count * self.prices.each.get(item.key, 0.0))
            for begins, item in self.usages.coming
        ]
        rates = [(self.usages.now, self.hourly), *coming]
        spans = [(max(0.0, (moment - begins).total_seconds()), rate) for begins, rate in rates]
        return self.so_far + sum(seconds / 3600 * rate for seconds, rate in spans)

    def ahead(self, hours: float) -> float:
        """Return US dollars of the next hours, if nothing changes."""
        return self.until(self.usages.now + timedelta(hours=hours)) - self.so_far

    def _usd(self, item: Usage) -> float:
        return item.hours * self.prices.each.get(item.key, 0.0)

    def document(self) -> dict[str, Any]:
        """Return the bill as --json prints it."""
        parts = {
            part: {"usd_so_far": round(so_far, 4), "hourly_usd": round(hourly, 4)}
            for part, (so_far, hourly) in self.parts.items()
        }
        at_deadline = round(self.until(self.deadline), 2) if self.deadline else None
        return {
            "usd_so_far": round(self.so_far, 2),
            "hourly_usd": round(self.hourly, 4),
            "daily_usd": round(self.ahead(24), 2),
            "weekend_usd": round(self.ahead(WEEKEND_HOURS), 2),
            "since": _time(self.since),
            "as_of": format_time(self.usages.now),
            "deadline": _time(self.deadline),
            "usd_at_deadline": at_deadline,
            "parts": parts,
            "on_demand_hourly_usd": round(self.hourly + self.prices.savings, 4),
            "source": self.prices.source,
            "unknown": list(self.prices.unknown),
            "notes": list(self.usages.notes),
        }

    def lines(self) -> list[str]:
        """Return the bill as text, the total last."""
        lines = [f"{'':<14}   so far        now"]
        lines += [
            f"{part:<14} ${so_far:8.2f}  ${hourly:8.3f}/h"
            for part, (so_far, hourly) in self.parts.items()
        ]
        lines.append(f"{'total':<14} ${self.so_far:8.2f}  ${self.hourly:8.3f}/h")
        if self.prices.unknown:
            lines.append(f"not included (price unknown): {', '.join(self.prices.unknown)}")
        lines += [*self.prices.spot_lines(), *self.usages.notes]
        lines += [f"({self.prices.source}; traffic and taxes are not included)", self._projection()]
        return [*lines, self._total("so far")]

    def total(self) -> str:
        """Return the sentence about what a deleted deployment has cost."""
        return self._total("in all")

    def _total(self, span: str) -> str:
        least = "" if self.complete else "at least "
        since = f" since {display_time(self.since)}" if self.since else ""
        return f"Estimated cost {span}: {least}${self.so_far:.2f}{since}."

    def _projection(self) -> str:
        if self.deadline:
            usd, when = self.until(self.deadline), display_time(self.deadline)
            least = "" if self.complete else "at least "
            return f"Until the deadline, {when}: {least}${usd:.2f} in all if nothing changes."
        day, weekend = self.ahead(24), self.ahead(WEEKEND_HOURS)
        text = f"${day:.2f} a day, ${weekend:.2f} over a weekend (72 hours)."
        return f"If nothing changes: {self.prices.least}{text}"


def bill_of(aws: Aws, found: Usages, remembered: Sequence[Usage] = ()) -> Bill:
    """Return the bill of a deployment; what is remembered counts where it no longer exists."""
    live = {_identity(item) for item in found.items}
    gone = [item for item in remembered if _identity(item) not in live]
    ended = tuple(replace(item, count=0.0) for item in gone)
    charges = [CostItem(item.part, item.key, item.count) for item in (*found.items, *ended)]
    charges += [replace(item, count=0.0) for _, item in found.coming]
    return Bill(found, price(aws, charges), ended)


def _identity(item: Usage) -> tuple[str, str, str]:
    """Return what names a usage: groups and clusters have the names of their predecessors."""
    return item.id, item.key, _time(item.since) or ""


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def at_end(bill: Bill, ends: Mapping[str, datetime], now: datetime) -> Bill:
    """Return the bill after a removal: each resource counts until its step was deleted.

    Args:
        bill: the bill before the removal.
        ends: step -> when it was deleted.
        now: the end of the removal, at which what is not in `ends` is counted until.
    """

    def later(item: Usage) -> Usage:
        passed: timedelta = ends.get(item.step, now) - bill.usages.now
        hours = item.hours + item.count * max(0.0, passed.total_seconds() / 3600)
        return replace(item, hours=hours, count=item.count if item.step not in ends else 0.0)

    usages = replace(bill.usages, now=now, items=[later(item) for item in bill.usages.items])
    return replace(bill, usages=usages)


def encode(bill: Bill, *, ended: bool) -> dict[str, Any]:
    """Return what the receipt keeps of a bill; `ended`: nothing of the deployment exists."""
    resources = [
        asdict(item) | {"hours": round(item.hours, 4), "since": _time(item.since)}
        for item in bill.items
    ]
    kept = {} if ended else {"resources": resources}
    return {**bill.document(), "ended": ended, **kept}


def decode(kept: Mapping[str, Any]) -> list[Usage]:
    """Return the usage that a receipt keeps; nothing of an ended deployment or a damaged receipt.

    Another deployment with the same name begins at 0.
    """
    if kept.get("ended"):
        return []
    try:
        return [
            Usage(
                id=str(item["id"]),
                part=str(item["part"]),
                key=str(item["key"]),
                count=float(item["count"]),
                hours=float(item["hours"]),
                step=str(item["step"]),
                since=parse_time(str(item["since"])),
            )
            for item in kept.get("resources", ())
        ]
    except (KeyError, TypeError, ValueError):
        return []
