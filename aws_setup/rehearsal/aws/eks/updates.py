"""Updates of a cluster: UpdateClusterConfig and UpdateClusterVersion.

https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterVersion.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
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
"""Authentication modes in the only order in which a cluster can change them."""


def update_cluster_config(cloud: CloudApi, call: Call) -> UpdateDocument:
    """Answer UpdateClusterConfig: exactly one type of update in a request."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    kinds = [
        (kind, change)
        for kind, change in CHANGES.items()
        if call.params.get(kind) not in (None, {})
    ]
    if not kinds:
        raise responses.invalid_parameter(
            "No update parameters were specified", clusterName=cluster.name
        )
    if len(kinds) > 1:
        raise responses.invalid_parameter(
            "Only one type of update can be allowed.", clusterName=cluster.name
        )
    kind, change = kinds[0]
    check_no_update_in_progress(cluster, f"update {kind}")
    return change(cloud, call, cluster, call.params[kind])


def _update_network(
    cloud: CloudApi, call: Call, cluster: Cluster, requested: Document
) -> UpdateDocument:
    if any(key in requested for key in ENDPOINT_KEYS) and any(key in requested for key in VPC_KEYS):
        raise responses.invalid_parameter("Only one type of update can be allowed.")
    if any(key in requested for key in VPC_KEYS):
        return _subnets(cloud, call, cluster, requested)
    return _endpoint(cloud, cluster, requested)


def _endpoint(cloud: CloudApi, cluster: Cluster, requested: Document) -> UpdateDocument:
    current = {key: cluster.vpc[key] for key in ENDPOINT_KEYS}
    desired = current | {key: requested[key] for key in ENDPOINT_KEYS if key in requested}
    if desired["endpointPublicAccess"] and not desired["publicAccessCidrs"]:
        desired["publicAccessCidrs"] = ["0.0.0.0/0"]
    validation.check_endpoint(
        desired["endpointPublicAccess"],
        desired["endpointPrivateAccess"],
        desired["publicAccessCidrs"],
    )
    if current | {"publicAccessCidrs": sorted(current["publicAccessCidrs"])} == desired | {
        "publicAccessCidrs": sorted(desired["publicAccessCidrs"])
    }:
        raise responses.invalid_parameter(
            "Cluster is already at the desired configuration with endpointPrivateAccess: "
            f"{current['endpointPrivateAccess']}, endpointPublicAccess: "
            f"{current['endpointPublicAccess']}, and Public Endpoint Restrictions: "
            f"{current['publicAccessCidrs']}",
            clusterName=cluster.name,
        )
    shown = {
        "EndpointPublicAccess": desired["endpointPublicAccess"],
        "EndpointPrivateAccess": desired["endpointPrivateAccess"],
        "PublicAccessCidrs": desired["publicAccessCidrs"],
    }
    return start_cluster_update(
        cloud, cluster, "EndpointAccessUpdate", shown, lambda: cluster.vpc.update(desired)
    )


def _subnets(cloud: CloudApi, call: Call, cluster: Cluster, requested: Document) -> UpdateDocument:
    desired = {key: list(requested[key]) for key in VPC_KEYS if key in requested}
    subnets = desired.get("subnetIds") or list(cluster.vpc["subnetIds"])
    found = validation.check_subnets(cloud, call, subnets)
    validation.check_zones(cloud, call, found)
    if found[0]["VpcId"] != cluster.vpc["vpcId"]:
        raise responses.invalid_parameter("Subnets must be in the VPC of the cluster")
    _check_known_zones(cloud, call, cluster, found)
    validation.check_security_groups(
        cloud, call, desired.get("securityGroupIds", []), cluster.vpc["vpcId"]
    )
    shown = {
        "Subnets": desired.get("subnetIds", []),
        "SecurityGroups": desired.get("securityGroupIds", []),
    }
    return start_cluster_update(
        cloud, cluster, "VpcConfigUpdate", shown, lambda: cluster.vpc.update(desired)
    )


def _check_known_zones(
    cloud: CloudApi, call: Call, cluster: Cluster, subnets: Sequence[Mapping[str, Any]]
) -> None:
    """Reject subnets in other zones than those of the cluster's creation.

    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    https://github.com/aws/containers-roadmap/issues/2330
    """
    former = validation.check_subnets(cloud, call, cluster.vpc["subnetIds"])
    known = {item["AvailabilityZone"] for item in former}
    if not {item["AvailabilityZone"] for item in subnets} <= known:
        raise responses.invalid_parameter(
            "Provided subnets belong to the AZs that are not in the set of AZs of the cluster: "
            f"{', '.join(sorted(known))}",
            clusterName=cluster.name,
        )


