"""Refuses answers that AWS did not write, or that were cut off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.parsers import ResponseParserError


def check_answer(http_response: Any, parsed: Mapping[str, Any], *, protocol: str) -> None:
    """Refuse an answer that AWS did not write, or that was cut off.

    botocore reads a proxy's page, or half a JSON document, as an answer without content: an empty
    list. Each of AWS's answers has a request id.

    Raises:
        botocore.parsers.ResponseParserError: the answer is not one of AWS.
    """
    begins = " ".join(http_response.content[:80].decode("utf-8", "replace").split())
    if not parsed.get("ResponseMetadata", {}).get("RequestId"):
        raise ResponseParserError(f"it has no request id of AWS, and begins with {begins!r}")
    if "json" in protocol and http_response.content:
        try:
            json.loads(http_response.content)
        except ValueError:
            raise ResponseParserError(f"its JSON is incomplete: {begins!r}") from None


def check_result(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Refuse an answer without the element that holds its result, before botocore misses it.

    Answers of the `query` protocol (STS, IAM, Auto Scaling, Elastic Load Balancing) have one.

    Raises:
        botocore.parsers.ResponseParserError: the answer is not one of AWS.
    """
    shape, body = operation_model.output_shape, response_dict["body"]
    wrapper = shape.serialization.get("resultWrapper") if shape else None
    if wrapper and response_dict["status_code"] < 300 and f"<{wrapper}".encode() not in body:
        begins = " ".join(body[:80].decode("utf-8", "replace").split())
        raise ResponseParserError(f"it has no {wrapper}, and begins with {begins!r}")
