"""IAM: visibility of roles with a delay, OIDC providers, policy simulation; STS identity.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aws_setup.rehearsal.aws.caller_context import of_every_call
from aws_setup.rehearsal.core.accounts import current_account
from aws_setup.rehearsal.core.permissions import by_organisation, decide
from aws_setup.rehearsal.core.policy_evaluator import Decision, Request, missing_keys
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

INTERNAL_CLIENT = "rehearsal"
"""Client of the calls that one service makes for another; they need no permission."""


class PropagationDelay:
    """The roles and attachments that are hidden from other services, and until when."""

    def __init__(self) -> None:
        """Start with everything visible."""
        self.until: dict[tuple[str, str], float] = {}

    def hides(self, role_id: str, what: str, now: float) -> bool:
        """Return whether a role (`what` is empty) or its policy `what` is still hidden."""
        return now < self.until.get((role_id, what), 0.0)


def _find_role(cloud: CloudApi, name: str) -> Any:
    for role in cloud.backend("iam").roles.values():
        if role.name == name:
            return role
    return None


def _delay_visibility(cloud: CloudApi, role_id: str, what: str) -> None:
    if cloud.settings.lag and cloud.clock.speed:
        until = cloud.clock.now() + cloud.latencies["iam visible"]
        cloud.store_of(PropagationDelay).until[role_id, what] = until


def visible_role(cloud: CloudApi, name: str) -> Any:
    """Return moto's role of a name; None while it is hidden from other services."""
    role = _find_role(cloud, name)
    if role is None or cloud.store_of(PropagationDelay).hides(role.id, "", cloud.clock.now()):
        return None
    return role


def visible_policies(cloud: CloudApi, role: Any) -> set[str]:
    """Return the ARNs of a role's managed policies that other services see."""
    delay, now = cloud.store_of(PropagationDelay), cloud.clock.now()
    return {arn for arn in role.managed_policies if not delay.hides(role.id, arn, now)}


def has_managed_policy(cloud: CloudApi, role: Any, names: set[str]) -> bool:
    """Return whether a role has one of some policies of AWS, by their names with their path."""
    prefix = f"arn:{cloud.settings.partition}:iam::aws:policy/"
    return bool({prefix + name for name in names} & visible_policies(cloud, role))


def _statements(role: Any, action: str) -> list[dict[str, Any]]:
    document = json.loads(role.assume_role_policy_document)
    held = document.get("Statement", [])
    statements = held if isinstance(held, list) else [held]
    return [
        statement
        for statement in statements
        if statement.get("Effect") == "Allow" and action in _listed(statement.get("Action"))
    ]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def trusts(role: Any, service: str) -> bool:
    """Return whether a service may assume a role by the role's trust policy."""
    return any(
        isinstance(statement.get("Principal"), dict)
        and service in _listed(statement["Principal"].get("Service"))
        for statement in _statements(role, "sts:AssumeRole")
    )


def trusts_web_identity(role: Any, *, provider: str, claims: Mapping[str, str]) -> bool:
    """Return whether a role trusts a token of an OIDC provider with these claims."""
    for statement in _statements(role, "sts:AssumeRoleWithWebIdentity"):
        conditions = statement.get("Condition", {})
        requested = dict(conditions.get("StringEquals", {}))
        if provider in _listed(statement.get("Principal", {}).get("Federated")) and all(
            claims.get(key) in _listed(value) for key, value in requested.items()
        ):
            return set(conditions) <= {"StringEquals"}
    return False


PASSED_TO = dict.fromkeys(
    ("CreatePodIdentityAssociation", "UpdatePodIdentityAssociation"), "pods.eks.amazonaws.com"
)
"""Action -> the service that gets the role where it is not the one that is called."""


