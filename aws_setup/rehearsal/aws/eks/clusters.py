"""EKS clusters: create, describe, list and delete; their network interfaces.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.aws.eks import access_entries, catalog, responses, validation
from aws_setup.rehearsal.aws.eks.responses import paginate
from aws_setup.rehearsal.aws.eks.store import (
    Cluster,
    Document,
    call_ec2,
    cluster_hooks,
    current_time,
    eks_arn,
    issue_of,
    region_store,
    response_copy,
)
from aws_setup.rehearsal.aws.logs import make_log_group
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def create_cluster(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateCluster: check the request, then CREATING for its delay."""
    params = call.params
    validation.check_name(params["name"])
    store = region_store(cloud, call)
    if params["name"] in store.clusters:
        raise responses.in_use(
            f"Cluster already exists with name: {params['name']}", clusterName=params["name"]
        )
    if len(store.clusters) >= cloud.settings.quotas.eks_clusters:
        raise responses.over_limit("Cluster limit exceeded", clusterName=params["name"])
    version = catalog.check_version(cloud, params.get("version"))
    validation.check_cluster_role(cloud, call, params["roleArn"])
    cluster = Cluster(
        _document(cloud, call, version), creator=access_entries.caller_arn(cloud, call)
    )
    store.clusters[cluster.name] = cluster
    cloud.schedule("cluster active", lambda: _finish(cloud, call, cluster))
    return {"cluster": response_copy(cluster.document)}


def _document(cloud: CloudApi, call: Call, version: str) -> Document:
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


def _network(cloud: CloudApi, call: Call) -> Document:
    """Check the resourcesVpcConfig of a request and return that of the cluster."""
    requested = call.params["resourcesVpcConfig"]
    found = validation.check_subnets(cloud, call, requested.get("subnetIds", []))
    validation.check_zones(cloud, call, found)
    vpc_id = found[0]["VpcId"]
    validation.check_security_groups(cloud, call, requested.get("securityGroupIds", []), vpc_id)
    public = bool(requested.get("endpointPublicAccess", True))
    private = bool(requested.get("endpointPrivateAccess", False))
    cidrs = list(requested.get("publicAccessCidrs") or (["0.0.0.0/0"] if public else []))
    validation.check_endpoint(public, private, cidrs)
    return {
        "subnetIds": list(requested["subnetIds"]),
        "securityGroupIds": list(requested.get("securityGroupIds", [])),
        "vpcId": vpc_id,
        "endpointPublicAccess": public,
        "endpointPrivateAccess": private,
        "publicAccessCidrs": cidrs,
    }


def _access_config(requested: Document) -> Document:
    """Return the accessConfig; the API's default mode is CONFIG_MAP, unlike the console's."""
    default = {"bootstrapClusterCreatorAdminPermissions": True, "authenticationMode": "CONFIG_MAP"}
    return default | requested


def logging_document(requested: Document) -> Document:
    """Return the logging of a cluster, every type in one of the two lists."""
    on = {
        kind
        for setup in requested.get("clusterLogging", [])
        if setup.get("enabled")
        for kind in setup.get("types", [])
    }
    off = [kind for kind in LOG_TYPES if kind not in on]
    lists = [{"types": [kind for kind in LOG_TYPES if kind in on], "enabled": True}] if on else []
    return {"clusterLogging": lists + ([{"types": off, "enabled": False}] if off else [])}


def write_logs(cloud: CloudApi, call: Call, cluster: Cluster) -> None:
    """Make the log group of a cluster whose logs are enabled, as EKS does; it has no tags.

    It stays when they are disabled, and when the cluster is deleted.

    https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
    """
    if any(setup["enabled"] for setup in cluster.document["logging"]["clusterLogging"]):
        make_log_group(cloud, call.region, f"/aws/eks/{cluster.name}/cluster")


def _finish(cloud: CloudApi, call: Call, cluster: Cluster) -> None:
    """Make a cluster ACTIVE, or FAILED if its network was deleted meanwhile (API_ClusterIssue)."""
    failure = cloud.faults.resource_failure("cluster", cluster.name)
    if failure:
        issue = {"code": failure[0], "message": failure[1], "resourceIds": []}
        cluster.document |= {"status": "FAILED", "health": {"issues": [issue]}}
        return
    try:
        _activate(cloud, call, cluster)
    except AwsError as error:
        issue = {"code": "Ec2SubnetNotFound", "message": error.message, "resourceIds": []}
        cluster.document |= {"status": "FAILED", "health": {"issues": [issue]}}


