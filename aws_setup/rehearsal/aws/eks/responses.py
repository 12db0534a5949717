"""The errors of Amazon EKS, with the status codes of its API reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.core.types import AwsError


def not_found(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a thing that is not there."""
    return AwsError("ResourceNotFoundException", message, status=404, extra=names)


def invalid_parameter(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a value that it does not take."""
    return AwsError("InvalidParameterException", message, status=400, extra=names)


def invalid_request(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a request that does not fit the state of the cluster."""
    return AwsError("InvalidRequestException", message, status=400, extra=names)


def in_use(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a name that is taken or a thing that is busy."""
    return AwsError("ResourceInUseException", message, status=409, extra=names)


def over_limit(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a quota that is used up."""
    return AwsError("ResourceLimitExceededException", message, status=400, extra=names)


MAX_RESULTS = 100
"""Items of a page unless maxResults asks for fewer; also the most that it may ask for."""


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
