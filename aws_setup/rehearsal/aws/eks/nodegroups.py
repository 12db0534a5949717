"""Managed node groups: create, describe, list and delete, with their checks.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteNodegroup.html
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.ec2.limits import is_offered
from aws_setup.rehearsal.aws.eks import addons, health, nodes, responses, validation
from aws_setup.rehearsal.aws.eks.launch_templates import check_launch_template
from aws_setup.rehearsal.aws.eks.responses import paginate
from aws_setup.rehearsal.aws.eks.store import (
    Cluster,
    Document,
    Nodegroup,
    call_ec2,
    current_time,
    eks_arn,
    issue_of,
    region_store,
    response_copy,
)
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

RELEASE_DATE = "20261105"
"""Date in the releaseVersion of the nodes' AMI."""
JOIN_CHECK_INTERVAL_SECONDS = 60.0
"""Seconds between two checks of a group whose nodes do not join."""


def create_nodegroup(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateNodegroup: check the request, then CREATING until the nodes have joined."""
    params = call.params
    cluster = region_store(cloud, call).cluster(params["clusterName"])
    validation.check_name(params["nodegroupName"])
    if cluster.status not in {"ACTIVE", "UPDATING"}:
        raise responses.invalid_request(
            f"Cluster '{cluster.name}' is not in ACTIVE status", clusterName=cluster.name
        )
    if params["nodegroupName"] in cluster.nodegroups:
        raise responses.in_use(
            f"NodeGroup already exists with name {params['nodegroupName']} and cluster name "
            f"{cluster.name}",
            clusterName=cluster.name,
            nodegroupName=params["nodegroupName"],
        )
    template = check_launch_template(cloud, call)
    group = Nodegroup(_document(cloud, call, cluster, template))
    cluster.nodegroups[params["nodegroupName"]] = group
    data = template.get("LaunchTemplateData", {})
    cloud.clock.after(1.0, lambda: _launch(cloud, call, cluster, group, data))
    return {"nodegroup": response_copy(group.document)}


def _document(cloud: CloudApi, call: Call, cluster: Cluster, template: Document) -> Document:
    params = call.params
    subnets = check_nodegroup_subnets(cloud, call, cluster)
    check_node_role(cloud, call, params["nodeRole"])
    template_type = template.get("LaunchTemplateData", {}).get("InstanceType")
    types = list(
        params.get("instanceTypes") or ([template_type] if template_type else ["t3.medium"])
    )
    check_instance_types(cloud, call, types)
    ami_type = check_ami_type(params, cluster)
    check_architecture(cloud, call, types, ami_type)
    check_types_of_zones(cloud, call, types, subnets)
    name = params["nodegroupName"]
    document = {
        "nodegroupName": name,
        "nodegroupArn": eks_arn(call, f"nodegroup/{cluster.name}/{name}/{uuid.uuid4()}"),
        "clusterName": cluster.name,
        "version": cluster.document["version"],
        "releaseVersion": f"{cluster.document['version']}.4-{RELEASE_DATE}",
        "createdAt": current_time(cloud),
        "modifiedAt": current_time(cloud),
        "status": "CREATING",
        "capacityType": params.get("capacityType", "ON_DEMAND"),
        "scalingConfig": check_scaling_config(params.get("scalingConfig") or {}),
        "subnets": list(params["subnets"]),
        "amiType": ami_type,
        "nodeRole": params["nodeRole"],
        "labels": dict(params.get("labels") or {}),
        "taints": list(params.get("taints") or []),
        "resources": {"autoScalingGroups": []},
        "health": {"issues": []},
        "updateConfig": {"maxUnavailable": 1} | (params.get("updateConfig") or {}),
        "tags": dict(params.get("tags") or {}),
    }
    return document | _hardware(params, template, types)


def _hardware(params: Document, template: Document, types: list[str]) -> Document:
    """Return the hardware keys, by the launch template or, without one, by the request."""
    if not template:
        return {"instanceTypes": types, "diskSize": params.get("diskSize", 20)}
    named = {
        "id": template["LaunchTemplateId"],
        "name": template["LaunchTemplateName"],
        "version": str(template["VersionNumber"]),
    }
    instance_types = {"instanceTypes": types} if params.get("instanceTypes") else {}
    return instance_types | {"launchTemplate": named}


def _launch(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup, data: Document
) -> None:
    """Launch the instances and check after the usual delay whether they joined."""
    if group.document["status"] != "CREATING":
        return
    nodes.create_node_access_entry(cloud, call, cluster, group)
    try:
        nodes.create_autoscaling_group(cloud, call, cluster, group, data)
    except AwsError as error:
        _failed(group, "AutoScalingGroupInvalidConfiguration", error)
        return
    deadline = cloud.clock.now() + cloud.latencies["node group gives up"]
    _schedule_join_check(cloud, call, cluster, group, deadline)


def _schedule_join_check(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup, deadline: float
) -> None:
    """Check the group after the usual delay, but not while instances are still starting."""

    def check() -> None:
        _check_joined(cloud, call, cluster, group, deadline)

    cloud.schedule("node group active", lambda: nodes.when_started(cloud, call, group, check))


def _check_joined(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup, deadline: float
) -> None:
    """Make the group ACTIVE; while nodes are missing record why, and fail at the deadline."""
    document = group.document
    if document["status"] != "CREATING":
        return
    try:
        issue = nodes.node_health_issue(cloud, call, cluster, group)
    except AwsError as error:
        _failed(group, "Ec2SubnetNotFound", error)
        return
    document["health"]["issues"] = [issue] if issue else []
    if not issue:
        document["status"] = "ACTIVE"
        nodes_changed(cloud, call, cluster, group)
    elif _cannot_recover(cloud, issue) or cloud.clock.now() >= deadline:
        document["status"] = "CREATE_FAILED"
    else:
        cloud.clock.after(
            JOIN_CHECK_INTERVAL_SECONDS,
            lambda: _check_joined(cloud, call, cluster, group, deadline),
        )


def _failed(group: Nodegroup, code: str, error: AwsError) -> None:
    """Fail a group for an error of another service (API_Issue)."""
    issue = issue_of((code, f"{error.message} ({error.code})"))
    group.document |= {"status": "CREATE_FAILED", "health": {"issues": [issue]}}


def _cannot_recover(cloud: CloudApi, issue: Document) -> bool:
    """Return whether EKS fails at once: wrong subnets, or a cloud without delays."""
    return issue["code"] == "Ec2SubnetInvalidConfiguration" or not cloud.clock.speed


def nodes_changed(cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup) -> None:
    """Publish the changed nodes of a group, and check the health of the add-ons."""
    group.document["modifiedAt"] = current_time(cloud)
    nodes.notify_nodes_changed(cloud, call, cluster, group)
    addons.refresh_addons(cloud, cluster)


def describe_nodegroup(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeNodegroup."""
    cluster, name = region_store(cloud, call).cluster(call.params["clusterName"]), call.params
    group = cluster.nodegroup(name["nodegroupName"])
    document = response_copy(group.document)
    issues = health.lost_parts(cloud, call, group, document)
    issues += cloud.faults.health_issues("nodegroup", document["nodegroupName"])
    document["health"]["issues"] += issues
    if issues and document["status"] == "ACTIVE":
        document["status"] = "DEGRADED"
    return {"nodegroup": document}


def list_nodegroups(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListNodegroups, by name."""
    cluster = region_store(cloud, call).cluster(call.params["clusterName"])
    return paginate("nodegroups", sorted(cluster.nodegroups), call.params)


def delete_nodegroup(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteNodegroup: EKS drains the nodes, then terminates the instances."""
    cluster = region_store(cloud, call).cluster(call.params["clusterName"])
    group = cluster.nodegroup(call.params["nodegroupName"])
    if group.busy:
        raise responses.in_use(
            f"Nodegroup {call.params['nodegroupName']} has update {group.busy} in progress",
            clusterName=cluster.name,
        )
    if group.document["status"] != "DELETING":
        group.document |= {"status": "DELETING", "health": {"issues": []}}
        half = cloud.latencies["node group deleted"] / 2
        name = str(group.document["nodegroupName"])
        if failure := cloud.faults.resource_failure("nodegroup-deletion", name):
            failed = {"status": "DELETE_FAILED", "health": {"issues": [issue_of(failure)]}}
            cloud.clock.after(half, lambda: group.document.update(failed))
            return {"nodegroup": response_copy(group.document)}
        cloud.clock.after(half, lambda: nodes.remove_group(cloud, call, group))
        cloud.schedule("node group deleted", lambda: _remove_nodegroup(cloud, call, cluster, group))
    return {"nodegroup": response_copy(group.document)}


def _remove_nodegroup(cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup) -> None:
    """Remove a node group once its machines are gone; it is DELETING until then."""
    if not nodes.remove_group(cloud, call, group):
        again = partial(_remove_nodegroup, cloud, call, cluster, group)
        cloud.schedule("instance terminated", again)
        return
    nodes.remove_template(cloud, call, group)
    nodes_changed(cloud, call, cluster, group)
    del cluster.nodegroups[group.document["nodegroupName"]]
    addons.refresh_addons(cloud, cluster)


ANSWERS = {
    ("eks", "CreateNodegroup"): create_nodegroup,
    ("eks", "DescribeNodegroup"): describe_nodegroup,
    ("eks", "ListNodegroups"): list_nodegroups,
    ("eks", "DeleteNodegroup"): delete_nodegroup,
}


AL2_LAST = (1, 32)
"""Last Kubernetes version for which EKS published Amazon Linux 2 AMIs."""
LARGEST_GROUP = 450
"""Nodes in a node group (quota L-BD136A63)."""


def check_node_role(cloud: CloudApi, call: Call, arn: str) -> None:
    """Check that the node role exists and that EC2 may assume it."""
    name = validation.check_role_arn(arn, call.account)
    iam.check_pass_role(cloud, call, arn)
    role = iam.visible_role(cloud, name)
    if role is None:
        raise responses.invalid_parameter(f"The role with name {name} cannot be found.")
    in_china = cloud.settings.partition == "aws-cn"
    ec2 = "ec2.amazonaws.com.cn" if in_china else "ec2.amazonaws.com"
    if not iam.trusts(role, ec2):
        raise responses.invalid_parameter(
            f"Following required service principals [{ec2}] were not found in the "
            f"trust relationships of nodeRole {arn}"
        )


def check_scaling_config(requested: Document) -> Document:
    """Return the scalingConfig of a group; rejects inconsistent sizes."""
    sizes = {"minSize": 1, "maxSize": 2, "desiredSize": 2} | requested
    least, most, desired = sizes["minSize"], sizes["maxSize"], sizes["desiredSize"]
    if least < 0 or most < 1 or most > LARGEST_GROUP:
        raise responses.invalid_parameter(f"minSize 0 or more, maxSize 1 to {LARGEST_GROUP}")
    if least > most:
        raise responses.invalid_parameter(f"Minimum capacity {least} can't be greater than {most}")
    if not least <= desired <= most:
        raise responses.invalid_parameter(
            f"desired capacity {desired} can't be less than minSize {least} or greater than "
            f"maxSize {most}"
        )
    return sizes


def check_nodegroup_subnets(cloud: CloudApi, call: Call, cluster: Cluster) -> list[dict[str, Any]]:
    """Return the subnets of a group; they must be in the cluster's VPC."""
    found = validation.check_subnets(cloud, call, call.params["subnets"])
    if found[0]["VpcId"] != cluster.vpc["vpcId"]:
        raise responses.invalid_parameter(
            f"Subnets are not in the VPC of the cluster: {call.params['subnets']}"
        )
    return found


def check_ami_type(params: Document, cluster: Cluster) -> str:
    """Return the amiType of a group; Amazon Linux 2 is supported up to Kubernetes 1.32."""
    kind = str(params.get("amiType", "AL2023_x86_64_STANDARD"))
    version = tuple(int(part) for part in cluster.document["version"].split("."))
    if kind.startswith("AL2_") and version > AL2_LAST:
        raise responses.invalid_parameter(
            f"AMI Type {kind} is only supported for kubernetes versions 1.32 or earlier"
        )
    return kind


def check_architecture(cloud: CloudApi, call: Call, types: Sequence[str], ami_type: str) -> None:
    """Check that the types run the architecture of the AMI.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_Nodegroup.html (amiType)
    """
    if ami_type == "CUSTOM":
        return
    wanted = "arm64" if "_ARM_64" in ami_type else "x86_64"
    found = call_ec2(cloud, call, "DescribeInstanceTypes", InstanceTypes=list(types))
    for kind in found["InstanceTypes"]:
        if wanted not in kind["ProcessorInfo"]["SupportedArchitectures"]:
            raise responses.invalid_parameter(
                f"[{kind['InstanceType']}] is not a valid instance type for requested amiType "
                f"{ami_type}"
            )


def check_types_of_zones(
    cloud: CloudApi, call: Call, types: Sequence[str], subnets: Sequence[Mapping[str, Any]]
) -> None:
    """Check that the zone of every subnet offers every type: EKS tells it at once.

    https://github.com/eksctl-io/eksctl/issues/6461
    """
    for subnet in subnets:
        for kind in types:
            zone = subnet["AvailabilityZone"]
            if not is_offered(cloud, call.region, zone, kind):
                raise responses.invalid_request(
                    f"Your requested instance type ({kind}) is not supported in your requested "
                    f"Availability Zone ({zone}). Please retry your request by choosing another "
                    "Availability Zone."
                )


def check_instance_types(cloud: CloudApi, call: Call, types: Sequence[str]) -> None:
    """Check that the instance types exist."""
    try:
        call_ec2(cloud, call, "DescribeInstanceTypes", InstanceTypes=list(types))
    except AwsError as error:
        raise responses.invalid_parameter(
            f"The following supplied instance types do not exist: {list(types)}"
        ) from error