def _activate(cloud: CloudApi, call: Call, cluster: Cluster) -> None:
    """Create the cluster's security group, interfaces, endpoint, CA and OIDC issuer."""
    network = cluster.vpc
    group = create_cluster_security_group(cloud, call, name=cluster.name, vpc_id=network["vpcId"])
    network["clusterSecurityGroupId"] = group
    subnets = validation.check_subnets(cloud, call, network["subnetIds"])
    cluster.interfaces += create_control_plane_interfaces(
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
    if call.params.get("bootstrapSelfManagedAddons", True):
        cluster_hooks(cloud).install_default_addons(cluster=cluster.name)
    access_entries.create_bootstrap_entry(cloud, call, cluster)
    write_logs(cloud, call, cluster)


def describe_cluster(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeCluster."""
    document = response_copy(region_store(cloud, call).cluster(call.params["name"]).document)
    document["health"]["issues"] += cloud.faults.health_issues("cluster", call.params["name"])
    return {"cluster": document}


def list_clusters(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListClusters, by name."""
    return paginate("clusters", sorted(region_store(cloud, call).clusters), call.params)


def delete_cluster(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteCluster: rejected while it has nodes of EKS, is protected or busy."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    if cluster.document["deletionProtection"]:
        raise responses.invalid_request(
            f"Cluster {cluster.name} has deletion protection enabled", clusterName=cluster.name
        )
    if cluster.nodegroups:
        raise responses.in_use("Cluster has nodegroups attached", clusterName=cluster.name)
    if cluster.fargate:
        raise responses.in_use("Cluster has Fargate profiles attached", clusterName=cluster.name)
    if cluster.status in {"CREATING", "UPDATING"}:
        raise responses.in_use(
            f"Cannot delete because cluster {cluster.name} is in state {cluster.status}",
            clusterName=cluster.name,
        )
    if cluster.status != "DELETING":
        cluster.document["status"] = "DELETING"
        failure = cloud.faults.resource_failure("cluster-deletion", cluster.name)
        kept = {"status": "ACTIVE", "health": {"issues": [issue_of(failure)] if failure else []}}

        def end() -> None:
            if failure:
                cluster.document.update(kept)
            else:
                _remove_cluster(cloud, call, cluster)

        cloud.schedule("cluster deleted", end)
    return {"cluster": response_copy(cluster.document)}


def _remove_cluster(cloud: CloudApi, call: Call, cluster: Cluster) -> None:
    """Remove a cluster with its interfaces and its security group."""
    remove_interfaces(cloud, call, cluster)
    remove_security_group(cloud, call, cluster)
    del region_store(cloud, call).clusters[cluster.name]
    cluster_hooks(cloud).deleted(name=cluster.name, region=call.region)


ANSWERS = {
    ("eks", "CreateCluster"): create_cluster,
    ("eks", "DescribeCluster"): describe_cluster,
    ("eks", "ListClusters"): list_clusters,
    ("eks", "DeleteCluster"): delete_cluster,
}


INTERFACES = 2
"""Network interfaces of a control plane; EKS creates two to four, in different zones."""


def create_cluster_security_group(cloud: CloudApi, call: Call, *, name: str, vpc_id: str) -> str:
    """Create the cluster security group, which allows traffic within the group."""
    number = secrets.randbelow(10**10)
    created = call_ec2(
        cloud,
        call,
        "CreateSecurityGroup",
        GroupName=f"eks-cluster-sg-{name}-{number}",
        Description="EKS created security group applied to ENI that is attached to EKS Control "
        "Plane master nodes, as well as any managed workloads.",
        VpcId=vpc_id,
        TagSpecifications=_tags("security-group", name, number),
    )
    group_id = str(created["GroupId"])
    cloud.backend("ec2", call.region).create_tags([group_id], {"aws:eks:cluster-name": name})
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}
    call_ec2(
        cloud,
        call,
        "AuthorizeSecurityGroupIngress",
        GroupId=group_id,
        IpPermissions=[rule],
    )
    return group_id


def _tags(kind: str, name: str, number: int) -> list[dict[str, Any]]:
    tags = {
        "Name": f"eks-cluster-sg-{name}-{number}",
        f"kubernetes.io/cluster/{name}": "owned",
    }
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": listed}]


def create_control_plane_interfaces(
    cloud: CloudApi,
    call: Call,
    *,
    name: str,
    subnets: Sequence[Mapping[str, Any]],
    groups: list[str],
) -> list[str]:
    """Create the control plane's network interfaces in different zones and return their ids."""
    by_zone = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in reversed(subnets)}
    created = []
    for subnet_id in sorted(by_zone.values())[:INTERFACES]:
        answer = call_ec2(
            cloud,
            call,
            "CreateNetworkInterface",
            SubnetId=subnet_id,
            Groups=groups,
            Description=f"Amazon EKS {name}",
        )
        created.append(str(answer["NetworkInterface"]["NetworkInterfaceId"]))
    _attach(cloud, call, created)
    return created


def _attach(cloud: CloudApi, call: Call, ids: Sequence[str]) -> None:
    """Mark the interfaces as attached by EKS: a user can neither detach nor delete them."""
    backend = cloud.backend("ec2", call.region)
    for resource_id in ids:
        interface = backend.enis[resource_id]
        interface.status = "in-use"
        interface.requester_managed = True


def remove_interfaces(cloud: CloudApi, call: Call, cluster: Cluster) -> None:
    """Delete the control plane's interfaces; an already deleted interface is no error."""
    backend = cloud.backend("ec2", call.region)
    for interface in cluster.interfaces:
        if interface in backend.enis:
            backend.enis[interface].status = "available"
            call_ec2(cloud, call, "DeleteNetworkInterface", NetworkInterfaceId=interface)
    cluster.interfaces.clear()


def remove_security_group(cloud: CloudApi, call: Call, cluster: Cluster) -> None:
    """Delete the cluster security group; like EKS, leave it if it is still in use."""
    group_id = cluster.vpc.get("clusterSecurityGroupId")
    try:
        if group_id:
            call_ec2(cloud, call, "DeleteSecurityGroup", GroupId=group_id)
    except AwsError as error:
        if error.code not in {"DependencyViolation", "InvalidGroup.NotFound"}:
            raise
