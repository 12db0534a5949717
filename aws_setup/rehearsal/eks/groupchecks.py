"""What EKS refuses in a CreateNodegroup request.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html
https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks import checks, errors
from aws_setup.rehearsal.eks.context import call_ec2
from aws_setup.rehearsal.eks.model import Cluster, Document
from aws_setup.rehearsal.iam import roles
from aws_setup.rehearsal.rules import AwsError, Call

AL2_LAST = (1, 32)
"""Last Kubernetes version for which EKS published Amazon Linux 2 AMIs."""
LARGEST_GROUP = 450
"""Nodes in a node group (quota L-BD136A63)."""


def check_node_role(cloud: Cloud, call: Call, arn: str) -> None:
    """Check that the node role exists and that EC2 may assume it."""
    name = checks.check_role_arn(arn, call.account)
    roles.check_pass_role(cloud, call, arn)
    role = roles.visible_role(cloud, name)
    if role is None:
        raise errors.invalid_parameter(f"The role with name {name} cannot be found.")
    if not roles.trusts(role, "ec2.amazonaws.com"):
        raise errors.invalid_parameter(
            "Following required service principals [ec2.amazonaws.com] were not found in the "
            f"trust relationships of nodeRole {arn}"
        )


def check_scaling_config(asked: Document) -> Document:
    """Return the scalingConfig of a group; refuses sizes that do not fit each other."""
    sizes = {"minSize": 1, "maxSize": 2, "desiredSize": 2} | asked
    least, most, wanted = sizes["minSize"], sizes["maxSize"], sizes["desiredSize"]
    if least < 0 or most < 1 or most > LARGEST_GROUP:
        raise errors.invalid_parameter(f"minSize 0 or more, maxSize 1 to {LARGEST_GROUP}")
    if least > most:
        raise errors.invalid_parameter(f"Minimum capacity {least} can't be greater than {most}")
    if not least <= wanted <= most:
        raise errors.invalid_parameter(
            f"desired capacity {wanted} can't be less than minSize {least} or greater than "
            f"maxSize {most}"
        )
    return sizes


def check_nodegroup_subnets(cloud: Cloud, call: Call, cluster: Cluster) -> list[dict[str, Any]]:
    """Return the subnets of a group; they must be in the cluster's VPC."""
    found = checks.check_subnets(cloud, call, call.params["subnets"])
    if found[0]["VpcId"] != cluster.vpc["vpcId"]:
        raise errors.invalid_parameter(
            f"Subnets are not in the VPC of the cluster: {call.params['subnets']}"
        )
    return found


def check_ami_type(params: Document, cluster: Cluster) -> str:
    """Return the amiType of a group; Amazon Linux 2 ended with Kubernetes 1.32."""
    kind = str(params.get("amiType", "AL2023_x86_64_STANDARD"))
    version = tuple(int(part) for part in cluster.document["version"].split("."))
    if kind.startswith("AL2_") and version > AL2_LAST:
        raise errors.invalid_parameter(
            f"AMI Type {kind} is only supported for kubernetes versions 1.32 or earlier"
        )
    return kind


def check_instance_types(cloud: Cloud, call: Call, types: Sequence[str]) -> None:
    """Check that the instance types exist."""
    try:
        call_ec2(cloud, call, "DescribeInstanceTypes", InstanceTypes=list(types))
    except AwsError as error:
        raise errors.invalid_parameter(
            f"The following supplied instance types do not exist: {list(types)}"
        ) from error


def check_launch_template(cloud: Cloud, call: Call) -> Document:
    """Return the launch template version of a request; empty when it names none.

    EKS refuses what it sets itself: instance profile and subnets in the template, and disk size
    and SSH access beside it.
    """
    asked = call.params.get("launchTemplate")
    if not asked:
        return {}
    for key in ("diskSize", "remoteAccess"):
        if call.params.get(key):
            raise errors.invalid_parameter(f"{key} cannot be used with a launch template")
    found = _version(cloud, call, asked)
    data = found["LaunchTemplateData"]
    if data.get("IamInstanceProfile"):
        raise errors.invalid_parameter("Launch template must not specify IamInstanceProfile")
    if any(one.get("SubnetId") for one in data.get("NetworkInterfaces", [])):
        raise errors.invalid_parameter("Launch template must not specify a subnet")
    if data.get("InstanceType") and call.params.get("instanceTypes"):
        raise errors.invalid_parameter(
            "Cannot specify instance types in launch template and API request"
        )
    return found


def _version(cloud: Cloud, call: Call, asked: Document) -> Document:
    if bool(asked.get("id")) == bool(asked.get("name")):
        raise errors.invalid_parameter("Either the id or the name of a launch template is needed")
    named = {"LaunchTemplateId": asked["id"]} if asked.get("id") else {}
    named = named or {"LaunchTemplateName": asked["name"]}
    version = str(asked.get("version") or "$Default")
    try:
        answer = call_ec2(cloud, call, "DescribeLaunchTemplateVersions", Versions=[version], **named)
    except AwsError as error:
        raise errors.invalid_parameter(error.message) from error
    if not answer["LaunchTemplateVersions"]:
        raise errors.invalid_parameter(f"Launch template version {version} is not there")
    found: Document = answer["LaunchTemplateVersions"][0]
    return found
