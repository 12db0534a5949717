"""Who an IAM principal is in the cluster: by access entry, by aws-auth, or as the creator.

https://docs.aws.amazon.com/eks/latest/userguide/grant-k8s-access.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from aws_setup.rehearsal.kube.errors import KubeObject
from aws_setup.rehearsal.kube.requests import ADMINS, User

ADMIN_POLICIES = ("AmazonEKSClusterAdminPolicy",)
_SESSION = re.compile(r"^arn:(aws[\w-]*):sts::(\d+):assumed-role/([^/]+)/[^/]+$")


def principal_of_session(arn: str) -> str:
    """Return the ARN that access goes by: the role's for a session of an assumed role."""
    found = _SESSION.match(arn)
    return f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}" if found else arn


def user_of_access_entry(arn: str, entries: Mapping[str, Mapping[str, Any]]) -> User | None:
    """Return the user of an access entry; an administrator by policy for the whole cluster."""
    held = entries.get(principal_of_session(arn))
    if held is None:
        return None
    entry = held["entry"]
    groups = tuple(entry.get("kubernetesGroups") or ())
    admin = ADMINS in groups or any(
        policy.rpartition("/")[2] in ADMIN_POLICIES and one["accessScope"]["type"] == "cluster"
        for policy, one in held["policies"].items()
    )
    return User(str(entry["username"]), admin=admin, groups=groups)


def user_of_aws_auth(arn: str, config_map: KubeObject | None) -> User | None:
    """Return the user that aws-auth maps a principal to; None also when it does not parse."""
    data = (config_map or {}).get("data") or {}
    for key, field in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
        for row in _rows(data.get(key, "")):
            if str(row.get(field, "")).lower() == principal_of_session(arn).lower():
                groups = tuple(row.get("groups") or ())
                return User(str(row.get("username") or arn), admin=ADMINS in groups, groups=groups)
    return None


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(text or "[]")
    except yaml.YAMLError:
        return []
    return [row for row in found or [] if isinstance(row, dict)] if isinstance(found, list) else []
