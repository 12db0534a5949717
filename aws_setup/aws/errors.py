"""Translates the errors of AWS and botocore into messages with cause and fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.errors import SetupError

HINT_RERUN = "run the same command again: it resumes from here"
HINT_LOG_IN = (
    "log in again (`aws sso login`, `aws login` or new keys in your profile), then run the same "
    "command again"
)
HINT_QUOTA = (
    "request an increase in the Service Quotas console, or configure fewer or smaller instances"
)
HINT_PERMISSION = (
    "ask the account's administrator for this permission; docs/permissions.md lists them all"
)


THROTTLING_CODES = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "EC2ThrottledException",
    }
)
"""Error codes that mean: nothing was done, try again later."""


@dataclass(frozen=True)
class ErrorMessage:
    """Cause and fix of an error; '{message}' in the cause stands for AWS's message."""

    why: str
    hint: str


_EXPIRED = ErrorMessage("your AWS session has expired", HINT_LOG_IN)
_DENIED = ErrorMessage("{denied}", HINT_PERMISSION)
_QUOTA = ErrorMessage("a quota of this account is exhausted: {message}", HINT_QUOTA)
_BUSY = ErrorMessage(
    "AWS is still throttling this account after {attempts}",
    f"wait a minute; {HINT_RERUN}",
)
_CAPACITY = ErrorMessage(
    "AWS has no capacity for this instance type in the zone at present",
    "wait and run the same command again, or set another instance type or other availability_zones",
)
_IMAGE = ErrorMessage(
    "this AMI does not exist in this region, or is not shared with this account",
    "set the matching *_ami key; docs/troubleshooting.md describes how to copy AMIs",
)
_ACCOUNT = ErrorMessage(
    "AWS has not activated this service for the account: {message}",
    "complete the account's sign-up, or contact AWS Support; activation may take a day",
)
_GONE = ErrorMessage("the resource does not exist (any more): {message}", HINT_RERUN)
_DEPENDS = ErrorMessage("something else still uses it: {message}", f"wait a minute; {HINT_RERUN}")

MESSAGES_BY_CODE: Mapping[str, ErrorMessage] = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), _EXPIRED),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"),
        ErrorMessage(
            "AWS does not know these credentials: the key was deleted, or the account has not "
            "enabled this region",
            "check them with `aws sts get-caller-identity`",
        ),
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"),
        ErrorMessage(
            "AWS does not accept these credentials: {message}",
            "check the secret key of your profile and this computer's clock",
        ),
    ),
    **dict.fromkeys(
        ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "NotAuthorized"), _DENIED
    ),
    **dict.fromkeys(
        ("OptInRequired", "PendingVerification", "Blocked", "SubscriptionRequiredException"),
        _ACCOUNT,
    ),
    **dict.fromkeys(
        (
            "VcpuLimitExceeded",
            "InstanceLimitExceeded",
            "AddressLimitExceeded",
            "VpcLimitExceeded",
            "InternetGatewayLimitExceeded",
            "NatGatewayLimitExceeded",
            "VolumeLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "ResourceLimitExceeded",
            "ResourceLimitExceededException",
            "LimitExceeded",
            "LimitExceededException",
        ),
        _QUOTA,
    ),
    **dict.fromkeys(
        ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity"),
        _CAPACITY,
    ),
    "Unsupported": ErrorMessage(
        "this instance type is not offered in the zone: {message}",
        "set another instance type, or other availability_zones",
    ),
    "UnsupportedAvailabilityZoneException": ErrorMessage(
        "EKS cannot use one of the zones: {message}", "set other availability_zones"
    ),
    "InvalidKeyPair.NotFound": ErrorMessage(
        "the key pair is not registered in this region",
        "set ssh_keypair_name, or import the key: `aws ec2 import-key-pair`",
    ),
    **dict.fromkeys(
        ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"), _IMAGE
    ),
    **dict.fromkeys(sorted(THROTTLING_CODES), _BUSY),
    **dict.fromkeys(
        ("ResourceContention", "ScalingActivityInProgress", "ConcurrentModification"),
        ErrorMessage("another operation is changing it: {message}", f"wait a minute; {HINT_RERUN}"),
    ),
    **dict.fromkeys(
        ("DependencyViolation", "ResourceInUse", "DeleteConflict", "InvalidIPAddress.InUse"),
        _DEPENDS,
    ),
    "IdempotentParameterMismatch": ErrorMessage(
        "the same request was sent some time ago with other values",
        "wait until the earlier resource is gone, or restore the configuration",
    ),
    **dict.fromkeys(
        ("InternalError", "InternalFailure", "ServiceUnavailable", "ServerException"),
        ErrorMessage("AWS reports an internal error: {message}", HINT_RERUN),
    ),
}
"""AWS's error code -> message."""

