"""EKS clusters: made, described, listed and deleted.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html
"""

from __future__ import annotations

import uuid
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks import access, checks, errors, footprint, versions
from aws_setup.rehearsal.eks.context import eks_arn, cluster_hooks, current_time, region_store
from aws_setup.rehearsal.eks.model import Cluster, Document, response_copy
from aws_setup.rehearsal.eks.pages import paginate
from aws_setup.rehearsal.rules import AwsError, Call

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def create_cluster(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer CreateCluster: check everything, then CREATING until the latency is over."""
    params = call.params
    checks.check_name(params["name"])
    here = region_store(cloud, call)
    if params["name"] in here.clusters:
        raise errors.in_use(
            f"Cluster already exists with name: {params['name']}", clusterName=params["name"]
        )
    if len(here.clusters) >= cloud.settings.quotas.eks_clusters:
        raise errors.over_limit("Cluster limit exceeded", clusterName=params["name"])
    version = versions.check_version(cloud, params.get("version"))
    checks.check_cluster_role(cloud, call, params["roleArn"])
    cluster = Cluster(_document(cloud, call, version), creator=access.caller_arn(cloud, call))
    here.clusters[cluster.name] = cluster
    cloud.later("cluster active", lambda: _finish(cloud, call, cluster))
    return {"cluster": response_copy(cluster.document)}


def _document(cloud: Cloud, call: Call, version: str) -> Document:
    params = call.params
    return {
        "name": params["name"],
        "arn": eks_arn(call, f"cluster/{params['name']}"),
        "createdAt": current_time(cloud),
        "version": version,
        "roleArn": params["roleArn"],
        "resourcesVpcConfig": _network(cloud, call),
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4"}
        | params.get("kubernetesNetworkConfig", {}),
        "logging": logging_document(params.get("logging", {})),
        "status": "CREATING",
        "certificateAuthority": {},
        "clientRequestToken": params.get("clientRequestToken"),
        "platformVersion": "eks.7",
        "tags": dict(params.get("tags") or {}),
        "health": {"issues": []},
        "accessConfig": _access_config(params.get("accessConfig", {})),
        "upgradePolicy": {"supportType": "EXTENDED"} | params.get("upgradePolicy", {}),
        "deletionProtection": bool(params.get("deletionProtection", False)),
    }


def _network(cloud: Cloud, call: Call) -> Document:
    """Check the resourcesVpcConfig of a request and return the one that is described."""
    asked = call.params["resourcesVpcConfig"]
    found = checks.check_subnets(cloud, call, asked.get("subnetIds", []))
    checks.check_zones(cloud, call, found)
    vpc_id = found[0]["VpcId"]
    checks.check_security_groups(cloud, call, asked.get("securityGroupIds", []), vpc_id)
    public = bool(asked.get("endpointPublicAccess", True))
    private = bool(asked.get("endpointPrivateAccess", False))
    cidrs = list(asked.get("publicAccessCidrs") or (["0.0.0.0/0"] if public else []))
    checks.check_endpoint(public, private, cidrs)
    return {
        "subnetIds": list(asked["subnetIds"]),
        "securityGroupIds": list(asked.get("securityGroupIds", [])),
        "vpcId": vpc_id,
        "endpointPublicAccess": public,
        "endpointPrivateAccess": private,
        "publicAccessCidrs": cidrs,
    }


def _access_config(asked: Document) -> Document:
    """Return the accessConfig; the API's default mode is CONFIG_MAP, the console's is not."""
    default = {"bootstrapClusterCreatorAdminPermissions": True, "authenticationMode": "CONFIG_MAP"}
    return default | asked


def logging_document(asked: Document) -> Document:
    """Return the logging of a cluster, every type in exactly one of the two lists."""
    on = {
        kind
        for setup in asked.get("clusterLogging", [])
        if setup.get("enabled")
        for kind in setup.get("types", [])
    }
    off = [kind for kind in LOG_TYPES if kind not in on]
    lists = [{"types": [kind for kind in LOG_TYPES if kind in on], "enabled": True}] if on else []
    return {"clusterLogging": lists + ([{"types": off, "enabled": False}] if off else [])}


def _finish(cloud: Cloud, call: Call, cluster: Cluster) -> None:
    """Make a cluster ACTIVE, or FAILED when its network went away meanwhile (API_ClusterIssue)."""
    try:
        _activate(cloud, call, cluster)
    except AwsError as error:
        issue = {"code": "Ec2SubnetNotFound", "message": error.message, "resourceIds": []}
        cluster.document |= {"status": "FAILED", "health": {"issues": [issue]}}


def _activate(cloud: Cloud, call: Call, cluster: Cluster) -> None:
    """Bring a cluster up: security group, interfaces, endpoint, CA and OIDC issuer appear."""
    network = cluster.vpc
    group = footprint.create_cluster_security_group(cloud, call, name=cluster.name, vpc_id=network["vpcId"])
    network["clusterSecurityGroupId"] = group
    subnets = checks.check_subnets(cloud, call, network["subnetIds"])
    cluster.interfaces += footprint.create_control_plane_interfaces(
        cloud,
        call,
        name=cluster.name,
        subnets=subnets,
        groups=[group, *network["securityGroupIds"]],
    )
    version = cluster.document["version"]
    endpoint = cluster_hooks(cloud).endpoint(name=cluster.name, region=call.region, version=version)
    issuer = f"https://oidc.eks.{call.region}.amazonaws.com/id/{uuid.uuid4().hex.upper()}"
    cluster.document |= {
        "endpoint": endpoint.url,
        "certificateAuthority": {"data": endpoint.authority},
        "identity": {"oidc": {"issuer": issuer}},
        "status": "ACTIVE",
    }
    access.create_bootstrap_entry(cloud, call, cluster)


def describe_cluster(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer DescribeCluster."""
    return {"cluster": response_copy(region_store(cloud, call).cluster(call.params["name"]).document)}


def list_clusters(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer ListClusters, by name."""
    return paginate("clusters", sorted(region_store(cloud, call).clusters), call.params)


def delete_cluster(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer DeleteCluster: refused while it has node groups, is protected or busy."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    if cluster.document["deletionProtection"]:
        raise errors.invalid_request(
            f"Cluster {cluster.name} has deletion protection enabled", clusterName=cluster.name
        )
    if cluster.nodegroups:
        raise errors.in_use("Cluster has nodegroups attached", clusterName=cluster.name)
    if cluster.status in {"CREATING", "UPDATING"}:
        raise errors.in_use(
            f"Cannot delete because cluster {cluster.name} is in state {cluster.status}",
            clusterName=cluster.name,
        )
    if cluster.status != "DELETING":
        cluster.document["status"] = "DELETING"
        cloud.later("cluster deleted", lambda: _remove_cluster(cloud, call, cluster))
    return {"cluster": response_copy(cluster.document)}


def _remove_cluster(cloud: Cloud, call: Call, cluster: Cluster) -> None:
    """Remove a cluster with its interfaces and its security group."""
    footprint.remove_interfaces(cloud, call, cluster)
    footprint.remove_security_group(cloud, call, cluster)
    del region_store(cloud, call).clusters[cluster.name]
    cluster_hooks(cloud).deleted(name=cluster.name, region=call.region)


ANSWERS = {
    ("eks", "CreateCluster"): create_cluster,
    ("eks", "DescribeCluster"): describe_cluster,
    ("eks", "ListClusters"): list_clusters,
    ("eks", "DeleteCluster"): delete_cluster,
}
