"""Causes and fixes of AWS's error codes: single codes, and families of codes as patterns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aws_setup.engine.http_deadline import HINT_CLOCK

HINT_RERUN = "run the same command again: it resumes from here"
HINT_LOG_IN = (
    "log in again (`aws sso login`, `aws login` or new keys in your profile), then run the same "
    "command again"
)
HINT_QUOTA = (
    "request an increase in the Service Quotas console, or delete what the account no longer needs "
    "of it; for machines, configure fewer or smaller ones"
)
HINT_PERMISSION = (
    "ask the account's administrator for this permission; docs/permissions.md lists them all"
)


@dataclass(frozen=True)
class ErrorMessage:
    """Cause and fix of an error; '{message}' in the cause stands for AWS's message."""

    why: str
    hint: str


EXPIRED = ErrorMessage("your AWS session has expired", HINT_LOG_IN)
CLOCK = ErrorMessage("this computer's clock is wrong{skew}: {message}", HINT_CLOCK)
QUOTA = ErrorMessage("a quota of this account is exhausted: {message}", HINT_QUOTA)
BUSY = ErrorMessage(
    "AWS is still throttling this account after {attempts}", f"wait a minute; {HINT_RERUN}"
)
CAPACITY = ErrorMessage(
    "AWS has no capacity for this instance type in the zone at present",
    "wait and run the same command again, or set another instance type",
)
KEY = ErrorMessage(
    "a KMS key cannot be used, for example the account's default key of EBS volumes: {message}",
    "enable that key, or let you and AWS's service roles use it, or choose another default: `aws "
    "ec2 get-ebs-default-kms-key-id`, `aws ec2 reset-ebs-default-kms-key-id`",
)
GONE = ErrorMessage("the resource does not exist (any more): {message}", HINT_RERUN)
INTERNAL = ErrorMessage("AWS reports an internal error: {message}", HINT_RERUN)
IMAGE = ErrorMessage(
    "this AMI does not exist in this region, or is not shared with this account",
    "set the matching *_ami key; docs/create.md describes how to copy AMIs",
)
ACCOUNT = ErrorMessage(
    "AWS has not activated this service for the account: {message}",
    "complete the account's sign-up, or contact AWS Support; activation may take a day",
)
_DEPENDS = ErrorMessage("something else still uses it: {message}", f"wait a minute; {HINT_RERUN}")
_IN_USE = ErrorMessage(
    "something else uses it, or an operation in progress does: {message}",
    f"wait until that has ended, or delete what uses it; {HINT_RERUN}",
)
_CREDENTIALS = ErrorMessage(
    "AWS does not accept these credentials: {message}",
    "check the secret key of your profile and this computer's clock",
)
_UNKNOWN_KEY = ErrorMessage(
    "AWS does not know these credentials: the key was deleted, or the account has not "
    "enabled this region",
    "check them with `aws sts get-caller-identity`",
)
_CHANGING = ErrorMessage(
    "another operation is changing it: {message}", f"wait a minute; {HINT_RERUN}"
)

