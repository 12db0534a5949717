"""Changes of a cluster in place: UpdateClusterConfig and UpdateClusterVersion.

https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterVersion.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from aws_setup.rehearsal.aws.eks import access_entries, catalog, clusters, responses, validation
from aws_setup.rehearsal.aws.eks.responses import paginate
from aws_setup.rehearsal.aws.eks.store import (
    Cluster,
    Document,
    Update,
    current_time,
    region_store,
    response_copy,
)
from aws_setup.rehearsal.core.types import Call, CloudApi

UpdateDocument = dict[str, Any]
ENDPOINT_KEYS = ("endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs")
VPC_KEYS = ("subnetIds", "securityGroupIds")
MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
"""Authentication modes in the only direction in which a cluster can change."""


def update_cluster_config(cloud: CloudApi, call: Call) -> UpdateDocument:
    """Answer UpdateClusterConfig: exactly one kind of change in a request."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    kinds = [
        (kind, change)
        for kind, change in CHANGES.items()
        if call.params.get(kind) not in (None, {})
    ]
    if not kinds:
        raise responses.invalid_parameter(
            "No update parameters were given", clusterName=cluster.name
        )
    if len(kinds) > 1:
        raise responses.invalid_parameter(
            "Only one type of update can be allowed.", clusterName=cluster.name
        )
    kind, change = kinds[0]
    check_no_update_in_progress(cluster, f"update {kind}")
    return change(cloud, call, cluster, call.params[kind])


def _update_network(
    cloud: CloudApi, call: Call, cluster: Cluster, asked: Document
) -> UpdateDocument:
    if any(key in asked for key in ENDPOINT_KEYS) and any(key in asked for key in VPC_KEYS):
        raise responses.invalid_parameter("Only one type of update can be allowed.")
    if any(key in asked for key in VPC_KEYS):
        return _subnets(cloud, call, cluster, asked)
    return _endpoint(cloud, cluster, asked)


def _endpoint(cloud: CloudApi, cluster: Cluster, asked: Document) -> UpdateDocument:
    has = {key: cluster.vpc[key] for key in ENDPOINT_KEYS}
    wants = has | {key: asked[key] for key in ENDPOINT_KEYS if key in asked}
    if wants["endpointPublicAccess"] and not wants["publicAccessCidrs"]:
        wants["publicAccessCidrs"] = ["0.0.0.0/0"]
    validation.check_endpoint(
        wants["endpointPublicAccess"], wants["endpointPrivateAccess"], wants["publicAccessCidrs"]
    )
    if has | {"publicAccessCidrs": sorted(has["publicAccessCidrs"])} == wants | {
        "publicAccessCidrs": sorted(wants["publicAccessCidrs"])
    }:
        raise responses.invalid_parameter(
            "Cluster is already at the desired configuration with endpointPrivateAccess: "
            f"{has['endpointPrivateAccess']}, endpointPublicAccess: "
            f"{has['endpointPublicAccess']}, and Public Endpoint Restrictions: "
            f"{has['publicAccessCidrs']}",
            clusterName=cluster.name,
        )
    shown = {
        "EndpointPublicAccess": wants["endpointPublicAccess"],
        "EndpointPrivateAccess": wants["endpointPrivateAccess"],
        "PublicAccessCidrs": wants["publicAccessCidrs"],
    }
    return start_cluster_update(
        cloud, cluster, "EndpointAccessUpdate", shown, lambda: cluster.vpc.update(wants)
    )


def _subnets(cloud: CloudApi, call: Call, cluster: Cluster, asked: Document) -> UpdateDocument:
    wants = {key: list(asked[key]) for key in VPC_KEYS if key in asked}
    subnets = wants.get("subnetIds") or list(cluster.vpc["subnetIds"])
    found = validation.check_subnets(cloud, call, subnets)
    validation.check_zones(cloud, call, found)
    if found[0]["VpcId"] != cluster.vpc["vpcId"]:
        raise responses.invalid_parameter("Subnets must be in the VPC of the cluster")
    validation.check_security_groups(
        cloud, call, wants.get("securityGroupIds", []), cluster.vpc["vpcId"]
    )
    shown = {
        "Subnets": wants.get("subnetIds", []),
        "SecurityGroups": wants.get("securityGroupIds", []),
    }
    return start_cluster_update(
        cloud, cluster, "VpcConfigUpdate", shown, lambda: cluster.vpc.update(wants)
    )


def _update_logging(
    cloud: CloudApi, call: Call, cluster: Cluster, asked: Document
) -> UpdateDocument:
    wants = _merged_logging(cluster.document["logging"], asked)
    if wants == cluster.document["logging"]:
        raise responses.invalid_parameter(
            "No changes needed for the logging config provided", clusterName=cluster.name
        )
    return start_cluster_update(
        cloud,
        cluster,
        "LoggingUpdate",
        {"ClusterLogging": asked},
        lambda: cluster.document.update(logging=wants),
    )


def _merged_logging(has: Document, asked: Document) -> Document:
    on = {kind for one in has["clusterLogging"] if one["enabled"] for kind in one["types"]}
    for one in asked.get("clusterLogging", []):
        on = on | set(one["types"]) if one["enabled"] else on - set(one["types"])
    return clusters.logging_document({"clusterLogging": [{"types": sorted(on), "enabled": True}]})


