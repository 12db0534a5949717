"""Permissions: the credentials' state, the deny list, the policies, and each service's codes."""

from __future__ import annotations

import fnmatch

from aws_setup.rehearsal.core.accounts import current_account
from aws_setup.rehearsal.core.policy_evaluator import Decision, Request, evaluate
from aws_setup.rehearsal.core.protocol import service_model
from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission, Settings
from aws_setup.rehearsal.core.types import AwsError, Call

IAM_PREFIX = {
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "service-quotas": "servicequotas",
}
"""IAM's prefix of the services that botocore names differently."""

ALWAYS_ALLOWED = {("sts", "GetCallerIdentity")}
"""Allowed regardless of policies (STS API reference, GetCallerIdentity)."""


def iam_action(call: Call) -> str:
    """Return IAM's name of a call's action, as in "ec2:RunInstances"."""
    return f"{IAM_PREFIX.get(call.service, call.service)}:{call.action}"


def check_permission(settings: Settings, call: Call) -> None:
    """Raise AwsError when the credentials are invalid or the deny list has the action."""
    if settings.credentials == "expired":
        raise _expired_credentials(call)
    if settings.credentials == "unknown":
        raise _unknown_credentials(call)
    rule = denial(settings, iam_action(call), call.access_key)
    if rule is not None and call.key not in ALWAYS_ALLOWED:
        raise _access_denied(settings, call, rule.reason)


def check_request(settings: Settings, call: Call, request: Request) -> None:
    """Raise AwsError when the caller's policies do not allow what a call needs."""
    if call.key not in ALWAYS_ALLOWED and decide(settings, request) is not Decision.ALLOWED:
        raise _access_denied(settings, call, _reason(settings, request), request)


def decide(settings: Settings, request: Request, access_key: str = "") -> Decision:
    """Return the decision about a request; without policies the deny list alone decides."""
    if current_account() != ACCOUNT:
        return Decision.ALLOWED
    if is_denied(settings, request.action, access_key):
        return Decision.IMPLICIT_DENY
    of_organisation = by_organisation(settings, request)
    if of_organisation is not Decision.ALLOWED:
        return of_organisation
    return evaluate(settings.policies, request) if settings.policies else Decision.ALLOWED


def by_organisation(settings: Settings, request: Request) -> Decision:
    """Return the decision of the service control policies, which limit and grant nothing.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
    """
    policies = settings.service_control_policies
    return evaluate(policies, request) if policies else Decision.ALLOWED


def is_denied(settings: Settings, action: str, access_key: str = "") -> bool:
    """Return whether the deny list denies an IAM action to the caller."""
    return denial(settings, action, access_key) is not None


def denial(settings: Settings, action: str, access_key: str = "") -> DeniedPermission | None:
    """Return the first rule of the deny list that denies an IAM action to the caller."""
    if current_account() != ACCOUNT:
        return None
    for rule in settings.deny:
        callers = (settings.principal, access_key)
        if fnmatch.fnmatchcase(action.lower(), rule.action.lower()) and any(
            fnmatch.fnmatchcase(caller, rule.principal) for caller in callers
        ):
            return rule
    return None


def _is_json(call: Call) -> bool:
    return str(service_model(call.service).protocol) in ("json", "rest-json")


def _expired_credentials(call: Call) -> AwsError:
    if call.service == "ec2":
        return AwsError("RequestExpired", "Request has expired.", status=400)
    code = "ExpiredTokenException" if _is_json(call) else "ExpiredToken"
    message = "The security token included in the request is expired"
    return AwsError(code, message, status=403)


def _unknown_credentials(call: Call) -> AwsError:
    if call.service == "ec2":
        message = "AWS was not able to validate the provided access credentials"
        return AwsError("AuthFailure", message, status=401)
    code = "UnrecognizedClientException" if _is_json(call) else "InvalidClientTokenId"
    return AwsError(code, "The security token included in the request is invalid.", status=403)


def _reason(settings: Settings, request: Request) -> str:
    """Return why a request is denied, in AWS's words.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    of_organisation = by_organisation(settings, request)
    if of_organisation is Decision.EXPLICIT_DENY:
        return "with an explicit deny in a service control policy"
    if of_organisation is Decision.IMPLICIT_DENY:
        return f"because no service control policy allows the {request.action} action"
    if decide(settings, request) is Decision.EXPLICIT_DENY:
        return "with an explicit deny in an identity-based policy"
    return f"because no identity-based policy allows the {request.action} action"


def _access_denied(
    settings: Settings, call: Call, reason: str, request: Request | None = None
) -> AwsError:
    action = request.action if request else iam_action(call)
    on = f" on resource: {request.resource}" if request and request.resource != "*" else ""
    text = f"User: {settings.principal} is not authorized to perform: {action}{on} {reason}"
    if call.service == "ec2":
        message = f"You are not authorized to perform this operation. {text}"
        return AwsError("UnauthorizedOperation", message, status=403)
    code = "AccessDeniedException" if _is_json(call) else "AccessDenied"
    return AwsError(code, text, status=403)
