"""Changes of a cluster in place: UpdateClusterConfig and UpdateClusterVersion.

https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterVersion.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks import access, checks, clusters, errors, updates, versions
from aws_setup.rehearsal.eks.context import region_store
from aws_setup.rehearsal.eks.model import Cluster, Document
from aws_setup.rehearsal.rules import Call

UpdateDocument = dict[str, Any]
ENDPOINT_KEYS = ("endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs")
VPC_KEYS = ("subnetIds", "securityGroupIds")
MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
"""Authentication modes in the only direction in which a cluster can change."""


def update_cluster_config(cloud: Cloud, call: Call) -> UpdateDocument:
    """Answer UpdateClusterConfig: exactly one kind of change in a request."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    kinds = [
        (kind, change)
        for kind, change in CHANGES.items()
        if call.params.get(kind) not in (None, {})
    ]
    if not kinds:
        raise errors.invalid_parameter("No update parameters were given", clusterName=cluster.name)
    if len(kinds) > 1:
        raise errors.invalid_parameter(
            "Only one type of update can be allowed.", clusterName=cluster.name
        )
    kind, change = kinds[0]
    updates.check_no_update_in_progress(cluster, f"update {kind}")
    return change(cloud, call, cluster, call.params[kind])


def _update_network(cloud: Cloud, call: Call, cluster: Cluster, asked: Document) -> UpdateDocument:
    if any(key in asked for key in ENDPOINT_KEYS) and any(key in asked for key in VPC_KEYS):
        raise errors.invalid_parameter("Only one type of update can be allowed.")
    if any(key in asked for key in VPC_KEYS):
        return _subnets(cloud, call, cluster, asked)
    return _endpoint(cloud, cluster, asked)


def _endpoint(cloud: Cloud, cluster: Cluster, asked: Document) -> UpdateDocument:
    has = {key: cluster.vpc[key] for key in ENDPOINT_KEYS}
    wants = has | {key: asked[key] for key in ENDPOINT_KEYS if key in asked}
    if wants["endpointPublicAccess"] and not wants["publicAccessCidrs"]:
        wants["publicAccessCidrs"] = ["0.0.0.0/0"]
    checks.check_endpoint(
        wants["endpointPublicAccess"], wants["endpointPrivateAccess"], wants["publicAccessCidrs"]
    )
    if has | {"publicAccessCidrs": sorted(has["publicAccessCidrs"])} == wants | {
        "publicAccessCidrs": sorted(wants["publicAccessCidrs"])
    }:
        raise errors.invalid_parameter(
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
    return updates.start_cluster_update(
        cloud, cluster, "EndpointAccessUpdate", shown, lambda: cluster.vpc.update(wants)
    )


def _subnets(cloud: Cloud, call: Call, cluster: Cluster, asked: Document) -> UpdateDocument:
    wants = {key: list(asked[key]) for key in VPC_KEYS if key in asked}
    subnets = wants.get("subnetIds") or list(cluster.vpc["subnetIds"])
    found = checks.check_subnets(cloud, call, subnets)
    checks.check_zones(cloud, call, found)
    if found[0]["VpcId"] != cluster.vpc["vpcId"]:
        raise errors.invalid_parameter("Subnets must be in the VPC of the cluster")
    checks.check_security_groups(cloud, call, wants.get("securityGroupIds", []), cluster.vpc["vpcId"])
    shown = {
        "Subnets": wants.get("subnetIds", []),
        "SecurityGroups": wants.get("securityGroupIds", []),
    }
    return updates.start_cluster_update(
        cloud, cluster, "VpcConfigUpdate", shown, lambda: cluster.vpc.update(wants)
    )


def _update_logging(cloud: Cloud, call: Call, cluster: Cluster, asked: Document) -> UpdateDocument:
    wants = _merged_logging(cluster.document["logging"], asked)
    if wants == cluster.document["logging"]:
        raise errors.invalid_parameter(
            "No changes needed for the logging config provided", clusterName=cluster.name
        )
    return updates.start_cluster_update(
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


def _update_access(cloud: Cloud, call: Call, cluster: Cluster, asked: Document) -> UpdateDocument:
    has, wants = cluster.document["accessConfig"]["authenticationMode"], asked["authenticationMode"]
    if MODES.index(wants) <= MODES.index(has):
        raise errors.invalid_parameter(
            f"Unsupported authentication mode update from {has} to {wants}",
            clusterName=cluster.name,
        )

    def apply() -> None:
        cluster.document["accessConfig"]["authenticationMode"] = wants
        access.create_bootstrap_entry(cloud, call, cluster)

    shown = {"AuthenticationMode": wants}
    return updates.start_cluster_update(cloud, cluster, "AccessConfigUpdate", shown, apply)


def _update_support(cloud: Cloud, call: Call, cluster: Cluster, asked: Document) -> UpdateDocument:
    if cluster.document["upgradePolicy"] == asked:
        raise errors.invalid_parameter("No changes needed for the upgrade policy provided")
    return updates.start_cluster_update(
        cloud,
        cluster,
        "UpgradePolicyUpdate",
        {"UpgradePolicy": asked},
        lambda: cluster.document.update(upgradePolicy=dict(asked)),
    )


def _update_protection(cloud: Cloud, call: Call, cluster: Cluster, asked: Any) -> UpdateDocument:
    if cluster.document["deletionProtection"] == asked:
        raise errors.invalid_parameter("Deletion protection is already set to this value")
    return updates.start_cluster_update(
        cloud,
        cluster,
        "DeletionProtectionUpdate",
        {"DeletionProtection": asked},
        lambda: cluster.document.update(deletionProtection=asked),
    )


CHANGES: dict[str, Callable[[Cloud, Call, Cluster, Any], UpdateDocument]] = {
    "resourcesVpcConfig": _update_network,
    "logging": _update_logging,
    "accessConfig": _update_access,
    "upgradePolicy": _update_support,
    "deletionProtection": _update_protection,
}


def update_cluster_version(cloud: Cloud, call: Call) -> UpdateDocument:
    """Answer UpdateClusterVersion: to the next minor version only."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    wants = versions.check_version(cloud, call.params["version"])
    has = cluster.document["version"]
    if int(wants.split(".")[1]) - int(has.split(".")[1]) != 1:
        raise errors.invalid_parameter(
            f"Unsupported Kubernetes minor version update from {has} to {wants}",
            clusterName=cluster.name,
        )
    shown = {"Version": wants, "PlatformVersion": "eks.7"}
    return updates.start_cluster_update(
        cloud, cluster, "VersionUpdate", shown, lambda: cluster.document.update(version=wants)
    )


CLUSTER_UPDATE_ANSWERS = {
    ("eks", "UpdateClusterConfig"): update_cluster_config,
    ("eks", "UpdateClusterVersion"): update_cluster_version,
}
