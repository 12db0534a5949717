"""Durations as users write them: 12h, 90m, 1h30m, 2d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

NEVER = "never"
"""Value of auto_pause_after that sets no deadline."""

SHORTEST = timedelta(minutes=15)
"""A run that sets a deadline ends before it, also on a slow connection."""

LONGEST = timedelta(days=30)

_PARTS = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?", re.ASCII)
_FORM = "a duration is written as 12h, 90m, 1h30m or 2d"


def parse_duration(text: str) -> timedelta:
    """Return the duration that a text names.

    Raises:
        ValueError: it is no duration, or one that is too short or too long; the text says which.
    """
    found = _PARTS.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise ValueError(f"{text!r} is no duration: {_FORM}")
    days, hours, minutes = (int(part or 0) for part in found.groups())
    duration = timedelta(days=days, hours=hours, minutes=minutes)
    if not SHORTEST <= duration <= LONGEST:
        raise ValueError(f"{text!r} is not within 15m and 30d")
    return duration


def _auto_pause_after(value: Any) -> Any:
    """Check a duration, or `never`; a number, which has no unit, is refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    text = str(value).strip()
    if text == NEVER:
        return NEVER
    try:
        parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{error}; never sets no deadline") from None
    return text


AutoPause = Annotated[str, BeforeValidator(_auto_pause_after)]
"""A duration, or `never`."""
