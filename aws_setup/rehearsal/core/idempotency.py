"""Client tokens: the same token and request give the same answer, another request an error."""

from __future__ import annotations

import functools
from typing import Any

from aws_setup.rehearsal.core.protocol import HttpAnswer, operation_model
from aws_setup.rehearsal.core.types import AwsError, Call, Key

NAMES = ("ClientToken", "clientRequestToken", "clientToken")
"""The names of the token parameter."""

MISMATCH = "IdempotentParameterMismatch"
"""Error code for a token that was used with another request (EC2 API, idempotency)."""


@functools.cache
def token_name(service: str, action: str) -> str:
    """Return the name of the action's token parameter, or an empty string."""
    shape = operation_model(service, action).input_shape
    return next((name for name in NAMES if shape is not None and name in shape.members), "")


class ClientTokens:
    """The used tokens, each with its request and its answer."""

    def __init__(self) -> None:
        """Start empty."""
        self._used: dict[tuple[Key, str, str], tuple[dict[str, Any], HttpAnswer]] = {}

    def earlier_answer(self, call: Call) -> HttpAnswer | None:
        """Return the earlier answer to this token; None without a token or for a new one.

        Raises:
            AwsError: the token was used with another request.
        """
        key, request = self._of(call)
        if key is None or key not in self._used:
            return None
        before, answer = self._used[key]
        if before != request:
            message = "The client token was used before with different parameters."
            raise AwsError(MISMATCH, message)
        return answer

    def remember(self, call: Call, answer: HttpAnswer) -> None:
        """Store the answer of a successful call, if it has a token."""
        key, request = self._of(call)
        if key is not None:
            self._used[key] = request, answer

    def _of(self, call: Call) -> tuple[tuple[Key, str, str] | None, dict[str, Any]]:
        name = "" if call.reads else token_name(call.service, call.action)
        value = call.params.get(name, "") if name else ""
        if not value:
            return None, {}
        request = {k: v for k, v in call.params.items() if k not in (name, "DryRun")}
        return (call.key, f"{call.account} {call.region}", str(value)), request