MESSAGES_BY_CODE: Mapping[str, ErrorMessage] = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), EXPIRED),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"), _UNKNOWN_KEY
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"), _CREDENTIALS
    ),
    **dict.fromkeys(
        ("OptInRequired", "PendingVerification", "Blocked", "SubscriptionRequiredException"),
        ACCOUNT,
    ),
    "InsufficientFreeAddressesInSubnet": ErrorMessage(
        "the subnet has too few free addresses: {message}",
        "free some of them, or use a larger subnet",
    ),
    "Unsupported": ErrorMessage(
        "this instance type is not offered in the zone: {message}",
        "set another instance type",
    ),
    "UnsupportedAvailabilityZoneException": ErrorMessage(
        "EKS cannot use one of the zones: {message}",
        "run destroy, set other availability_zones, then run create",
    ),
    "InvalidKeyPair.NotFound": ErrorMessage(
        "the key pair is not registered in this region",
        "set ssh_keypair_name, or import the key: `aws ec2 import-key-pair`",
    ),
    **dict.fromkeys(
        ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"), IMAGE
    ),
    **dict.fromkeys(
        ("ResourceContention", "ScalingActivityInProgress", "ConcurrentModification"), _CHANGING
    ),
    **dict.fromkeys(
        ("DependencyViolation", "ResourceInUse", "DeleteConflict", "InvalidIPAddress.InUse"),
        _DEPENDS,
    ),
    "ResourceInUseException": _IN_USE,
    "IdempotentParameterMismatch": ErrorMessage(
        "the same request was sent some time ago with other values",
        "wait until the earlier resource is gone, or restore the configuration",
    ),
    "InstanceTerminated": ErrorMessage(
        "a user or a service terminated the machine: {message}",
        "run the same command again to replace it",
    ),
    "UserInitiatedShutdown": ErrorMessage(
        "a user terminated the machine: {message}", "run the same command again to replace it"
    ),
    "InstanceInitiatedShutdown": ErrorMessage(
        "the machine shut itself down: {message}",
        "read its output with `aws ec2 get-console-output --instance-id` and its id, and use "
        "another AMI if it does not start",
    ),
    "InvalidSnapshot.NotFound": ErrorMessage(
        "a disk of the AMI does not exist any more: {message}", "set the *_ami key to another AMI"
    ),
}
"""AWS's error code, or the code of a StateReason without its prefix -> message."""


@dataclass(frozen=True)
class Family:
    """Errors with one cause: by the pattern of their code and, where it is set, of their text."""

    code: re.Pattern[str]
    message: ErrorMessage
    text: re.Pattern[str] | None = None

    def has(self, code: str, text: str) -> bool:
        """Return whether an error belongs to the family."""
        in_text = self.text is None or self.text.search(text) is not None
        return in_text and self.code.search(code) is not None


def _family(code: str, message: ErrorMessage, text: str = "") -> Family:
    return Family(re.compile(code), message, re.compile(text, re.IGNORECASE) if text else None)


ANY = ""
"""Pattern of every code."""

LINKED_ROLE = ErrorMessage(
    "AWS may not create the role that the service itself uses: {message}",
    "ask the account's administrator for iam:CreateServiceLinkedRole, or to create that role once",
)
_TAG_POLICY = ErrorMessage(
    "a tag policy of your organisation forbids a tag: {message}",
    "set tags to a value that it allows; only the organisation's administrators can "
    "change the policy",
)

_NO_STS = ErrorMessage(
    "the account has not activated STS in this region: {message}",
    "ask the account's administrator to activate it: IAM console, account settings, endpoints",
)
_IDENTITY_TOKEN = ErrorMessage(
    "AWS does not accept the token of your identity provider: {message}",
    "let the program that writes web_identity_token_file write a new one, then run again",
)
_PROTECTED = ErrorMessage(
    "it is protected: {message}",
    "switch that protection off in the console, if it may be changed or deleted",
)
_ALLOWED_IMAGES = ErrorMessage(
    "the account's Allowed AMIs setting forbids this AMI: {message}",
    "ask the account's administrator to allow its owner, or set the matching *_ami key to a copy "
    "in an account that is allowed (create --copy-amis makes copies in yours)",
)
_NO_INTERNET = ErrorMessage(
    "the account blocks public access of its VPCs: {message}",
    "ask the account's administrator for an exclusion of this VPC from VPC Block Public Access",
)
_FREE_PLAN = ErrorMessage(
    "the account is on AWS's Free plan, which launches some small instance types and images only: "
    "{message}",
    "upgrade the account to the Paid plan (Billing and Cost Management console; unused credits "
    f"stay), wait some minutes, then {HINT_RERUN}",
)