def _update_access(
    cloud: CloudApi, call: Call, cluster: Cluster, asked: Document
) -> UpdateDocument:
    has, wants = cluster.document["accessConfig"]["authenticationMode"], asked["authenticationMode"]
    if MODES.index(wants) <= MODES.index(has):
        raise responses.invalid_parameter(
            f"Unsupported authentication mode update from {has} to {wants}",
            clusterName=cluster.name,
        )

    def apply() -> None:
        cluster.document["accessConfig"]["authenticationMode"] = wants
        access_entries.create_bootstrap_entry(cloud, call, cluster)

    shown = {"AuthenticationMode": wants}
    return start_cluster_update(cloud, cluster, "AccessConfigUpdate", shown, apply)


def _update_support(
    cloud: CloudApi, call: Call, cluster: Cluster, asked: Document
) -> UpdateDocument:
    if cluster.document["upgradePolicy"] == asked:
        raise responses.invalid_parameter("No changes needed for the upgrade policy provided")
    return start_cluster_update(
        cloud,
        cluster,
        "UpgradePolicyUpdate",
        {"UpgradePolicy": asked},
        lambda: cluster.document.update(upgradePolicy=dict(asked)),
    )


def _update_protection(cloud: CloudApi, call: Call, cluster: Cluster, asked: Any) -> UpdateDocument:
    if cluster.document["deletionProtection"] == asked:
        raise responses.invalid_parameter("Deletion protection is already set to this value")
    return start_cluster_update(
        cloud,
        cluster,
        "DeletionProtectionUpdate",
        {"DeletionProtection": asked},
        lambda: cluster.document.update(deletionProtection=asked),
    )


CHANGES: dict[str, Callable[[CloudApi, Call, Cluster, Any], UpdateDocument]] = {
    "resourcesVpcConfig": _update_network,
    "logging": _update_logging,
    "accessConfig": _update_access,
    "upgradePolicy": _update_support,
    "deletionProtection": _update_protection,
}


def update_cluster_version(cloud: CloudApi, call: Call) -> UpdateDocument:
    """Answer UpdateClusterVersion: to the next minor version only."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    wants = catalog.check_version(cloud, call.params["version"])
    has = cluster.document["version"]
    if int(wants.split(".")[1]) - int(has.split(".")[1]) != 1:
        raise responses.invalid_parameter(
            f"Unsupported Kubernetes minor version update from {has} to {wants}",
            clusterName=cluster.name,
        )
    shown = {"Version": wants, "PlatformVersion": "eks.7"}
    return start_cluster_update(
        cloud, cluster, "VersionUpdate", shown, lambda: cluster.document.update(version=wants)
    )


CLUSTER_UPDATE_ANSWERS = {
    ("eks", "UpdateClusterConfig"): update_cluster_config,
    ("eks", "UpdateClusterVersion"): update_cluster_version,
}


def check_no_update_in_progress(cluster: Cluster, kind: str) -> None:
    """Refuse a change while the cluster is not ACTIVE or another update runs."""
    if cluster.busy:
        raise responses.in_use(
            f"Cannot {kind} because cluster {cluster.name} currently has update "
            f"{cluster.busy} in progress",
            clusterName=cluster.name,
        )
    if cluster.status != "ACTIVE":
        raise responses.in_use(
            f"Cannot {kind} because cluster {cluster.name} is in state {cluster.status}",
            clusterName=cluster.name,
        )


def begin_update(
    cloud: CloudApi,
    cluster: Cluster,
    kind: str,
    params: Mapping[str, Any],
    *,
    nodegroup: str = "",
    addon: str = "",
) -> Update:
    """Record an update as InProgress and return it."""
    document: Document = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": key, "value": _text(value)} for key, value in params.items()],
        "createdAt": current_time(cloud),
        "errors": [],
    }
    update = Update(document, nodegroup=nodegroup, addon=addon)
    cluster.updates[document["id"]] = update
    return update


def start_cluster_update(
    cloud: CloudApi,
    cluster: Cluster,
    kind: str,
    params: Mapping[str, Any],
    apply: Callable[[], None],
) -> dict[str, Any]:
    """Start an update of the cluster itself: UPDATING until `apply` has run, then ACTIVE."""
    check_no_update_in_progress(cluster, kind)
    update = begin_update(cloud, cluster, kind, params)
    cluster.busy = update.document["id"]
    cluster.document["status"] = "UPDATING"

    def finish() -> None:
        apply()
        cluster.busy = ""
        cluster.document["status"] = "ACTIVE"
        update.document["status"] = "Successful"

    answer = {"update": response_copy(update.document)}
    cloud.schedule("cluster update", finish)
    return answer


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def describe_update(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeUpdate; a node group's or add-on's update needs its name too."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    update = cluster.updates.get(call.params["updateId"])
    named = (call.params.get("nodegroupName", ""), call.params.get("addonName", ""))
    if update is None or (update.nodegroup, update.addon) != named:
        raise responses.not_found(f"No update found for ID: {call.params['updateId']}")
    return {"update": response_copy(update.document)}


def list_updates(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListUpdates for the cluster, or for one node group or add-on."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    named = (call.params.get("nodegroupName", ""), call.params.get("addonName", ""))
    ids = [key for key, one in cluster.updates.items() if (one.nodegroup, one.addon) == named]
    return paginate("updateIds", ids, call.params)


UPDATE_ANSWERS = {("eks", "DescribeUpdate"): describe_update, ("eks", "ListUpdates"): list_updates}

ANSWERS = {**CLUSTER_UPDATE_ANSWERS, **UPDATE_ANSWERS}