def check_pass_role(cloud: CloudApi, call: Call, arn: str) -> None:
    """Reject a role that the caller may not pass to a service (iam:PassRole).

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    service = PASSED_TO.get(call.action) or f"{call.service}.amazonaws.com"
    context = {**of_every_call(cloud, call), "iam:PassedToService": service}
    request = Request("iam:PassRole", arn, context)
    if decide(cloud.settings, request, call.access_key) is Decision.ALLOWED:
        return
    text = (
        f"User: {cloud.settings.principal} is not authorized to perform: iam:PassRole on "
        f"resource: {arn}"
    )
    code = "UnauthorizedOperation" if call.service == "ec2" else "AccessDeniedException"
    raise AwsError(code, text, status=403)


def _created(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    # The cloud's one clock: EKS's access entries are compared with it.
    _find_role(cloud, call.params["RoleName"]).create_date = cloud.clock.today()
    _delay_visibility(cloud, answer["Role"]["RoleId"], "")


def _attached(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    _delay_visibility(
        cloud, _find_role(cloud, call.params["RoleName"]).id, call.params["PolicyArn"]
    )


def _in_profile(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    profile = cloud.backend("iam").instance_profiles[call.params["InstanceProfileName"]]
    _delay_visibility(cloud, profile.id, "")


def _check_pass_instance_profile(cloud: CloudApi, call: Call) -> None:
    """RunInstances: the caller may pass the profile's role, and EC2 sees the profile."""
    requested = call.params.get("IamInstanceProfile") or {}
    if requested and call.client != INTERNAL_CLIENT:
        for arn in _roles_of_profile(cloud, str(requested.get("Arn") or requested.get("Name"))):
            check_pass_role(cloud, call, arn)
    for profile in cloud.backend("iam").instance_profiles.values():
        hidden = cloud.store_of(PropagationDelay).hides(profile.id, "", cloud.clock.now())
        if hidden and (
            requested.get("Arn") == profile.arn or requested.get("Name") == profile.name
        ):
            message = f"Value ({profile.name}) for parameter iamInstanceProfile.name is invalid. "
            raise AwsError("InvalidParameterValue", f"{message}Invalid IAM Instance Profile name")


def _roles_of_profile(cloud: CloudApi, name: str) -> list[str]:
    """Return the ARNs of an instance profile's roles, the profile's own name while it has none."""
    for profile in cloud.backend("iam").instance_profiles.values():
        if name in (profile.arn, profile.name) and profile.roles:
            return [str(role.arn) for role in profile.roles]
    return [name]


def list_resources(cloud: CloudApi) -> list[Resource]:
    """List roles, instance profiles, OIDC providers and customer policies; none is billed."""
    backend = cloud.backend("iam")
    roles = [
        Resource("iam", "role", role.name, "", tags=_resource_tags(role.tags))
        for role in backend.roles.values()
    ]
    profiles = [Resource("iam", "instance profile", name, "") for name in backend.instance_profiles]
    providers = [
        Resource("iam", "oidc provider", arn, "", tags=_resource_tags(provider.tag_list_type))
        for arn, provider in backend.open_id_providers.items()
    ]
    policies = [
        Resource("iam", "policy", arn, "")
        for arn in backend.managed_policies
        if ":iam::aws:" not in arn
    ]
    return roles + profiles + providers + policies


