"""Why AWS denied a call: which policy, and who can change that.

The forms of the messages are those of
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

import re

from aws_setup.aws.error_messages import HINT_PERMISSION, ErrorMessage

_CODE = re.compile(
    r"^(UnauthorizedOperation|(Access|Authorization)Denied|NotAuthorized|AuthorizationError"
    r"|UnauthorizedAccess|Forbidden)(Exception)?$|^403$"
)
"""Codes of a denied call; 403 stands for an answer without a code, as a proxy's is."""

ENCODED = " Encoded authorization failure message"
"""What precedes the part of EC2's message that only sts:DecodeAuthorizationMessage can read."""

_ACTION = re.compile(r"perform:? ([a-z0-9-]+:\w+)(?: on (?:the )?resource:? (\S+))?")
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
    "resource-based polic": "ask the owner of the resource to change its policy",
    "role trust policy": "ask the owner of that role to name you in its trust policy",
    "declarative policy": "only your organisation's administrators can change a declarative "
    "policy: ask them; a permission of the account does not help",
    "organization's policy": "only your organisation's administrators can change a policy of the "
    "organisation: ask them; a permission of the account does not help",
}
_EXPLICIT = (
    "ask the account's administrator to change the policy that denies it: another permission "
    "does not help"
)
_DECODE = (
    "; `aws sts decode-authorization-message` with the encoded message of the debug log says which "
    "policy denies it"
)
_DEMANDS = "; if it demands tags or a boundary of roles, set tags or permissions_boundary"
_CREATES = re.compile(r":(Create|Run|Tag|Put|Attach|Allocate)")


def is_denial(code: str) -> bool:
    """Return whether an error code means that the caller may not do this."""
    return _CODE.search(code) is not None


def denied_action(message: str) -> str:
    """Return the action that a message says is denied, such as ec2:CreateTags; '' for none.

    It may be another one than that of the call, which tags what it creates.
    """
    found = _ACTION.search(message)
    return found[1] if found else ""


def denial(message: str, operation: str, *, encoded: bool = False) -> ErrorMessage:
    """Return cause and fix of a denial; AWS's own reason stays in the cause.

    `encoded` is whether the message had a part that only AWS can decode.
    """
    action = _ACTION.search(message)
    if action is None:
        what = f"your credentials may not call {operation}"
        # Not every service uses the form with an action: its sentence is kept as it is.
        cause = message
    else:
        # A policy with conditions denies some resources only: name the resource.
        on = f" on {action[2]}" if action[2] and action[2] != "*" else ""
        what = f"your credentials lack the permission {action[1]}{on}"
        cause = _LINK.sub("", message[action.end() :]).strip(" .,:")
    hint = _hint(message, action)
    if encoded and not any(kind.lower() in message.lower() for kind in _KINDS):
        hint += _DECODE
    return ErrorMessage(f"{what}: {cause}" if re.search(r"\w", cause) else what, hint)


_LINK = re.compile(r"^[ .,]*(because|with|and)\b")
"""What joins AWS's reason to the action and the resource before it."""


def _hint(message: str, action: re.Match[str] | None) -> str:
    kind = next((kind for kind in _KINDS if kind.lower() in message.lower()), "")
    hint = _KINDS.get(kind, _EXPLICIT if "explicit deny" in message else HINT_PERMISSION)
    creates = action is not None and _CREATES.search(action[1])
    demanding = kind in ("service control policy", "permissions boundary")
    return hint + _DEMANDS if creates and demanding else hint
