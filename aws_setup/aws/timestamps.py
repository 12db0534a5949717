"""Reads the times in AWS's answers; the form that most have, without dateutil."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from botocore.utils import parse_timestamp

_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
"""As in the XML of EC2, IAM and Auto Scaling: 2026-11-27T20:38:05.123Z."""


def parse_time(value: Any) -> datetime:
    """Return the time that an answer of AWS has, as botocore does.

    dateutil, which botocore uses, tries all forms that people write: it takes a third of the time
    in which an answer of EC2 is read. Each machine has two times, each of its interfaces and
    volumes another one.

    Raises:
        ValueError: it is no time.
    """
    if isinstance(value, str) and _ISO_8601.fullmatch(value):
        return datetime.fromisoformat(value)
    found: datetime = parse_timestamp(value)
    return found
