"""Access entries of a cluster and the access policies on them.

https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.eks import responses
from aws_setup.rehearsal.aws.eks.responses import paginate
from aws_setup.rehearsal.aws.eks.store import (
    AccessEntry,
    Cluster,
    Document,
    cluster_hooks,
    current_time,
    eks_arn,
    region_store,
    response_copy,
)
from aws_setup.rehearsal.core.types import Call, CloudApi

POLICIES = (
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSSecretReaderPolicy",
    "AmazonEKSViewPolicy",
)
"""Access policies of EKS for users (access policy permissions page)."""

TYPES = ("STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2", "HYBRID_LINUX")
RESERVED = ("system:", "eks:", "aws:", "amazon:", "iam:")
"""Prefixes of user and group names that EKS reserves."""


def caller_arn(cloud: CloudApi, call: Call) -> str:
    """Return the ARN of the IAM user or role that made a call."""
    return cloud.settings.principal_in(call.account)


def create_bootstrap_entry(cloud: CloudApi, call: Call, cluster: Cluster) -> None:
    """Create the access entry of a cluster's creator, if the cluster is configured so."""
    setup = cluster.document["accessConfig"]
    if setup["authenticationMode"] == "CONFIG_MAP":
        return
    if not setup["bootstrapClusterCreatorAdminPermissions"] or cluster.creator in cluster.entries:
        return
    entry = add_access_entry(cloud, call, cluster, cluster.creator, principal_id=cluster.creator)
    _associate(
        cloud, entry, f"{_policy_prefix(cloud)}AmazonEKSClusterAdminPolicy", {"type": "cluster"}
    )
    notify_access_changed(cloud, cluster)


def is_live(cloud: CloudApi, entry: AccessEntry) -> bool:
    """Return whether an entry's principal still has the unique id that the entry is bound to.

    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
    """
    current = iam.unique_id(cloud, entry.document["principalArn"])
    return current in (None, entry.principal_id)


def notify_access_changed(cloud: CloudApi, cluster: Cluster) -> None:
    """Pass the access entries to the API server, several seconds later as on EKS."""

    def act() -> None:
        entries: dict[str, dict[str, object]] = {
            key: {"entry": response_copy(entry.document), "policies": response_copy(entry.policies)}
            for key, entry in cluster.entries.items()
        }
        cluster_hooks(cloud).access_changed(cluster=cluster.name, entries=entries)

    cloud.schedule("access entry", act)


def check_api_mode(cluster: Cluster) -> None:
    """Reject access entries of a cluster that only reads aws-auth."""
    if cluster.document["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise responses.invalid_request(
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] "
            "to perform this operation.",
            clusterName=cluster.name,
        )


def add_access_entry(
    cloud: CloudApi,
    call: Call,
    cluster: Cluster,
    principal: str,
    *,
    principal_id: str,
    kind: str = "STANDARD",
    **requested: Any,
) -> AccessEntry:
    """Add an access entry; an entry for nodes gets the groups and user name of nodes."""
    nodes = kind not in {"STANDARD", "EC2"}
    groups = ["system:nodes"] if nodes else list(requested.get("kubernetesGroups", []))
    user = "system:node:{{EC2PrivateDNSName}}" if nodes else principal
    kind_and_name = "/".join(principal.split(":", 5)[5].split("/", 1))
    document = {
        "clusterName": cluster.name,
        "principalArn": principal,
        "kubernetesGroups": groups,
        "accessEntryArn": eks_arn(call, f"access-entry/{cluster.name}/{kind_and_name}"),
        "createdAt": current_time(cloud),
        "modifiedAt": current_time(cloud),
        "tags": dict(requested.get("tags", {})),
        "username": requested.get("username") or user,
        "type": kind,
    }
    cluster.entries[principal] = AccessEntry(document, principal_id)
    return cluster.entries[principal]


