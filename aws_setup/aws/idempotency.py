"""Creating exactly once where AWS takes no client token, and deleting until it is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from botocore.exceptions import ClientError, HTTPClientError

from aws_setup.aws.session import error_code
from aws_setup.engine.step import RunContext
from aws_setup.engine.wait import Clock, Pending, wait_until

T = TypeVar("T")


ATTEMPTS = 6
"""Creates in all, before a fault of the network or of AWS becomes an error."""

IN_USE_CODES = frozenset(
    {
        "DependencyViolation",
        "InvalidIPAddress.InUse",
        "InvalidAddress.InUse",
        "ResourceInUse",
        "ResourceInUseException",
        "DeleteConflict",
        "ScalingActivityInProgress",
        "ResourceContention",
        "IncorrectState",
        "OperationNotPermitted",
    }
)
"""Error codes of a deletion that something else still stands against."""

THROTTLING_CODES = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "EC2ThrottledException",
    }
)
"""Error codes that mean: not done, come back later."""


def create_once(ctx: RunContext, *, there: Callable[[], T | None], create: Callable[[], T]) -> T:
    """Create something that takes no client token, without ever making a second one.

    It is looked up before every try, so that a create whose answer was lost, by this process or
    an earlier one, is found again. `create` must use `aws.ec2_once`: botocore's own repeats do
    not look.

    Raises:
        botocore.exceptions.ClientError: AWS refused, or was still throttling at the last try.
        botocore.exceptions.HTTPClientError: no answer came at the last try.
    """
    for attempt in range(1, ATTEMPTS + 1):
        found = there()
        if found is not None:
            return found
        try:
            return create()
        except (ClientError, HTTPClientError) as error:
            if attempt == ATTEMPTS or not is_retryable(error):
                raise
            if not was_rejected(error):
                # It may have been made: it must have shown in the lists before a second is made.
                found = wait_visible(there, clock=ctx.clock)
                if found is not None:
                    return found
            ctx.clock.sleep(2.0 * attempt)
    raise AssertionError("the last attempt returns or raises")


def was_rejected(error: ClientError | HTTPClientError) -> bool:
    """Say whether AWS certainly did nothing."""
    return isinstance(error, ClientError) and error_code(error) in THROTTLING_CODES


def is_retryable(error: ClientError | HTTPClientError) -> bool:
    """Say whether the same call may succeed later: no answer, AWS's own fault, or throttling."""
    if isinstance(error, HTTPClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or error_code(error) in THROTTLING_CODES


def delete_with_retry(
    ctx: RunContext,
    what: str,
    delete: Callable[[], object],
    *,
    gone: Collection[str],
    busy: Collection[str] = IN_USE_CODES,
    deadline: float = 900.0,
    pause: float = 5.0,
) -> None:
    """Call `delete` until AWS takes it or says that the thing is gone.

    Args:
        ctx: the step's context.
        what: what is deleted, for the message.
        delete: the call.
        gone: error codes that mean that the thing does not exist.
        busy: error codes that mean that something else still uses it.
        deadline: seconds after which it is given up.
        pause: seconds between two tries.

    Raises:
        SetupError: something still used it at the deadline; it carries AWS's words.
        botocore.exceptions.ClientError: AWS refused for another reason.
    """

    def attempt() -> bool | Pending:
        try:
            delete()
        except ClientError as error:
            if error_code(error) in gone:
                return True
            if error_code(error) in busy:
                return Pending(str(error.response["Error"].get("Message", error_code(error))))
            raise
        return True

    wait_until(
        f"{what} is deleted",
        attempt,
        clock=ctx.clock,
        deadline=deadline,
        pause=pause,
        note=ctx.note,
        hint="delete what still uses it, then run destroy again",
    )


def client_token(*parts: Any) -> str:
    """Return a client token of 64 ASCII characters, EC2's limit, made from all parts.

    The parts are the deployment, the step and everything that makes this life of the resource
    unique (such as the VPC's id), so that a re-creation after destroy sends another token.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


PAUSES = (1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Seconds between two looks at something that must be there: seconds are usual, minutes are not."""

_ENDINGS = (".NotFound", ".NotFoundException", "NotFoundException")
_CODES = frozenset({"NatGatewayNotFound", "NoSuchEntity"})
_NEVER_OURS = frozenset({"InvalidAMIID.NotFound", "InvalidKeyPair.NotFound"})
"""Codes about what no run makes: waiting would not help."""


def is_not_found(error: ClientError) -> bool:
    """Say whether AWS does not know something that a request names."""
    code = error_code(error)
    return code in _CODES or (code.endswith(_ENDINGS) and code not in _NEVER_OURS)


def retry_not_found(
    act: Callable[[], T], *, clock: Clock, note: Callable[[str], None] = lambda _: None
) -> T:
    """Do something that names what this run has made, again while AWS does not know that yet.

    Raises:
        botocore.exceptions.ClientError: AWS still does not know it after half a minute, or
            refused for another reason.
    """
    for pause in PAUSES:
        try:
            return act()
        except ClientError as error:
            if not is_not_found(error):
                raise
            note("AWS does not show it everywhere yet")
            clock.sleep(pause)
    return act()


def wait_visible(look: Callable[[], T | None], *, clock: Clock) -> T | None:
    """Look for something that must be there, for half a minute; None when it never showed."""
    for pause in PAUSES:
        found = look()
        if found is not None:
            return found
        clock.sleep(pause)
    return look()