_UNREACHABLE = ErrorMessage(
    "AWS cannot be reached: {message}",
    "check this computer's network and proxy, and the region's name, then run the same command "
    "again",
)
_NO_SESSION = ErrorMessage(
    "your AWS session has ended or was never started: {message}", HINT_LOG_IN
)

MESSAGES_BY_CLASS: tuple[tuple[type[Exception], ErrorMessage], ...] = (
    (
        botocore_errors.NoCredentialsError,
        ErrorMessage(
            "no AWS credentials were found on this computer",
            "run `aws configure` or `aws sso login`, or select a profile with --profile",
        ),
    ),
    (
        botocore_errors.PartialCredentialsError,
        ErrorMessage(
            "the AWS credentials are incomplete: {message}", "complete the keys of the profile"
        ),
    ),
    (
        botocore_errors.NoRegionError,
        ErrorMessage("no AWS region is configured", "set aws_region, or add --region us-east-1"),
    ),
    (
        botocore_errors.ProfileNotFound,
        ErrorMessage(
            "{message}",
            "choose one that `aws configure list-profiles` lists: set aws_profile or add --profile",
        ),
    ),
    (botocore_errors.UnauthorizedSSOTokenError, _NO_SESSION),
    (botocore_errors.SSOTokenLoadError, _NO_SESSION),
    (botocore_errors.TokenRetrievalError, _NO_SESSION),
    (botocore_errors.LoginRefreshRequired, _NO_SESSION),
    (botocore_errors.LoginError, _NO_SESSION),
    (
        botocore_errors.MissingDependencyException,
        ErrorMessage("{message}", 'run `pip install "botocore[crt]"`'),
    ),
    (
        botocore_errors.CredentialRetrievalError,
        ErrorMessage(
            "the credentials could not be fetched: {message}",
            "run the credential_process of your profile by hand and check its output",
        ),
    ),
    (
        botocore_errors.ConfigParseError,
        ErrorMessage("your AWS configuration cannot be read: {message}", "fix ~/.aws/config"),
    ),
    (
        botocore_errors.InvalidConfigError,
        ErrorMessage("your AWS configuration is invalid: {message}", "fix ~/.aws/config"),
    ),
    (
        botocore_errors.SSLError,
        ErrorMessage(
            "the secure connection to AWS failed: {message}",
            "set AWS_CA_BUNDLE to the certificate of your proxy, if it inspects traffic",
        ),
    ),
    (botocore_errors.ConnectionError, _UNREACHABLE),
    (botocore_errors.HTTPClientError, _UNREACHABLE),
    (
        botocore_errors.InvalidRegionError,
        ErrorMessage("{message}", "set aws_region, as in us-east-1"),
    ),
    (
        botocore_errors.ParamValidationError,
        ErrorMessage("a request was malformed: {message}", "report this with the debug log"),
    ),
)
"""botocore's exception -> message; the first class that matches applies."""

_ACTION = re.compile(r"perform:? ([a-z0-9-]+:\w+)(?: on resource:? (\S+))?")


def to_setup_error(error: Exception) -> Exception:
    """Return the error as a SetupError when it is AWS's or botocore's, else the error itself."""
    if isinstance(error, ClientError):
        return _from_client_error(error)
    if isinstance(error, BotoCoreError):
        return _from_botocore_error(error)
    return error


def _from_client_error(error: ClientError) -> SetupError:
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), _one_line(details.get("Message", ""))
    operation = error.operation_name
    template = MESSAGES_BY_CODE.get(code)
    if template is None and code.endswith((".NotFound", "NotFoundException", "NotFound")):
        template = _GONE
    if template is None:
        template = ErrorMessage(
            "{message}", "see docs/troubleshooting.md; the debug log has the request id"
        )
    tries = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) + 1
    why = template.why.format(
        message=message or code,
        denied=_denied(message, operation),
        attempts=f"{tries} attempts" if tries > 1 else "1 attempt",
    )
    return SetupError(f"{operation} failed ({code})", why, template.hint)


def _from_botocore_error(error: BotoCoreError) -> SetupError:
    for kind, template in MESSAGES_BY_CLASS:
        if isinstance(error, kind):
            return SetupError(
                type(error).__name__, template.why.format(message=_one_line(error)), template.hint
            )
    return SetupError(type(error).__name__, _one_line(error), "see docs/troubleshooting.md")


def _denied(message: str, operation: str) -> str:
    """Return which action was denied, as IAM names it where the message says so."""
    found = _ACTION.search(message)
    if found is None:
        return f"your credentials may not call {operation}"
    # A policy with conditions denies some resources only: name the resource.
    on = f" on {found[2]}" if found[2] and found[2] != "*" else ""
    return f"your credentials lack the permission {found[1]}{on}"


def _one_line(text: object) -> str:
    """Return a message without line breaks and without EC2's encoded part."""
    return " ".join(str(text).split()).partition(" Encoded authorization failure message")[0]