def _resource_tags(tags: Iterable[dict[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or []}


AFTER = {
    ("iam", "CreateRole"): _created,
    ("iam", "AttachRolePolicy"): _attached,
    ("iam", "AddRoleToInstanceProfile"): _in_profile,
}
BEFORE = {("ec2", "RunInstances"): _check_pass_instance_profile}


def _client_ids_of(cloud: CloudApi, call: Call) -> list[str]:
    arn = call.params["OpenIDConnectProviderArn"]
    provider = cloud.backend("iam").open_id_providers.get(arn)
    if provider is None:
        message = f"OpenIDConnect Provider not found for arn {arn}"
        raise AwsError("NoSuchEntity", message, status=404)
    found: list[str] = provider.client_id_list
    return found


def add_client_id(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer AddClientIDToOpenIDConnectProvider; an existing id is no error."""
    ids = _client_ids_of(cloud, call)
    if call.params["ClientID"] not in ids:
        ids.append(call.params["ClientID"])
    return {}


def remove_client_id(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer RemoveClientIDFromOpenIDConnectProvider; an unknown id is no error."""
    ids = _client_ids_of(cloud, call)
    if call.params["ClientID"] in ids:
        ids.remove(call.params["ClientID"])
    return {}


OIDC_PROVIDER_ANSWERS = {
    ("iam", "AddClientIDToOpenIDConnectProvider"): add_client_id,
    ("iam", "RemoveClientIDFromOpenIDConnectProvider"): remove_client_id,
}


PAGE = 100
"""Results on a page without MaxItems."""


def simulate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer SimulatePrincipalPolicy by the deny list, the caller's policies and the SCPs.

    The source must be a user or a role of the account: IAM does not simulate assumed-role
    sessions or the root user.
    """
    arn = call.params["PolicySourceArn"]
    if not arn.startswith(f"arn:{cloud.settings.partition}:iam::{call.account}:"):
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity")
    if unique_id(cloud, arn) is None:
        raise AwsError("NoSuchEntity", f"The entity {arn} cannot be found.", status=404)
    caller = call.access_key if arn == cloud.settings.principal else arn
    context = {
        str(entry["ContextKeyName"]): [str(value) for value in entry["ContextKeyValues"]]
        for entry in call.params.get("ContextEntries") or []
    }
    excluded = call.params.get("PolicyExclusionList") or []
    with_scps = {"PolicyType": "scp"} not in excluded
    results = [
        _result(cloud, Request(action, resource, context), caller, with_scps=with_scps)
        for action in call.params["ActionNames"]
        for resource in call.params.get("ResourceArns") or ["*"]
    ]
    start = int(call.params.get("Marker") or 0)
    end = start + int(call.params.get("MaxItems") or PAGE)
    more = end < len(results)
    answer = {"EvaluationResults": results[start:end], "IsTruncated": more}
    return answer | ({"Marker": str(end)} if more else {})


def _result(cloud: CloudApi, request: Request, caller: str, *, with_scps: bool) -> dict[str, Any]:
    """Return one result; of the keys of SCPs that are missing it says nothing.

    A named resource has its missing keys in its own part of the result only (API_EvaluationResult,
    MissingContextValues).
    """
    settings = cloud.settings
    used = settings if with_scps else settings.model_copy(update={"service_control_policies": []})
    decision = decide(used, request, caller)
    allowed = by_organisation(used, request) is Decision.ALLOWED
    missing = missing_keys(settings.policies, request)
    if decision is Decision.ALLOWED or not allowed:
        missing = []
    named = request.resource != "*"
    result: dict[str, Any] = {
        "EvalActionName": request.action,
        "EvalResourceName": request.resource,
        "EvalDecision": str(decision),
        "MatchedStatements": [],
        "MissingContextValues": [] if named else missing,
    }
    if named:
        part = {"EvalResourceName": request.resource, "EvalResourceDecision": str(decision)}
        result["ResourceSpecificResults"] = [part | {"MissingContextValues": missing}]
    if used.service_control_policies:
        result["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": allowed}
    return result


SIMULATE_ANSWERS = {("iam", "SimulatePrincipalPolicy"): simulate}


def unique_id(cloud: CloudApi, arn: str) -> str | None:
    """Return the unique id of a user or role; None for an unknown principal."""
    if arn == cloud.settings.principal_in(current_account()):
        return arn
    backend = cloud.backend("iam")
    for principals in (backend.roles, backend.users):
        for item in principals.values():
            if item.arn == arn:
                return str(item.id)
    return None


def _identity(cloud: CloudApi, call: Call) -> dict[str, Any]:
    arn = cloud.settings.principal_in(call.account)
    return {"UserId": "AIDAREHEARSAL0000000A", "Account": call.account, "Arn": arn}


STS_ANSWERS = {("sts", "GetCallerIdentity"): _identity}

ANSWERS = {**OIDC_PROVIDER_ANSWERS, **SIMULATE_ANSWERS, **STS_ANSWERS}
