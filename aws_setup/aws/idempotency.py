"""Creation exactly once where AWS takes no client token, and deletion until it succeeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from botocore.exceptions import ClientError, HTTPClientError

from aws_setup.aws.error_messages import is_throttling
from aws_setup.aws.session import error_code
from aws_setup.engine.retry import CREATE_ONCE, VISIBLE, Attempts, RetryPolicy, retry
from aws_setup.engine.step import RunContext
from aws_setup.engine.wait import Clock, Pending
from aws_setup.errors import SetupError

T = TypeVar("T")

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
"""Error codes of a deletion that something else still prevents."""

NOT_FOUND_SUFFIXES = (".NotFound", ".NotFoundException", "NotFoundException")
NOT_FOUND_CODES = frozenset({"NatGatewayNotFound", "NoSuchEntity"})
NEVER_CREATED_CODES = frozenset({"InvalidAMIID.NotFound", "InvalidKeyPair.NotFound"})
"""Not-found codes of resources that no run creates: waiting does not help."""


def create_once(ctx: RunContext, *, find: Callable[[], T | None], create: Callable[[], T]) -> T:
    """Create a resource whose API takes no client token, without ever creating a second one.

    `find` is called before every attempt, so that a create whose answer was lost, in this process
    or an earlier one, is found again. `create` must use `aws.ec2_once`: botocore's own retries do
    not search first.

    Raises:
        botocore.exceptions.ClientError: AWS refused, or was still throttling at the last attempt.
        botocore.exceptions.HTTPClientError: no answer came at the last attempt.
    """
    attempts = Attempts(ctx.clock)
    while True:
        existing = find()
        if existing is not None:
            return existing
        try:
            return create()
        except (ClientError, HTTPClientError) as error:
            if CREATE_ONCE.pause_after(attempts.made) is None or not is_retryable(error):
                raise
            if not was_rejected(error):
                # It may exist: it would have become visible before a second one is created.
                existing = wait_visible(find, clock=ctx.clock)
                if existing is not None:
                    return existing
            attempts.again(CREATE_ONCE)


def was_rejected(error: ClientError | HTTPClientError) -> bool:
    """Return whether AWS certainly changed nothing."""
    return isinstance(error, ClientError) and is_throttling(error_code(error))


def is_retryable(error: ClientError | HTTPClientError) -> bool:
    """Return whether the same call may succeed later: no answer, a server error, or throttling."""
    if isinstance(error, HTTPClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or is_throttling(error_code(error))


def delete_with_retry(
    ctx: RunContext,
    what: str,
    delete: Callable[[], object],
    *,
    gone: Collection[str],
    busy: Collection[str] = IN_USE_CODES,
    refused: Callable[[], None] = lambda: None,
    deadline: float = 900.0,
) -> None:
    """Call `delete` until AWS accepts it or answers that the resource does not exist.

    Args:
        ctx: the step's context.
        what: what is deleted, for the message.
        delete: the call.
        gone: error codes that mean that the resource does not exist.
        busy: error codes that mean that something else still uses it.
        refused: called once, when something else uses it; raises what it found out about that.
        deadline: seconds after which the deletion fails.

    Raises:
        SetupError: something still used it at the deadline; the error contains AWS's message.
        botocore.exceptions.ClientError: AWS refused for another reason.
    """
    first = [refused]

    def attempt() -> bool | Pending:
        try:
            delete()
        except ClientError as error:
            if error_code(error) in gone:
                return True
            if error_code(error) in busy:
                while first:
                    first.pop()()
                return Pending(str(error.response["Error"].get("Message", error_code(error))))
            raise
        return True

    ctx.wait_until(
        f"{what} is deleted",
        attempt,
        deadline=deadline,
        pause=5,
        hint="delete what still uses it, then run destroy again",
    )


def client_token(*parts: Any) -> str:
    """Return a client token of 64 ASCII characters, EC2's limit, made from all parts.

    The parts are the deployment, the step and everything that distinguishes this resource from an
    earlier one (such as the VPC's id), so that a create after destroy sends another token.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def remembered_tokens(what: str, *, tokens: int) -> SetupError:
    """Return the error of a create whose answers never became visible, one for each token.

    AWS answers a token that it remembers with what it made then, for at least 24 hours after the
    end of an instance, for example:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html
    """
    return SetupError(
        f"{what} cannot be created",
        f"AWS has answered {tokens} requests, and shows nothing with the tags of this step: it may "
        "have answered with what was deleted earlier today, or something removes the tags",
        "look in the AWS console for new ones without tags, and delete those; then run `create` "
        "again, tomorrow or with another deployment_name",
    )


def is_not_found(error: Exception) -> bool:
    """Return whether a request names something that AWS does not know, and a run may create."""
    code = error_code(error)
    if code in NEVER_CREATED_CODES:
        return False
    return code in NOT_FOUND_CODES or code.endswith(NOT_FOUND_SUFFIXES)


def retry_not_found(
    act: Callable[[], T], *, clock: Clock, note: Callable[[str], None] = lambda _: None
) -> T:
    """Do something that names what this run has created, again while AWS does not know that yet.

    Raises:
        botocore.exceptions.ClientError: AWS still does not know it after 31 seconds, or refused
            for another reason.
    """
    return retry(
        act,
        VISIBLE,
        clock=clock,
        should_retry=is_not_found,
        note=lambda _: note("waiting for AWS to become consistent"),
    )


def use_created(ctx: RunContext, what: str, act: Callable[[], T]) -> T:
    """Do something with what was just created, again while AWS does not know that yet.

    Only this part of a step's create is repeated: from its start, a second one would be made.

    Raises:
        SetupError: AWS still does not know it after 31 seconds.
        botocore.exceptions.ClientError: AWS refused for another reason.
    """
    try:
        return retry_not_found(act, clock=ctx.clock, note=ctx.note)
    except ClientError as error:
        if not is_not_found(error):
            raise
        raise SetupError(
            f"AWS has created the {what}, and does not know it yet",
            " ".join(str(error).split()),
            "run the same command again: it continues with what was created",
        ) from error


def wait_visible(
    find: Callable[[], T | None], *, clock: Clock, policy: RetryPolicy = VISIBLE
) -> T | None:
    """Search for something that must exist; None when it stays invisible, by default for 31 s."""
    attempts = Attempts(clock)
    while True:
        found = find()
        if found is not None or not attempts.again(policy):
            return found
