"""Translates the errors of AWS and botocore into messages with cause and fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from aws_setup.aws.credential_errors import message_of_class
from aws_setup.aws.denials import DENIAL_CODES, denial
from aws_setup.aws.error_messages import (
    CLOCK,
    INTERNAL,
    LAUNCH_FAILED,
    ErrorMessage,
    message_of,
)
from aws_setup.errors import SetupError

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
    if isinstance(error, (BotoCoreError, ResponseParserError)):
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
    code, message = str(details.get("Code", "")), _one_line(details.get("Message", ""))
    operation = error.operation_name
    template = _template(error, code, message)
    tries = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) + 1
    why = _fill(
        template.why,
        message=message or code,
        skew=_skew_text(error),
        attempts=f"{tries} attempts" if tries > 1 else "1 attempt",
    )
    return SetupError(f"{operation} failed ({code})", why, template.hint)


def _template(error: ClientError, code: str, message: str) -> ErrorMessage:
    """Return cause and fix: a clock that is off, a denial, what the code means, or neither."""
    if code in CLOCK_CODES and abs(_skew(error)) > CLOCK_TOLERANCE:
        return CLOCK
    known = message_of(code, message)
    if code in DENIAL_CODES and (known is None or "perform" in message):
        return denial(message, error.operation_name)
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
    return f" ({abs(skew) / 60:.0f} minutes {'ahead of' if skew > 0 else 'behind'} AWS's)"


def _from_botocore_error(error: Exception) -> SetupError:
    template = message_of_class(error) or ErrorMessage("{message}", "see docs/troubleshooting.md")
    why = _fill(template.why, message=_one_line(error))
    return SetupError(type(error).__name__, why, template.hint)


def state_reason(reason: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return cause and fix of a machine's StateReason: Client.* is the user's, Server.* passes.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
    """
    code, text = str((reason or {}).get("Code", "")), _one_line((reason or {}).get("Message", ""))
    if not text:
        return "AWS gives no reason", "run the same command again to replace it"
    return text, hint_of_reason(f"{code}: {text}")


def hint_of_reason(text: str) -> str:
    """Return the fix for a reason in AWS's words, which name an error code somewhere."""
    side, code = _code_in(text)
    if side == "Client" and code == "InternalError":
        return LAUNCH_FAILED.hint
    known = message_of(code, text) if code else message_of("", text)
    if known is not None and known is not INTERNAL:
        return known.hint
    if side == "Server" or known is INTERNAL:
        return "run the same command again to replace it: the fault is AWS's, and may pass"
    if side == "Client":
        return "fix what the reason names; running again alone would end in the same way"
    return "fix what the reason names, then run the same command again"


_SIDED = re.compile(r"\b(Client|Server)\.([A-Z][A-Za-z]+(?:\.[A-Z][A-Za-z]+)*)")
_CODE = re.compile(r"\b([A-Z][a-z]+[A-Z][A-Za-z]+(?:\.[A-Z][A-Za-z]+)*)\b")


def _code_in(text: str) -> tuple[str, str]:
    """Return side and error code that a text names, '' and '' without one.

    The last one counts, because a group's reason may repeat that of one of its machines.
    """
    sided = _SIDED.findall(text)
    if sided:
        inner = [pair for pair in sided if pair[0] == "Client"] or sided
        side, code = inner[-1]
        return str(side), str(code)
    codes = [str(code) for code in _CODE.findall(text) if message_of(str(code), "")]
    return "", codes[-1] if codes else ""


def _one_line(text: object) -> str:
    """Return a message without line breaks and without EC2's encoded part."""
    return " ".join(str(text).split()).partition(" Encoded authorization failure message")[0]
