"""Add-ons of a cluster: create, describe, update and delete; ACTIVE or DEGRADED by the nodes.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAddon.html
https://docs.aws.amazon.com/eks/latest/userguide/managing-ebs-csi.html
"""

from __future__ import annotations

import uuid
from typing import Any

import yaml

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.eks import pod_identity, responses, updates, validation
from aws_setup.rehearsal.aws.eks.catalog import POD_IDENTITY_AGENT, AddonInfo, find_addon_info
from aws_setup.rehearsal.aws.eks.hooks import PRESERVED
from aws_setup.rehearsal.aws.eks.responses import paginate
from aws_setup.rehearsal.aws.eks.store import (
    Cluster,
    Document,
    cluster_hooks,
    current_time,
    eks_arn,
    issue_of,
    region_store,
    response_copy,
)
from aws_setup.rehearsal.core.types import Call, CloudApi

SETTLED_STATES = ("ACTIVE", "DEGRADED")
UPDATABLE_STATES = (*SETTLED_STATES, "UPDATE_FAILED")
"""EKS accepts the update of an add-on whose update failed.

https://github.com/aws-controllers-k8s/eks-controller/pull/166
"""
UNCHECKED_HEALTH: Document = {"status": "ACTIVE", "health": {}}
"""The state of an add-on between a change and the next health check."""


