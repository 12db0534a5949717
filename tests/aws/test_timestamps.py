"""Times in AWS's answers are those that botocore reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.utils import parse_timestamp

from aws_setup.aws.timestamps import parse_time

TIMES = (
    "2026-11-27T20:38:05Z",
    "2026-11-27T20:38:05.1Z",
    "2026-11-27T20:38:05.123Z",
    "2026-11-27T20:38:05.123456Z",
    "2026-11-27T20:38:05.1234567Z",
    "2024-02-29T23:59:59.999Z",
    "2026-11-27T20:38:05+00:00",
    "2026-11-27T20:38:05+02:00",
    "2026-11-27T20:38Z",
    "20261127T203805Z",
    "Fri, 27 Nov 2026 20:38:05 GMT",
    "1795811885",
    1795811885,
    1795811885.25,
)


@pytest.mark.parametrize("value", TIMES, ids=str)
def test_a_time_is_that_of_botocore(value: Any) -> None:
    ours, theirs = parse_time(value), parse_timestamp(value)
    assert ours == theirs
    assert ours.isoformat() == theirs.isoformat()
    assert ours.utcoffset() == theirs.utcoffset()
    assert ours - theirs == timedelta()


@pytest.mark.parametrize("value", ["", "tomorrow", "2026-13-27T20:38:05Z", "2026-11-27T25:38:05Z"])
def test_what_is_no_time_is_refused_as_botocore_does(value: str) -> None:
    with pytest.raises(ValueError) as theirs:
        parse_timestamp(value)
    with pytest.raises(ValueError) as ours:
        parse_time(value)
    assert type(ours.value) is type(theirs.value)
