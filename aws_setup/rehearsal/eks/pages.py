"""Pages of EKS's list answers: maxResults and nextToken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.eks import errors

MAX_RESULTS = 100
"""Items of a page unless maxResults asks for fewer; also the most that it may ask for."""


def paginate(key: str, items: Sequence[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return one page of a list, with nextToken while more follow."""
    size = int(params.get("maxResults") or MAX_RESULTS)
    if not 1 <= size <= MAX_RESULTS:
        raise errors.invalid_parameter(f"maxResults must be between 1 and {MAX_RESULTS}")
    token = str(params.get("nextToken") or "0")
    if not token.isdigit():
        raise errors.invalid_parameter("Invalid nextToken")
    end = int(token) + size
    answer: dict[str, Any] = {key: list(items[int(token) : end])}
    return answer | {"nextToken": str(end)} if end < len(items) else answer
