"""The call log: what was asked, by whom, when, and how it ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.rules import Call


@dataclass(frozen=True)
class CallLogEntry:
    """One call in the log."""

    number: int
    at: float
    """The cloud's seconds when it arrived."""
    service: str
    action: str
    reads: bool
    status: int
    """The HTTP status; 0 when the connection was broken instead of an answer."""
    code: str
    """AWS's error code, empty when it went well."""
    client: str
    region: str
    params: dict[str, Any]

    @property
    def name(self) -> str:
        """Service and action, as in "ec2.CreateVpc"."""
        return f"{self.service}.{self.action}"


class CallLog(list[CallLogEntry]):
    """The calls in the order in which they were answered."""

    def note(self, call: Call, *, at: float, status: int, code: str) -> None:
        """Add one call."""
        self.append(
            CallLogEntry(
                number=len(self) + 1,
                at=round(at, 3),
                service=call.service,
                action=call.action,
                reads=call.reads,
                status=status,
                code=code,
                client=call.client,
                region=call.region,
                params=call.params,
            )
        )

    def writes(self) -> list[CallLogEntry]:
        """Return the calls that were meant to change something."""
        return [call for call in self if not call.reads]

    def named(self, action: str) -> list[CallLogEntry]:
        """Return the calls of one action."""
        return [call for call in self if call.action == action]

    def count(self, value: Any = None) -> Any:
        """Return how often each "service.Action" was called (or, as a list does, `value`)."""
        return Counter(call.name for call in self) if value is None else super().count(value)
