"""Why AWS denied a call: which policy, and who can change that.

The forms of the messages are those of
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

import re

from aws_setup.aws.error_messages import HINT_PERMISSION, ErrorMessage

DENIAL_CODES = frozenset(
    {
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
        "NotAuthorized",
        "AuthorizationError",
        "UnauthorizedAccess",
    }
)
"""Error codes of a denied call."""

_ACTION = re.compile(r"perform:? ([a-z0-9-]+:\w+)(?: on (?:the )?resource:? (\S+))?")
_REASON = re.compile(r"\b(?:because|with) ((?:an explicit deny|no )[^.]*(?:\.[^ .][^.]*)*)")
_KINDS = {
    "service control policy": "only your organisation's administrators can change a service "
    "control policy: ask them; a permission of the account does not help",
    "resource control policy": "only your organisation's administrators can change a resource "
    "control policy: ask them; a permission of the account does not help",
    "permissions boundary": "ask the account's administrator to extend the permissions boundary "
    "of your user or role; another policy does not help",
    "session policy": "take a session without that session policy; a permission of the role "
    "does not help",
    "VPC endpoint policy": "ask who owns the VPC endpoint to change its policy, or run from "
    "another network",
    "resource-based policy": "ask the owner of the resource to change its policy",
}
_EXPLICIT = (
    "ask the account's administrator to change the policy that denies it: another permission "
    "does not help"
)
_DEMANDS = "; if it demands tags or a boundary of roles, set tags or permissions_boundary"
_CREATES = re.compile(r":(Create|Run|Tag|Put|Attach|Allocate)")


def denial(message: str, operation: str) -> ErrorMessage:
    """Return cause and fix of a denial; AWS's own reason stays in the cause."""
    action = _ACTION.search(message)
    reason = _REASON.search(message)
    if action is None:
        what = f"your credentials may not call {operation}"
        # Not every service uses the form with an action: its sentence is kept as it is.
        cause = reason[1] if reason else message
    else:
        # A policy with conditions denies some resources only: name the resource.
        on = f" on {action[2]}" if action[2] and action[2] != "*" else ""
        what = f"your credentials lack the permission {action[1]}{on}"
        cause = reason[1] if reason else ""
    return ErrorMessage(f"{what}: {cause}" if cause else what, _hint(message, action))


def _hint(message: str, action: re.Match[str] | None) -> str:
    kind = next((kind for kind in _KINDS if kind.lower() in message.lower()), "")
    hint = _KINDS.get(kind, _EXPLICIT if "explicit deny" in message else HINT_PERMISSION)
    creates = action is not None and _CREATES.search(action[1])
    demanding = kind in ("service control policy", "permissions boundary")
    return hint + _DEMANDS if creates and demanding else hint
