"""The nodes of a node group: launch template, Auto Scaling group, instances and AMI.

https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html
https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.ec2.images import Images
from aws_setup.rehearsal.aws.eks import access_entries, validation
from aws_setup.rehearsal.aws.eks.hooks import NodegroupInfo, NodeInfo
from aws_setup.rehearsal.aws.eks.store import Cluster, Document, Nodegroup, call_ec2, cluster_hooks
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

START_CHECK_INTERVAL_SECONDS = 5.0
"""Seconds between two checks of instances that are starting."""


def create_autoscaling_group(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup, data: Document
) -> None:
    """Create the launch template and the Auto Scaling group of a node group.

    `data` is the user's launch template, which EKS copies; empty for none.
    """
    name = group.document["nodegroupName"]
    unique = uuid.uuid4()
    created = call_ec2(
        cloud,
        call,
        "CreateLaunchTemplate",
        LaunchTemplateName=f"eks-{unique}",
        LaunchTemplateData=_template(cloud, call, cluster, group, data),
        TagSpecifications=[
            {"ResourceType": "launch-template", "Tags": _listed(_tags(cluster, name))}
        ],
    )
    group.template_id = created["LaunchTemplate"]["LaunchTemplateId"]
    sizes = group.document["scalingConfig"]
    cloud.call(
        "autoscaling",
        "CreateAutoScalingGroup",
        region=call.region,
        AutoScalingGroupName=f"eks-{name}-{unique}",
        **_launch(group, "1"),
        MinSize=sizes["minSize"],
        MaxSize=sizes["maxSize"],
        DesiredCapacity=sizes["desiredSize"],
        VPCZoneIdentifier=",".join(group.document["subnets"]),
        Tags=[tag | {"PropagateAtLaunch": True} for tag in _listed(_tags(cluster, name))],
    )
    group.document["resources"]["autoScalingGroups"] = [{"name": f"eks-{name}-{unique}"}]


def _launch(group: Nodegroup, version: str) -> dict[str, Any]:
    """Return how the group's machines are launched.

    https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html#managed-node-group-capacity-types
    """
    template = {"LaunchTemplateId": group.template_id, "Version": version}
    document = group.document
    types, spot = document.get("instanceTypes") or [], document["capacityType"] == "SPOT"
    if not spot and len(types) < 2:
        return {"LaunchTemplate": template}
    overrides = [{"InstanceType": kind} for kind in types]
    spread: Document = {"OnDemandPercentageAboveBaseCapacity": 0 if spot else 100}
    if spot:
        spread["SpotAllocationStrategy"] = "price-capacity-optimized"
    named = {"LaunchTemplateSpecification": template, "Overrides": overrides}
    return {"MixedInstancesPolicy": {"LaunchTemplate": named, "InstancesDistribution": spread}}


def replace_nodes(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup, data: Document
) -> None:
    """Replace every instance, with a new version of EKS's launch template."""
    full = _template(cloud, call, cluster, group, data)
    template = {"LaunchTemplateId": group.template_id}
    created = call_ec2(
        cloud, call, "CreateLaunchTemplateVersion", LaunchTemplateData=full, **template
    )
    version = str(created["LaunchTemplateVersion"]["VersionNumber"])
    cloud.call(
        "autoscaling",
        "UpdateAutoScalingGroup",
        region=call.region,
        AutoScalingGroupName=group.group_name,
        **_launch(group, version),
    )
    ids = [instance["InstanceId"] for instance in all_instances(cloud, call, group)]
    if ids:
        call_ec2(cloud, call, "TerminateInstances", InstanceIds=ids)


def _tags(cluster: Cluster, name: str) -> dict[str, str]:
    return {
        "eks:cluster-name": cluster.name,
        "eks:nodegroup-name": name,
        f"kubernetes.io/cluster/{cluster.name}": "owned",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{cluster.name}": "owned",
    }


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _template(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup, data: Document
) -> Document:
    """Return the data of EKS's launch template: the user's, completed."""
    document = group.document
    size = document.get("diskSize", 20)
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": size, "DeleteOnTermination": True}}
    full: Document = {"ImageId": node_image(cloud, call), "BlockDeviceMappings": [disk]} | data
    full.setdefault("InstanceType", (document.get("instanceTypes") or ["t3.medium"])[0])
    inner = [
        network_interface
        for network_interface in full.get("NetworkInterfaces", [])
        if network_interface.get("Groups")
    ]
    if not full.get("SecurityGroupIds") and not inner:
        full["SecurityGroupIds"] = [cluster.vpc["clusterSecurityGroupId"]]
    return full


