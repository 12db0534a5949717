"""Translates the errors of AWS and botocore into messages with cause and fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ProxyConnectionError
from botocore.parsers import ResponseParserError

from aws_setup.aws.credential_errors import message_of_class
from aws_setup.aws.denials import ENCODED, denial, is_denial
from aws_setup.aws.error_messages import (
    CLOCK,
    INTERNAL,
    ErrorMessage,
    message_of,
)
from aws_setup.engine.http_deadline import AT_PROXY, why_broken
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError

AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)
"""What a call of AWS raises: a refusal, no answer, or one that is not AWS's."""

CLOCK_TOLERANCE = 240.0
"""Seconds: AWS refuses a signature that is five minutes off, for some services fifteen."""

CLOCK_CODES = frozenset(
    {
        "RequestExpired",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "AuthFailure",
        "RequestTimeTooSkewed",
    }
)
"""Error codes that a wrong clock causes, among other causes."""


def to_setup_error(error: Exception) -> Exception:
    """Return the error as a SetupError when it is AWS's or botocore's, else the error itself."""
    if isinstance(error, ClientError):
        return _from_client_error(error)
    if isinstance(error, AWS_ERRORS):
        return _from_botocore_error(error)
    return error


def describe_error(error: Exception) -> str:
    """Return any error as one line: an expected one's text, else its type and text."""
    translated = to_setup_error(error)
    if isinstance(translated, SetupError):
        return _one_line(translated)
    return f"the answer cannot be read ({type(error).__name__}: {_one_line(error)})"


def _from_client_error(error: ClientError) -> SetupError:
    details = error.response.get("Error", {})
    code, message = str(details.get("Code") or ""), _one_line(details.get("Message") or "")
    operation = error.operation_name
    template = _template(error, code, message)
    tries = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) + 1
    why = _fill(
        template.why,
        message=message or code,
        skew=_skew_text(error),
        attempts=count_of(tries, "attempt"),
    )
    return SetupError(f"{operation} failed ({code})", why, template.hint)


def _template(error: ClientError, code: str, message: str) -> ErrorMessage:
    """Return cause and fix: a clock that is off, a denial, what the code means, or neither."""
    # Some answers of EC2 name a side: Client.UnauthorizedOperation.
    code = code.removeprefix("Client.").removeprefix("Server.")
    if code in CLOCK_CODES and abs(_skew(error)) > CLOCK_TOLERANCE:
        return CLOCK
    known = message_of(code, message)
    if is_denial(code) and (known is None or "perform" in message):
        encoded = ENCODED.strip() in str(error.response.get("Error", {}).get("Message"))
        return denial(message, error.operation_name, encoded=encoded)
    if known is not None:
        return known
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status >= 500:
        return INTERNAL
    return ErrorMessage(
        "{message}", "see docs/troubleshooting.md; the debug log has the request id"
    )


def _fill(text: str, **values: str) -> str:
    """Replace the placeholders; AWS's own text may contain braces, so no str.format."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)


def clock_skew(headers: Mapping[str, str], *, default: float | None = None) -> float | None:
    """Return by how many seconds this computer's clock is ahead of an answer's `Date`.

    Without one that can be read, `default`.
    """
    try:
        theirs = parsedate_to_datetime(str(headers["date"])).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return default
    return (datetime.now(UTC) - theirs).total_seconds()


def _skew(error: ClientError) -> float:
    """Return by how many seconds this computer's clock is ahead of AWS's; 0 where unknown."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return clock_skew(headers) or 0.0


def _skew_text(error: ClientError) -> str:
    skew = _skew(error)
    if abs(skew) <= CLOCK_TOLERANCE:
        return ""
    minutes = count_of(round(abs(skew) / 60), "minute")
    return f" ({minutes} {'ahead of' if skew > 0 else 'behind'} AWS's)"


def _from_botocore_error(error: Exception) -> SetupError:
    template = message_of_class(error) or ErrorMessage("{message}", "see docs/troubleshooting.md")
    why = _fill(template.why, message=_one_line(_text_of(error)))
    return SetupError(type(error).__name__, why, template.hint)


def _text_of(error: Exception) -> str:
    """Return what botocore says of an error; of a proxy it leaves out why, and the way to where."""
    if not isinstance(error, ProxyConnectionError):
        return str(error)
    known: Mapping[str, Any] = error.kwargs
    where, why = known.get("endpoint_url"), known.get("error")
    text = f"{error} for {where}" if where else str(error)
    if not isinstance(why, Exception):
        return text
    return f"{text}: {why_broken(why).removeprefix(f'{AT_PROXY}: ')}"


def _one_line(text: object) -> str:
    """Return a message without line breaks and without EC2's encoded part."""
    return " ".join(str(text).split()).partition(ENCODED)[0]
