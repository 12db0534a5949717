"""Why AWS ended what it had accepted: reasons of machines, scaling activities, health issues.

They are texts with an error code somewhere, or AWS's sentences without any:
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-capacity.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aws_setup.aws.error_messages import (
    ACCOUNT,
    CAPACITY,
    GONE,
    HINT_PERMISSION,
    IMAGE,
    INTERNAL,
    LAUNCH_FAILED,
    LINKED_ROLE,
    MESSAGES_BY_CODE,
    QUOTA,
    ErrorMessage,
    message_of,
)

HINT_REPLACE = "run the same command again to replace it"
_MAY_PASS = f"{HINT_REPLACE}: the fault is AWS's, and may pass"

_SENTENCES: tuple[tuple[str, ErrorMessage], ...] = (
    (r"assum\w+ role .*aws-service-role", LINKED_ROLE),
    (r"sufficient .*capacity|no spot capacity|fulfill capacity", CAPACITY),
    (r"current (vCPU |instance )?limit of|spot instance count exceeded", QUOTA),
    (r"key pair .*does not exist", MESSAGES_BY_CODE["InvalidKeyPair.NotFound"]),
    (r"image (id )?.*(does not exist|not available)", IMAGE),
    (r"not subscribed to this service", ACCOUNT),
    (r"instance type .*not supported in", MESSAGES_BY_CODE["Unsupported"]),
    (r"enough free addresses", MESSAGES_BY_CODE["InsufficientFreeAddressesInSubnet"]),
    (r"does not exist|no internet gateway|Invalid IAM Instance Profile", GONE),
    (
        r"not automatically assign public IP",
        ErrorMessage(
            "{message}",
            "run `aws ec2 modify-subnet-attribute --map-public-ip-on-launch --subnet-id` with the "
            "subnet's id, or set eks_nodes_public: false",
        ),
    ),
    (
        r"failed to join the kubernetes cluster",
        ErrorMessage(
            "{message}",
            "check that the nodes' subnets have a route to the internet or the endpoints of EKS, "
            "ECR, EC2 and S3, that no network ACL denies it, that the VPC's DHCP options name "
            "AmazonProvidedDNS, and that no inline policy of the node role denies what it needs; "
            "and read `aws ec2 get-console-output` of one of the nodes",
        ),
    ),
    (r"not authorized|not have permission", ErrorMessage("{message}", HINT_PERMISSION)),
)
"""AWS's sentences -> cause and fix; the first that matches applies."""


def state_reason(reason: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return cause and fix of a machine's StateReason: Client.* is the user's, Server.* passes.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
    """
    code = str((reason or {}).get("Code") or "")
    text = " ".join(str((reason or {}).get("Message") or "").split())
    if not text and not code:
        return "AWS gives no reason", HINT_REPLACE
    return text or code, hint_of_reason(f"{code}: {text}")


def hint_of_reason(text: str) -> str:
    """Return the fix for a reason in AWS's words, which may name an error code somewhere."""
    fix = known_fix(text)
    if fix:
        return fix
    if _code_in(text)[0] == "Client":
        return "fix what the reason names; running again alone would end in the same way"
    return "fix what the reason names, then run the same command again"


def health_issues(item: Mapping[str, Any]) -> list[str]:
    """Return the health issues of a cluster, node group or add-on as "code: message"."""
    issues = (item.get("health") or {}).get("issues") or []
    return [_sentence(issue.get("code"), issue.get("message")) for issue in issues]


def update_errors(update: Mapping[str, Any]) -> str:
    """Return why EKS ended an update, as "code: message; …"."""
    errors = update.get("errors") or []
    found = [_sentence(error.get("errorCode"), error.get("errorMessage")) for error in errors]
    return "; ".join(found) or "EKS gives no reason"


def _sentence(code: object, message: object) -> str:
    return ": ".join(str(part) for part in (code, message) if part)


def fix_then(reason: str, then: str) -> str:
    """Return the fix for a reason, and what is to be done when its cause is removed."""
    return f"{known_fix(reason) or 'fix the cause that AWS gives'}; then {then}"


def known_fix(text: str) -> str:
    """Return the fix for a reason in AWS's words; '' where its cause is not known."""
    side, code = _code_in(text)
    if side == "Client" and code == "InternalError":
        return LAUNCH_FAILED.hint
    known = message_of(code, text) or _of_sentence(text)
    if known is not None and known is not INTERNAL:
        return known.hint
    return _MAY_PASS if side == "Server" or known is INTERNAL else ""


def _of_sentence(text: str) -> ErrorMessage | None:
    return next((it for words, it in _SENTENCES if re.search(words, text, re.IGNORECASE)), None)


_SIDED = re.compile(r"\b(Client|Server)\.([A-Z][A-Za-z]+(?:\.[A-Z][A-Za-z]+)*)")
_CODE = re.compile(r"\b([A-Z][a-z0-9]+[A-Z][A-Za-z0-9]+(?:\.[A-Z][A-Za-z]+)*|Unsupported(?= - ))\b")


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