def describe_autoscaling_group(cloud: CloudApi, call: Call, group: Nodegroup) -> dict[str, Any]:
    """Return the Auto Scaling group of a node group as described; empty for none."""
    if not group.group_name:
        return {}
    answer = cloud.call(
        "autoscaling",
        "DescribeAutoScalingGroups",
        region=call.region,
        AutoScalingGroupNames=[group.group_name],
    )
    found = answer["AutoScalingGroups"]
    return dict(found[0]) if found else {}


def when_started(cloud: CloudApi, call: Call, group: Nodegroup, then: Callable[[], None]) -> None:
    """Call `then` when no instance of the group is pending any more."""
    if any(
        instance["State"]["Name"] == "pending" for instance in all_instances(cloud, call, group)
    ):
        cloud.clock.after(
            START_CHECK_INTERVAL_SECONDS, lambda: when_started(cloud, call, group, then)
        )
    else:
        then()


def running_instances(cloud: CloudApi, call: Call, group: Nodegroup) -> list[dict[str, Any]]:
    """Return the running instances of a node group, as EC2 describes them."""
    return [
        instance
        for instance in all_instances(cloud, call, group)
        if instance["State"]["Name"] == "running"
    ]


def all_instances(cloud: CloudApi, call: Call, group: Nodegroup) -> list[dict[str, Any]]:
    """Return the instances of a node group in any state, as EC2 describes them."""
    ids = [
        instance["InstanceId"]
        for instance in describe_autoscaling_group(cloud, call, group).get("Instances", [])
    ]
    if not ids:
        return []
    answer = call_ec2(cloud, call, "DescribeInstances", InstanceIds=ids)
    return [
        instance for reservation in answer["Reservations"] for instance in reservation["Instances"]
    ]


def node_health_issue(cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup) -> Document:
    """Return the health issue that prevents the nodes from joining; empty for none."""
    subnet = validation.public_subnet_without_addresses(cloud, call, group)
    if subnet:
        return _issue(
            "Ec2SubnetInvalidConfiguration",
            f"One or more Amazon EC2 Subnets of [{subnet}] for node group "
            f"{group.document['nodegroupName']} does not automatically assign public IP "
            "addresses to instances launched into it. If you want your instances to be assigned "
            "a public IP address, then you need to enable auto-assign public IP address for the "
            "subnet.",
            [subnet],
        )
    desired = group.document["scalingConfig"]["desiredSize"]
    running = running_instances(cloud, call, group)
    instance_ids = [instance["InstanceId"] for instance in running]
    if len(instance_ids) < desired:
        return _launch_issue(cloud, call, group)
    if instance_ids and not validation.can_join(
        cloud, call, cluster=cluster, group=group, nodes=running
    ):
        return _issue(
            "NodeCreationFailure", "Instances failed to join the kubernetes cluster", instance_ids
        )
    return {}


def _issue(code: str, message: str, ids: list[str]) -> Document:
    return {"code": code, "message": message, "resourceIds": ids}


def _launch_issue(cloud: CloudApi, call: Call, group: Nodegroup) -> Document:
    activities = cloud.call(
        "autoscaling",
        "DescribeScalingActivities",
        region=call.region,
        AutoScalingGroupName=group.group_name,
    )["Activities"]
    failed = [
        activity["StatusMessage"] for activity in activities if activity["StatusCode"] == "Failed"
    ]
    reason = failed[0] if failed else "Instances are not running yet"
    limit = "VcpuLimitExceeded" in reason or "vCPU capacity" in reason
    code = "InstanceLimitExceeded" if limit else "AsgInstanceLaunchFailures"
    return _issue(code, f"Could not launch On-Demand Instances. {reason}", [group.group_name])


