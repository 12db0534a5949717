"""The errors of Amazon EKS, with the status codes of its API reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.core.types import AwsError


def not_found(message: str, **names: Any) -> AwsError:
    """Return EKS's error for a resource that does not exist."""
    return AwsError("ResourceNotFoundException", message, status=404, extra=names)


def invalid_parameter(message: str, **names: Any) -> AwsError:
    """Return EKS's error for an invalid value."""
    return AwsError("InvalidParameterException", message, status=400, extra=names)


def invalid_request(message: str, **names: Any) -> AwsError:
    """Return EKS's error for a request that is not possible in the cluster's state."""
    return AwsError("InvalidRequestException", message, status=400, extra=names)


def in_use(message: str, **names: Any) -> AwsError:
    """Return EKS's error for a name that exists or a resource that is busy."""
    return AwsError("ResourceInUseException", message, status=409, extra=names)


def over_limit(message: str, **names: Any) -> AwsError:
    """Return EKS's error for an exhausted quota."""
    return AwsError("ResourceLimitExceededException", message, status=400, extra=names)


MAX_RESULTS = 100
"""Items on a page without maxResults, and the maximum of maxResults."""


def paginate(key: str, items: Sequence[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return one page of a list, with nextToken while more follow."""
    size = int(params.get("maxResults") or MAX_RESULTS)
    if not 1 <= size <= MAX_RESULTS:
        raise invalid_parameter(f"maxResults must be between 1 and {MAX_RESULTS}")
    token = str(params.get("nextToken") or "0")
    if not token.isdigit():
        raise invalid_parameter("Invalid nextToken")
    end = int(token) + size
    answer: dict[str, Any] = {key: list(items[int(token) : end])}
    return answer | {"nextToken": str(end)} if end < len(items) else answer
