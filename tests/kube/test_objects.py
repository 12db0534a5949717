"""What an object of the API says about itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aws_setup.kube.objects import created_at


@pytest.mark.parametrize(
    ("obj", "moment"),
    [
        (
            {"metadata": {"creationTimestamp": "2026-11-28T03:00:00Z"}},
            datetime(2026, 11, 28, 3, tzinfo=UTC),
        ),
        ({"metadata": {"creationTimestamp": "2026-11-28T03:00:00"}}, None),
        ({"metadata": {"creationTimestamp": "yesterday"}}, None),
        ({"metadata": {"creationTimestamp": None}}, None),
        ({"metadata": None}, None),
        ({}, None),
    ],
)
def test_when_it_was_created(obj: dict[str, Any], moment: datetime | None) -> None:
    assert created_at(obj) == moment
