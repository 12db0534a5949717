"""Who administers the cluster, and the aws-auth ConfigMap as pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from aws_setup.errors import SetupError

ADMIN_GROUP = "system:masters"
NODE_GROUPS = ["system:bootstrappers", "system:nodes"]
NODE_USER = "system:node:{{EC2PrivateDNSName}}"
"""https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html"""

_ASSUMED = re.compile(r"^arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+$")
_SSO = "AWSReservedSSO_"


def principal_of(arn: str) -> str:
    """Return the IAM principal behind a caller's ARN: an assumed-role session is its role.

    Raises:
        SetupError: the caller is nobody to whom a cluster can give access.
    """
    session = _ASSUMED.match(arn)
    if session:
        partition, account, role = session.groups()
        return f"arn:{partition}:iam::{account}:role/{role}"
    if ":iam::" in arn and (":user/" in arn or ":role/" in arn):
        return arn
    raise SetupError(
        f"{arn} cannot administer the cluster",
        "EKS gives access to IAM users and roles only",
        "name users or roles in cluster_admins, or use the credentials of one",
    )


def needs_path(principal: str) -> bool:
    """Say whether a role's ARN may lack its path, which a session's ARN does not show."""
    return f":role/{_SSO}" in principal


def merged(
    data: dict[str, str], *, admins: Sequence[str], node_roles: Sequence[str]
) -> dict[str, str]:
    """Return aws-auth's data with the administrators and node roles in it.

    Every entry that is there stays as it is, whoever wrote it; an administrator who has an entry
    without `system:masters` gets that group beside the others.

    Raises:
        SetupError: mapRoles or mapUsers does not parse; nothing may be written then.
    """
    roles = _entries(data, "mapRoles", "rolearn")
    users = _entries(data, "mapUsers", "userarn")
    for arn in node_roles:
        _put(roles, "rolearn", arn, NODE_USER, NODE_GROUPS)
    for arn in admins:
        name = arn.rsplit("/", 1)[-1]
        if ":role/" in arn:
            # aws-auth knows roles without their path only.
            bare = f"{arn.split(':role/', 1)[0]}:role/{name}"
            _put(roles, "rolearn", bare, name, [ADMIN_GROUP])
        else:
            _put(users, "userarn", arn, name, [ADMIN_GROUP])
    changed = dict(data)
    if roles != _entries(data, "mapRoles", "rolearn"):
        changed["mapRoles"] = _text(roles)
    if users != _entries(data, "mapUsers", "userarn"):
        changed["mapUsers"] = _text(users)
    return changed


def _put(
    entries: list[dict[str, Any]], key: str, arn: str, username: str, groups: Sequence[str]
) -> None:
    for entry in entries:
        if entry[key] == arn:
            has = list(entry.get("groups") or [])
            missing = [group for group in groups if group not in has]
            if missing:
                entry["groups"] = has + missing
            return
    entries.append({key: arn, "username": username, "groups": list(groups)})


def _entries(data: dict[str, str], field: str, key: str) -> list[dict[str, Any]]:
    text = data.get(field) or "[]"
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _malformed(field, " ".join(str(error).split())) from error
    loaded = [] if loaded is None else loaded
    sound = isinstance(loaded, list) and all(
        isinstance(one, dict) and isinstance(one.get(key), str) for one in loaded
    )
    if not sound:
        raise _malformed(field, f"it is not a list of entries with {key}")
    return list(loaded)


def _malformed(field: str, why: str) -> SetupError:
    return SetupError(
        f"{field} of aws-auth cannot be read, so it is left alone",
        why,
        "mend it with `kubectl -n kube-system edit configmap aws-auth`, or set "
        "manage_aws_auth: False",
    )


def _text(entries: Sequence[dict[str, Any]]) -> str:
    return yaml.safe_dump(list(entries), sort_keys=False, default_flow_style=False)