def create_addon(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateAddon: CREATING for its delay, then ACTIVE or DEGRADED."""
    params = call.params
    cluster = region_store(cloud, call).cluster(params["clusterName"])
    name = params["addonName"]
    addon = find_addon_info(name)
    if cluster.status not in {"ACTIVE", "UPDATING"}:
        raise responses.invalid_request(f"Cluster '{cluster.name}' is not in ACTIVE status")
    if name in cluster.addons:
        raise responses.in_use("Addon already exists.", clusterName=cluster.name, addonName=name)
    document = _document(cloud, call, cluster, addon)
    document["podIdentityAssociations"] = _associations(cloud, call, cluster, document)
    cluster.addons[name] = document

    def finish() -> None:
        if document["status"] != "CREATING":
            return
        failure = cloud.faults.resource_failure("addon", name)
        if failure:
            document.update(_failed("CREATE_FAILED", failure))
        else:
            document.update(UNCHECKED_HEALTH)
            refresh_addons(cloud, cluster)

    cloud.schedule("addon active", finish)
    return {"addon": response_copy(document)}


def _failed(status: str, failure: tuple[str, str]) -> Document:
    """Return what an add-on shows of a creation, update or deletion that failed."""
    return {"status": status, "health": {"issues": [issue_of(failure)]}}


def _document(cloud: CloudApi, call: Call, cluster: Cluster, addon: AddonInfo) -> Document:
    params = call.params
    role = params.get("serviceAccountRoleArn")
    document = {
        "addonName": addon.name,
        "clusterName": cluster.name,
        "status": "CREATING",
        "addonVersion": _version(addon, cluster, params),
        "health": {"issues": []},
        "addonArn": eks_arn(call, f"addon/{cluster.name}/{addon.name}/{uuid.uuid4()}"),
        "createdAt": current_time(cloud),
        "modifiedAt": current_time(cloud),
        "tags": dict(params.get("tags") or {}),
        "configurationValues": _values(params),
    }
    if role:
        validation.check_role_arn(role, call.account)
        iam.check_pass_role(cloud, call, role)
        document["serviceAccountRoleArn"] = role
    return {key: value for key, value in document.items() if value is not None}


def _version(addon: AddonInfo, cluster: Cluster, params: Document) -> str:
    kubernetes = str(cluster.document["version"])
    version = str(params.get("addonVersion") or addon.default(kubernetes))
    if version not in addon.offered(kubernetes):
        raise responses.invalid_parameter(
            "Addon version specified is not supported", addonName=addon.name
        )
    return version


def _values(params: Document) -> str | None:
    """Return the configuration values, which must be a JSON or YAML object."""
    text = params.get("configurationValues")
    try:
        loaded = yaml.safe_load(text) if text else {}
    except yaml.YAMLError as error:
        raise responses.invalid_parameter(
            "ConfigurationValue is not in valid JSON or YAML"
        ) from error
    if not isinstance(loaded, dict):
        raise responses.invalid_parameter("ConfigurationValue is not a JSON or YAML object")
    return str(text) if text else None


def _associations(cloud: CloudApi, call: Call, cluster: Cluster, document: Document) -> list[str]:
    """Create the Pod Identity associations of a request and return their ARNs."""
    requested = call.params.get("podIdentityAssociations") or []
    if requested and call.params.get("serviceAccountRoleArn"):
        raise responses.invalid_parameter(
            "Specify either serviceAccountRoleArn or podIdentityAssociations, not both"
        )
    return [
        pod_identity.add_association(
            cloud,
            call,
            cluster,
            namespace="kube-system",
            account=item["serviceAccount"],
            role_arn=item["roleArn"],
            owner=document["addonArn"],
        )["associationArn"]
        for item in requested
    ]


def _find_addon(cloud: CloudApi, call: Call) -> tuple[Cluster, Document]:
    cluster = region_store(cloud, call).cluster(call.params["clusterName"])
    name = call.params["addonName"]
    if name not in cluster.addons:
        raise responses.not_found(
            f"No addon: {name} found in cluster: {cluster.name}",
            clusterName=cluster.name,
            addonName=name,
        )
    return cluster, cluster.addons[name]


def refresh_addons(cloud: CloudApi, cluster: Cluster) -> None:
    """Check the health of every add-on that is not in transition, and notify the API server."""
    for document in cluster.addons.values():
        if document["status"] not in SETTLED_STATES:
            continue
        issue = _issue(cloud, cluster, find_addon_info(document["addonName"]), document)
        health = {"issues": [issue] if issue else []}
        if health != document["health"]:
            document |= {"health": health, "status": "DEGRADED" if issue else "ACTIVE"}
            _notify_addon_changed(cloud, cluster, document, document["status"])


def _notify_addon_changed(
    cloud: CloudApi, cluster: Cluster, document: Document, status: str
) -> None:
    cluster_hooks(cloud).addon_changed(
        cluster=cluster.name,
        addon=document["addonName"],
        status=status,
        role_arn=document.get("serviceAccountRoleArn", ""),
    )


def _issue(cloud: CloudApi, cluster: Cluster, addon: AddonInfo, document: Document) -> Document:
    """Return the health issue of an add-on: no node, or no permissions; empty for none."""
    nodes = any(
        group.document["status"] in {"ACTIVE", "UPDATING"}
        and group.document["scalingConfig"]["desiredSize"] > 0
        for group in cluster.nodegroups.values()
    )
    if addon.needs_nodes and not nodes:
        why = "it doesn't have the desired number of replicas"
    elif (
        addon.needs_nodes
        and addon.policy
        and not has_aws_credentials(cloud, cluster, addon, document)
    ):
        why = "its replicas lack IAM permissions"
    else:
        return {}
    return {
        "code": "InsufficientNumberOfReplicas",
        "message": f"The add-on is unhealthy because {why}.",
        "resourceIds": [],
    }


def describe_addon(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeAddon with its current health."""
    cluster, document = _find_addon(cloud, call)
    refresh_addons(cloud, cluster)
    return {"addon": response_copy(document)}


def list_addons(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListAddons, by name."""
    cluster = region_store(cloud, call).cluster(call.params["clusterName"])
    return paginate("addons", sorted(cluster.addons), call.params)


def update_addon(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UpdateAddon: another version, role or configuration."""
    cluster, document = _find_addon(cloud, call)
    if document["status"] not in UPDATABLE_STATES:
        raise responses.in_use(
            f"Addon {document['addonName']} cannot be updated as it is currently in "
            f"{document['status']} state",
            clusterName=cluster.name,
            addonName=document["addonName"],
        )
    changes = _changes(cloud, call, cluster, find_addon_info(document["addonName"]))
    update_params = {"ResolveConflicts": call.params.get("resolveConflicts", "NONE")}
    update = updates.begin_update(
        cloud, cluster, "AddonUpdate", update_params, addon=document["addonName"]
    )
    document["status"] = "UPDATING"
    failure = cloud.faults.resource_failure("addon-update", document["addonName"])

    def finish() -> None:
        if failure:
            document.update(_failed("UPDATE_FAILED", failure))
            update.document["status"] = "Failed"
            return
        document.update(changes, modifiedAt=current_time(cloud), **UNCHECKED_HEALTH)
        update.document["status"] = "Successful"
        refresh_addons(cloud, cluster)

    answer = {"update": response_copy(update.document)}
    cloud.schedule("addon active", finish)
    return answer


def _changes(cloud: CloudApi, call: Call, cluster: Cluster, addon: AddonInfo) -> Document:
    params = call.params
    changes: Document = {}
    if params.get("addonVersion"):
        changes["addonVersion"] = _version(addon, cluster, params)
    if params.get("serviceAccountRoleArn"):
        validation.check_role_arn(params["serviceAccountRoleArn"], call.account)
        iam.check_pass_role(cloud, call, params["serviceAccountRoleArn"])
        changes["serviceAccountRoleArn"] = params["serviceAccountRoleArn"]
    if params.get("configurationValues"):
        changes["configurationValues"] = _values(params)
    return changes


def delete_addon(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteAddon; its Pod Identity associations are deleted too."""
    cluster, document = _find_addon(cloud, call)
    if document["status"] != "DELETING":
        document["status"] = "DELETING"
        failure = cloud.faults.resource_failure("addon-deletion", document["addonName"])
        if failure:
            failed = _failed("DELETE_FAILED", failure)
            cloud.schedule("addon deleted", lambda: document.update(failed))
            return {"addon": response_copy(document)}
        preserve = bool(call.params.get("preserve"))
        cloud.schedule("addon deleted", lambda: _remove_addon(cloud, cluster, document, preserve))
    return {"addon": response_copy(document)}


def _remove_addon(cloud: CloudApi, cluster: Cluster, document: Document, preserve: bool) -> None:
    owned = [
        k for k, v in cluster.associations.items() if v.get("ownerArn") == document["addonArn"]
    ]
    for key in owned:
        del cluster.associations[key]
    del cluster.addons[document["addonName"]]
    _notify_addon_changed(cloud, cluster, document, PRESERVED if preserve else "")


ANSWERS = {
    ("eks", "CreateAddon"): create_addon,
    ("eks", "DescribeAddon"): describe_addon,
    ("eks", "ListAddons"): list_addons,
    ("eks", "UpdateAddon"): update_addon,
    ("eks", "DeleteAddon"): delete_addon,
}


EBS_POLICIES = {"AmazonEBSCSIDriverPolicyV2", "service-role/AmazonEBSCSIDriverPolicy"}
"""Each of them has the permissions of the EBS CSI driver (EBS CSI page)."""


def has_aws_credentials(
    cloud: CloudApi, cluster: Cluster, addon: AddonInfo, document: Document
) -> bool:
    """Return whether the driver has credentials: by IRSA, Pod Identity or the node role."""
    return (
        _web_identity(cloud, cluster, addon, str(document.get("serviceAccountRoleArn", "")))
        or _pod_identity(cloud, cluster, addon)
        or any(
            _allowed(cloud, str(group.document["nodeRole"]))
            for group in cluster.nodegroups.values()
        )
    )


def _allowed(cloud: CloudApi, arn: str) -> bool:
    role = iam.visible_role(cloud, arn.rsplit("/", 1)[-1])
    return role is not None and iam.has_managed_policy(cloud, role, EBS_POLICIES)


def _web_identity(cloud: CloudApi, cluster: Cluster, addon: AddonInfo, arn: str) -> bool:
    """Check the role's trust policy, and that IAM has the cluster's OIDC provider."""
    role = iam.visible_role(cloud, arn.rsplit("/", 1)[-1]) if arn else None
    if role is None or not _allowed(cloud, arn):
        return False
    issuer = str(cluster.document["identity"]["oidc"]["issuer"]).removeprefix("https://")
    provider = f"arn:{cloud.settings.partition}:iam::{role.account_id}:oidc-provider/{issuer}"
    if provider not in cloud.backend("iam").open_id_providers:
        return False
    claims = {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": f"system:serviceaccount:kube-system:{addon.service_account}",
    }
    return iam.trusts_web_identity(role, provider=provider, claims=claims)


def _pod_identity(cloud: CloudApi, cluster: Cluster, addon: AddonInfo) -> bool:
    """Check the association of the service account; it requires the agent add-on."""
    if POD_IDENTITY_AGENT not in cluster.addons:
        return False
    return any(
        association["serviceAccount"] == addon.service_account
        and association["namespace"] == "kube-system"
        and _allowed(cloud, association["roleArn"])
        for association in cluster.associations.values()
    )