BY_TEXT = (
    _family(ANY, LINKED_ROLE, r"service-linked role|ServiceLinkedRole"),
    _family(
        ANY,
        ErrorMessage(
            "the nodes' AMI does not run on this type: {message}",
            "set a type with Intel or AMD processors, such as r5.4xlarge",
        ),
        r"not a valid instance type for requested amiType",
    ),
    _family(
        ANY, MESSAGES_BY_CODE["Unsupported"], r"instance type .* is not supported in your requested"
    ),
    _family("^RequestTimeTooSkewed$|^RequestInTheFuture$", CLOCK),
    _family(ANY, CLOCK, r"signature expired|signature not yet current|request timestamp"),
    _family(
        "AccessDenied",
        ErrorMessage(
            "the MFA code was wrong, or was used before: {message}",
            "run the same command again and type the device's next code; check this computer's "
            "and the device's clock if that fails too",
        ),
        r"MultiFactorAuthentication failed",
    ),
    _family(ANY, _TAG_POLICY, r"tag policy|TagPolicy"),
    _family(ANY, KEY, r"\bKMS\b|default EBS key|customer master key"),
    _family(ANY, _NO_STS, r"STS is not activated|STS .*endpoint is disabled"),
    _family("^Unauthorized", EXPIRED, r"session token|token .*(expired|not found or invalid)"),
    _family(ANY, _PROTECTED, r"disableApi(Termination|Stop)|(deletion|termination) protection"),
    _family(ANY, _ALLOWED_IMAGES, r"allowed AMIs"),
    _family(ANY, _NO_INTERNET, r"block public access"),
    _family(ANY, _FREE_PLAN, r"not eligible for (the )?Free Tier"),
)
"""Families that are recognised by AWS's text: they precede the single codes.

https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/free-tier-plans.html; the texts of EC2,
of types and of images: https://github.com/splunk/attack_range/issues/1302 and
https://github.com/bitnami/vms/issues/1838
"""

THROTTLING = re.compile(
    r"^(RequestLimitExceeded|.*Throttl.*|TooManyRequests(Exception)?|SlowDown"
    r"|BandwidthLimitExceeded|RequestThrottled.*)$"
)
"""Error codes that mean: nothing was done, try again later."""

BY_CODE = (
    Family(THROTTLING, BUSY),
    _family(r"ServiceLinkedRole", LINKED_ROLE),
    _family(r"(Limit|Quota|MaxSpotInstanceCount)Exceeded(Exception)?$|^TooMany", QUOTA),
    _family(r"^Insufficient(\w*Capacity|Capacity\w*)$|^NoCapacity", CAPACITY),
    _family(r"^UnfulfillableCapacity$|^ReservationCapacityExceeded$", CAPACITY),
    _family(r"TagPolicy", _TAG_POLICY),
    _family(r"^(ImageNotAllowed|InvalidAMIID\.NotAllowed)$", _ALLOWED_IMAGES),
    _family(r"BlockPublicAccess", _NO_INTERNET),
    _family(r"^RegionDisabled|^StsRegionalEndpoint", _NO_STS),
    _family(r"^InvalidIdentityToken|^IDP(CommunicationError|RejectedClaim)", _IDENTITY_TOKEN),
    _family(r"^InsufficientFreeAddresses", MESSAGES_BY_CODE["InsufficientFreeAddressesInSubnet"]),
    _family(r"NotSubscribed", ACCOUNT),
    _family(r"KMS|Kms", KEY),
    _family(r"NotFound(Exception)?$|^NoSuch|DoesNotExist", GONE),
    _family(r"^Internal|ServiceUnavailable|^Server|Unavailable(Exception)?$", INTERNAL),
)
"""Families that are recognised by the code alone; the first that matches applies."""

LAUNCH_FAILED = ErrorMessage(
    "the machine failed at launch, usually because its encrypted disks cannot be read: {message}",
    KEY.hint,
)
"""Client.InternalError of a machine.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
"""


def is_throttling(code: str) -> bool:
    """Return whether an error code means that nothing was done, and a later attempt may succeed."""
    return THROTTLING.search(code) is not None


def message_of(code: str, text: str) -> ErrorMessage | None:
    """Return the message of an error code with AWS's text; None of one that nothing knows."""
    for family in BY_TEXT:
        if family.has(code, text):
            return family.message
    if code in MESSAGES_BY_CODE:
        return MESSAGES_BY_CODE[code]
    return next((family.message for family in BY_CODE if family.has(code, text)), None)


_OF_THE_ACCOUNT = (ACCOUNT, KEY, _TAG_POLICY, LINKED_ROLE, _FREE_PLAN)


def forbids_launches(code: str, text: str) -> bool:
    """Return whether an error means that the account cannot launch at all until its owner acts."""
    return message_of(code, text) in _OF_THE_ACCOUNT
