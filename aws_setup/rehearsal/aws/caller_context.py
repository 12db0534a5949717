"""The condition keys that a call has: of the caller, of the call's own parameters, and its tags.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import re
from typing import Any

from aws_setup.rehearsal.core.types import Call, CloudApi

_SESSION = re.compile(r"^arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/")

GLOBAL_REGION = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Partition -> the region of calls of IAM and STS (IAM user guide, aws:RequestedRegion)."""


def of_every_call(cloud: CloudApi, call: Call) -> dict[str, str | list[str]]:
    """Return the global condition keys of a call; without MFA aws:MultiFactorAuthPresent is absent.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    settings = cloud.settings
    of_iam = GLOBAL_REGION.get(settings.partition, call.region)
    found: dict[str, str | list[str]] = {
        "aws:RequestedRegion": of_iam if call.service == "iam" else call.region,
        "aws:PrincipalArn": principal_arn(cloud),
        "aws:PrincipalAccount": call.account,
        "aws:SourceIp": settings.operator_address,
        "aws:SecureTransport": "true",
    }
    if settings.mfa:
        found["aws:MultiFactorAuthPresent"] = "true"
    if tags := request_tags(call):
        found["aws:TagKeys"] = list(tags)
    if call.key == ("ec2", "RunInstances"):
        options = call.params.get("MetadataOptions") or {}
        found["ec2:InstanceType"] = str(call.params.get("InstanceType", ""))
        found["ec2:MetadataHttpTokens"] = str(options.get("HttpTokens", "optional"))
    return found


def principal_arn(cloud: CloudApi) -> str:
    """Return the caller as aws:PrincipalArn has it: for a session of a role, the role."""
    session = _SESSION.match(cloud.settings.principal)
    if session is None:
        return cloud.settings.principal
    roles = roles_named(cloud, session[3])
    return str(roles[0].arn) if roles else f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"


BOUNDED = ("AttachRolePolicy", "DetachRolePolicy", "PutRolePolicy", "DeleteRolePolicy")
"""Actions for which iam:PermissionsBoundary is the boundary of the role that exists."""


def conditions(cloud: CloudApi, call: Call) -> dict[str, str]:
    """Return the condition keys that a call's own parameters set, or the boundary of its role."""
    keys = {
        "PolicyArn": "iam:PolicyARN",
        "AWSServiceName": "iam:AWSServiceName",
        "PermissionsBoundary": "iam:PermissionsBoundary",
    }
    found = {
        key: str(call.params[name])
        for name, key in keys.items()
        if call.service == "iam" and name in call.params
    }
    if call.service == "iam" and call.action in BOUNDED:
        role = next(iter(roles_named(cloud, call.params["RoleName"])), None)
        boundary = role.permissions_boundary_arn if role else None
        return found | ({"iam:PermissionsBoundary": str(boundary)} if boundary else {})
    return found


def roles_named(cloud: CloudApi, name: str) -> list[Any]:
    """Return moto's roles of a name: one, or none."""
    return [role for role in cloud.backend("iam").roles.values() if role.name == name]


def request_tags(call: Call) -> dict[str, str]:
    """Return the tags that a call sets."""
    params = call.params
    found = [tag for part in params.get("TagSpecifications") or [] for tag in part.get("Tags", [])]
    listed = params.get("Tags") or []
    if isinstance(listed, dict):
        return {str(key): str(value) for key, value in listed.items()}
    pairs = {str(tag["Key"]): str(tag.get("Value", "")) for tag in (*found, *listed)}
    return pairs | {str(key): str(value) for key, value in (params.get("tags") or {}).items()}
