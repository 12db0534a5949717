"""The universal targets of EventBridge Scheduler: what is called, with which role and permissions.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aws_setup.rehearsal.aws.iam import INTERNAL_CLIENT, visible_role
from aws_setup.rehearsal.aws.required_permissions import required
from aws_setup.rehearsal.core.policy_evaluator import Decision, Request, applies, evaluate
from aws_setup.rehearsal.core.protocol import operation_model
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

SCHEDULER = "scheduler.amazonaws.com"

TARGET = re.compile(r"arn:(?P<partition>[a-z-]+):scheduler:::aws-sdk:(?P<service>[a-z0-9]+):(\w+)")

READ_ONLY = (
    "get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read",
    "lookup", "discover", "validate",
)  # fmt: skip
"""Prefixes of the actions that a schedule cannot call; not the whole list."""


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message, extra={"Message": message})


def parse_target(cloud: CloudApi, target: Mapping[str, Any]) -> tuple[str, str]:
    """Return service and action of a universal target.

    Raises:
        AwsError: its ARN, its role's ARN or its input is none that AWS accepts.
    """
    match = TARGET.fullmatch(target["Arn"])
    if match is None or match["partition"] != cloud.settings.partition:
        raise _invalid(f"Provided Arn is not in correct format: {target['Arn']}")
    service, action = match["service"], match[3]
    name = action[0].upper() + action[1:]
    if not action[0].islower() or action.startswith(READ_ONLY):
        raise _invalid(f"The target {target['Arn']} is not supported.")
    try:
        operation_model(service, name)
    except Exception as error:
        raise _invalid(f"{service}:{action} is no API action: {error}") from error
    if not re.fullmatch(r"arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]+", target["RoleArn"]):
        raise _invalid(f"Provided role is not in correct format: {target['RoleArn']}")
    _input_of(target)
    return service, name


def _input_of(target: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(target.get("Input") or "")
    except ValueError:
        raise _invalid("Provided Input is not valid JSON.") from None
    if not isinstance(found, dict):
        raise _invalid("Provided Input is no JSON object.")
    return found


def can_assume(cloud: CloudApi, role_arn: str, *, group: str, account: str) -> bool:
    """Return whether the schedules of a group may assume a role, by the role's trust policy."""
    role = visible_role(cloud, role_arn.rpartition("/")[2])
    if role is None or role.arn != role_arn:
        return False
    context = {"aws:SourceAccount": account, "aws:SourceArn": group}
    return any(
        SCHEDULER in _listed(statement.get("Principal", {}).get("Service"))
        and statement["Effect"] == "Allow"
        and applies(
            {key: value for key, value in statement.items() if key != "Principal"}
            | {"Resource": "*"},
            Request("sts:AssumeRole", "*", context),
        )
        for statement in _listed(_document(role.assume_role_policy_document)["Statement"])
    )


def invoke(cloud: CloudApi, created: Call, target: Mapping[str, Any], *, group: str) -> str:
    """Call a schedule's target with its role; return the error, '' after success."""
    try:
        service, action = parse_target(cloud, target)
        if not can_assume(cloud, target["RoleArn"], group=group, account=created.account):
            return "the role cannot be assumed"
        shape = operation_model(service, action).input_shape
        params = _renamed(shape, _input_of(target))
        call = Call(service, action, params, created.region, created.account, INTERNAL_CLIENT)
        for request in required(cloud, call):
            if not _permits(cloud, target["RoleArn"], request):
                return f"not authorized to perform {request.action} on {request.resource}"
        cloud.call(service, action, region=created.region, **params)
    except AwsError as error:
        return f"{error.code}: {error.message}"
    return ""


def _renamed(shape: Any, value: Any) -> Any:
    """Return an input with the names of the service's model, whose first letters may be small."""
    if shape.type_name == "list" and isinstance(value, list):
        return [_renamed(shape.member, item) for item in value]
    if shape.type_name != "structure" or not isinstance(value, dict):
        return value
    names = {name[0].upper() + name[1:]: name for name in shape.members}
    unknown = value.keys() - names.keys()
    if unknown:
        raise _invalid(f"The field {sorted(unknown)[0]} is not supported by {shape.name}.")
    return {names[key]: _renamed(shape.members[names[key]], item) for key, item in value.items()}


def _permits(cloud: CloudApi, role_arn: str, request: Request) -> bool:
    """Return whether the inline policies of a role permit a request; managed ones are not read."""
    role = visible_role(cloud, role_arn.rpartition("/")[2])
    documents = [_document(text) for text in role.policies.values()]
    return evaluate(documents, request) is Decision.ALLOWED


def _document(text: Any) -> dict[str, Any]:
    found: dict[str, Any] = text if isinstance(text, dict) else json.loads(unquote(text))
    return found


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