def _update_logging(
    cloud: CloudApi, call: Call, cluster: Cluster, requested: Document
) -> UpdateDocument:
    desired = _merged_logging(cluster.document["logging"], requested)
    if desired == cluster.document["logging"]:
        raise responses.invalid_parameter(
            "No changes needed for the logging config provided", clusterName=cluster.name
        )

    def write() -> None:
        cluster.document.update(logging=desired)
        clusters.write_logs(cloud, call, cluster)

    shown = {"ClusterLogging": requested}
    return start_cluster_update(cloud, cluster, "LoggingUpdate", shown, write)


def _merged_logging(current: Document, requested: Document) -> Document:
    on = {
        kind
        for log_setup in current["clusterLogging"]
        if log_setup["enabled"]
        for kind in log_setup["types"]
    }
    for log_setup in requested.get("clusterLogging", []):
        on = on | set(log_setup["types"]) if log_setup["enabled"] else on - set(log_setup["types"])
    return clusters.logging_document({"clusterLogging": [{"types": sorted(on), "enabled": True}]})


def _update_access(
    cloud: CloudApi, call: Call, cluster: Cluster, requested: Document
) -> UpdateDocument:
    current, desired = (
        cluster.document["accessConfig"]["authenticationMode"],
        requested["authenticationMode"],
    )
    if MODES.index(desired) <= MODES.index(current):
        raise responses.invalid_parameter(
            f"Unsupported authentication mode update from {current} to {desired}",
            clusterName=cluster.name,
        )

    def apply() -> None:
        cluster.document["accessConfig"]["authenticationMode"] = desired
        access_entries.create_bootstrap_entry(cloud, call, cluster)

    shown = {"AuthenticationMode": desired}
    return start_cluster_update(cloud, cluster, "AccessConfigUpdate", shown, apply)


Change = Callable[[CloudApi, Call, Cluster, Any], UpdateDocument]


def _replacing(key: str, kind: str, *, unchanged: str) -> Change:
    """Return the update that replaces a key of the cluster; one to the same value is refused."""

    def change(cloud: CloudApi, call: Call, cluster: Cluster, requested: Any) -> UpdateDocument:
        if cluster.document[key] == requested:
            raise responses.invalid_parameter(unchanged)
        shown = {key[0].upper() + key[1:]: requested}
        desired = deepcopy(requested)
        return start_cluster_update(
            cloud, cluster, kind, shown, lambda: cluster.document.update({key: desired})
        )

    return change


CHANGES: dict[str, Change] = {
    "resourcesVpcConfig": _update_network,
    "logging": _update_logging,
    "accessConfig": _update_access,
    "upgradePolicy": _replacing(
        "upgradePolicy",
        "UpgradePolicyUpdate",
        unchanged="No changes needed for the upgrade policy provided",
    ),
    "deletionProtection": _replacing(
        "deletionProtection",
        "DeletionProtectionUpdate",
        unchanged="Deletion protection is already set to this value",
    ),
}


def update_cluster_version(cloud: CloudApi, call: Call) -> UpdateDocument:
    """Answer UpdateClusterVersion: to the next minor version only."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    desired = catalog.check_version(cloud, call.params["version"])
    current = cluster.document["version"]
    if int(desired.split(".")[1]) - int(current.split(".")[1]) != 1:
        raise responses.invalid_parameter(
            f"Unsupported Kubernetes minor version update from {current} to {desired}",
            clusterName=cluster.name,
        )
    shown = {"Version": desired, "PlatformVersion": "eks.7"}
    return start_cluster_update(
        cloud, cluster, "VersionUpdate", shown, lambda: cluster.document.update(version=desired)
    )


CLUSTER_UPDATE_ANSWERS = {
    ("eks", "UpdateClusterConfig"): update_cluster_config,
    ("eks", "UpdateClusterVersion"): update_cluster_version,
}


def check_no_update_in_progress(cluster: Cluster, kind: str) -> None:
    """Reject an update while the cluster is not ACTIVE or another update runs."""
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
    """Answer DescribeUpdate; updates of a node group or add-on require its name."""
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
    ids = [
        key for key, update in cluster.updates.items() if (update.nodegroup, update.addon) == named
    ]
    return paginate("updateIds", ids, call.params)


UPDATE_ANSWERS = {("eks", "DescribeUpdate"): describe_update, ("eks", "ListUpdates"): list_updates}

ANSWERS = {**CLUSTER_UPDATE_ANSWERS, **UPDATE_ANSWERS}