def create_node_access_entry(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup
) -> None:
    """Create the access entry of the node role, as EKS does; an existing entry is unchanged."""
    arn = group.document["nodeRole"]
    setup = cluster.document["accessConfig"]
    if setup["authenticationMode"] == "CONFIG_MAP" or arn in cluster.entries:
        return
    role = iam.visible_role(cloud, validation.check_role_arn(arn, call.account))
    if role is not None:
        access_entries.add_access_entry(
            cloud, call, cluster, arn, principal_id=role.id, kind="EC2_LINUX"
        )
        access_entries.notify_access_changed(cloud, cluster)


def notify_nodes_changed(cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup) -> None:
    """Pass the current nodes of the group to the API server."""
    nodes = tuple(
        NodeInfo(
            instance_id=instance["InstanceId"],
            private_ip=instance["PrivateIpAddress"],
            private_dns=instance["PrivateDnsName"],
            instance_type=instance["InstanceType"],
            zone=instance["Placement"]["AvailabilityZone"],
        )
        for instance in running_instances(cloud, call, group)
    )
    view = NodegroupInfo(
        cluster=cluster.name,
        name=group.document["nodegroupName"],
        labels=dict(group.document["labels"]),
        taints=tuple(group.document["taints"]),
        nodes=nodes,
    )
    cluster_hooks(cloud).nodegroup_changed(view)


def remove_group(cloud: CloudApi, call: Call, group: Nodegroup) -> bool:
    """Delete the Auto Scaling group with its instances; return whether both are gone.

    One that is being deleted, also by another caller, is not deleted a second time: Auto Scaling
    refuses that.
    """
    found = describe_autoscaling_group(cloud, call, group)
    if not found or found.get("Status"):
        return not found
    if cloud.faults.leaves_interfaces():
        _leave_cni_interfaces(cloud, call, group)
    named = {"AutoScalingGroupName": group.group_name, "ForceDelete": True}
    cloud.call("autoscaling", "DeleteAutoScalingGroup", region=call.region, **named)
    return not describe_autoscaling_group(cloud, call, group)


def _leave_cni_interfaces(cloud: CloudApi, call: Call, group: Nodegroup) -> None:
    """Leave one CNI interface of each node, as the plug-in does when it is interrupted.

    https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html
    """
    for instance in all_instances(cloud, call, group):
        if instance["State"]["Name"] != "running":
            continue
        tags = {
            "cluster.k8s.amazonaws.com/name": group.document["clusterName"],
            "node.k8s.amazonaws.com/instance_id": instance["InstanceId"],
        }
        call_ec2(
            cloud,
            call,
            "CreateNetworkInterface",
            SubnetId=instance["SubnetId"],
            Groups=[security_group["GroupId"] for security_group in instance["SecurityGroups"]],
            Description=f"aws-K8S-{instance['InstanceId']}",
            TagSpecifications=[{"ResourceType": "network-interface", "Tags": _listed(tags)}],
        )


def remove_template(cloud: CloudApi, call: Call, group: Nodegroup) -> None:
    """Delete EKS's launch template; already deleted is no error."""
    try:
        if group.template_id:
            call_ec2(cloud, call, "DeleteLaunchTemplate", LaunchTemplateId=group.template_id)
    except AwsError as error:
        if not error.code.startswith("InvalidLaunchTemplateId"):
            raise


NODE_IMAGE = "ami-0e4500000000a2023"
"""Id of the EKS-optimised Amazon Linux 2023 AMI; AWS changes the id with each release."""
AMAZON = "602401143452"
"""Account that publishes the EKS-optimised AMIs."""


def node_image(cloud: CloudApi, call: Call) -> str:
    """Return the AMI of nodes; creates it in the call's region."""
    cloud.store_of(Images).setdefault(
        (call.region, NODE_IMAGE),
        {
            "ImageId": NODE_IMAGE,
            "Name": "amazon-eks-node-al2023-x86_64-standard-1.35-v20261105",
            "OwnerId": AMAZON,
            "State": "available",
            "Public": True,
            "Architecture": "x86_64",
            "ImageType": "machine",
            "RootDeviceName": "/dev/xvda",
            "RootDeviceType": "ebs",
            "VirtualizationType": "hvm",
            "Hypervisor": "xen",
            "EnaSupport": True,
            "CreationDate": "2026-11-05T00:00:00.000Z",
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {"DeleteOnTermination": True, "VolumeSize": 20, "VolumeType": "gp3"},
                }
            ],
            "Tags": [],
        },
    )
    return NODE_IMAGE