def create_access_entry(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateAccessEntry; the principal must exist and have no entry yet."""
    params = call.params
    cluster = _cluster(cloud, call)
    principal = params["principalArn"]
    if principal in cluster.entries:
        raise responses.in_use(
            "The specified access entry resource is already in use on this cluster."
        )
    principal_id = iam.unique_id(cloud, principal)
    # "You can't use the STS session principal type with access entries" (API_CreateAccessEntry).
    if principal_id is None or ":sts:" in principal:
        raise responses.invalid_parameter(
            "The specified principalArn is invalid: invalid principal.", clusterName=cluster.name
        )
    kind = params.get("type", "STANDARD")
    _check(params, kind)
    requested = {
        key: params[key] for key in ("kubernetesGroups", "tags", "username") if key in params
    }
    entry = add_access_entry(
        cloud, call, cluster, principal, principal_id=principal_id, kind=kind, **requested
    )
    notify_access_changed(cloud, cluster)
    return {"accessEntry": response_copy(entry.document)}


def _check(params: Document, kind: str) -> None:
    if kind not in TYPES:
        raise responses.invalid_parameter(f"The specified type {kind} is invalid.")
    if kind != "STANDARD" and (params.get("kubernetesGroups") or params.get("username")):
        raise responses.invalid_parameter(
            f"An access entry of type {kind} takes neither a username nor Kubernetes groups."
        )
    for name in [*params.get("kubernetesGroups", []), params.get("username", "")]:
        if name.startswith(RESERVED):
            raise responses.invalid_parameter(
                f"The kubernetes name {name} is invalid, it cannot start with any of "
                f"{', '.join(RESERVED)}"
            )


def _cluster(cloud: CloudApi, call: Call) -> Cluster:
    cluster = region_store(cloud, call).cluster(call.params["clusterName"])
    check_api_mode(cluster)
    return cluster


def _entry(cloud: CloudApi, call: Call) -> tuple[Cluster, AccessEntry]:
    cluster = _cluster(cloud, call)
    entry = cluster.entries.get(call.params["principalArn"])
    if entry is None:
        raise responses.not_found("The specified principalArn could not be found.")
    return cluster, entry


def describe_access_entry(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeAccessEntry."""
    return {"accessEntry": response_copy(_entry(cloud, call)[1].document)}


def list_access_entries(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListAccessEntries, of all entries or those with one access policy."""
    policy = call.params.get("associatedPolicyArn")
    entries = _cluster(cloud, call).entries
    named = [key for key, entry in entries.items() if not policy or policy in entry.policies]
    return paginate("accessEntries", sorted(named), call.params)


def update_access_entry(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UpdateAccessEntry: groups and user name of an entry."""
    cluster, entry = _entry(cloud, call)
    _check(call.params, entry.document["type"])
    changes = {k: call.params[k] for k in ("kubernetesGroups", "username") if k in call.params}
    entry.document |= changes | {"modifiedAt": current_time(cloud)}
    notify_access_changed(cloud, cluster)
    return {"accessEntry": response_copy(entry.document)}


def delete_access_entry(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteAccessEntry."""
    cluster, entry = _entry(cloud, call)
    del cluster.entries[entry.document["principalArn"]]
    notify_access_changed(cloud, cluster)
    return {}


def _policy_prefix(cloud: CloudApi) -> str:
    return f"arn:{cloud.settings.partition}:eks::aws:cluster-access-policy/"


def associate_access_policy(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer AssociateAccessPolicy; only STANDARD entries have policies."""
    cluster, entry = _entry(cloud, call)
    policy, scope = call.params["policyArn"], call.params["accessScope"]
    prefix = _policy_prefix(cloud)
    if not policy.startswith(prefix) or policy.removeprefix(prefix) not in POLICIES:
        raise responses.invalid_parameter("The policyArn parameter format is not valid")
    if entry.document["type"] != "STANDARD":
        raise responses.invalid_request(
            f"Access entries of type {entry.document['type']} can't have access policies"
        )
    if (scope.get("type") == "namespace") != bool(scope.get("namespaces")):
        raise responses.invalid_parameter("namespaces require an access scope of type namespace")
    associated = _associate(cloud, entry, policy, scope)
    notify_access_changed(cloud, cluster)
    return {
        "clusterName": cluster.name,
        "principalArn": entry.document["principalArn"],
        "associatedAccessPolicy": response_copy(associated),
    }


def _associate(cloud: CloudApi, entry: AccessEntry, policy: str, scope: Document) -> Document:
    before = entry.policies.get(policy, {})
    entry.policies[policy] = {
        "policyArn": policy,
        "accessScope": {"type": scope.get("type"), "namespaces": list(scope.get("namespaces", []))},
        "associatedAt": before.get("associatedAt", current_time(cloud)),
        "modifiedAt": current_time(cloud),
    }
    return entry.policies[policy]


def disassociate_access_policy(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DisassociateAccessPolicy."""
    cluster, entry = _entry(cloud, call)
    if entry.policies.pop(call.params["policyArn"], None) is None:
        raise responses.not_found("The specified policyArn could not be found on the access entry.")
    notify_access_changed(cloud, cluster)
    return {}


def list_associated_access_policies(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListAssociatedAccessPolicies."""
    cluster, entry = _entry(cloud, call)
    found = paginate(
        "associatedAccessPolicies", list(response_copy(entry.policies).values()), call.params
    )
    named = {"clusterName": cluster.name, "principalArn": entry.document["principalArn"]}
    return named | found


def list_access_policies(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListAccessPolicies."""
    found = [{"name": name, "arn": _policy_prefix(cloud) + name} for name in POLICIES]
    return paginate("accessPolicies", found, call.params)


ANSWERS = {
    ("eks", "CreateAccessEntry"): create_access_entry,
    ("eks", "DescribeAccessEntry"): describe_access_entry,
    ("eks", "ListAccessEntries"): list_access_entries,
    ("eks", "UpdateAccessEntry"): update_access_entry,
    ("eks", "DeleteAccessEntry"): delete_access_entry,
    ("eks", "AssociateAccessPolicy"): associate_access_policy,
    ("eks", "DisassociateAccessPolicy"): disassociate_access_policy,
    ("eks", "ListAssociatedAccessPolicies"): list_associated_access_policies,
    ("eks", "ListAccessPolicies"): list_access_policies,
}
