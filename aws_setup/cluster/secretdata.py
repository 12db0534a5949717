"""The data of a Secret as text, and text as the data of a Secret."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any


def decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return a Secret's data as text."""
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def encoded(data: Mapping[str, str]) -> dict[str, str]:
    """Return text as a Secret's data."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
