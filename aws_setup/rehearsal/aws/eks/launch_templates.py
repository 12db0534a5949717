"""The launch templates of node groups, and what EKS refuses in them.

https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
"""

from __future__ import annotations

from aws_setup.rehearsal.aws.eks import responses
from aws_setup.rehearsal.aws.eks.store import Document, call_ec2
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi


def check_launch_template(cloud: CloudApi, call: Call) -> Document:
    """Return the launch template version of a request; empty without one.

    EKS rejects what it sets itself: instance profile and subnets in the template, and disk size
    and SSH access together with a template.
    """
    requested = call.params.get("launchTemplate")
    if not requested:
        return {}
    for key in ("diskSize", "remoteAccess"):
        if call.params.get(key):
            raise responses.invalid_parameter(f"{key} cannot be used with a launch template")
    found = _version(cloud, call, requested)
    data = found["LaunchTemplateData"]
    if data.get("IamInstanceProfile"):
        raise responses.invalid_parameter("Launch template must not specify IamInstanceProfile")
    if any(
        network_interface.get("SubnetId") for network_interface in data.get("NetworkInterfaces", [])
    ):
        raise responses.invalid_parameter("Launch template must not specify a subnet")
    if data.get("InstanceMarketOptions"):
        # EKS user guide, "Launch template configuration basics": capacityType says it instead.
        raise responses.invalid_parameter(
            "Launch template must not specify InstanceMarketOptions: use capacityType"
        )
    if data.get("InstanceType") and call.params.get("instanceTypes"):
        raise responses.invalid_parameter(
            "Cannot specify instance types in launch template and API request"
        )
    return found


def _version(cloud: CloudApi, call: Call, requested: Document) -> Document:
    if bool(requested.get("id")) == bool(requested.get("name")):
        raise responses.invalid_parameter(
            "Either the id or the name of a launch template is needed"
        )
    named = {"LaunchTemplateId": requested["id"]} if requested.get("id") else {}
    named = named or {"LaunchTemplateName": requested["name"]}
    version = str(requested.get("version") or "$Default")
    try:
        answer = call_ec2(
            cloud, call, "DescribeLaunchTemplateVersions", Versions=[version], **named
        )
    except AwsError as error:
        raise responses.invalid_parameter(error.message) from error
    if not answer["LaunchTemplateVersions"]:
        raise responses.invalid_parameter(f"Launch template version {version} does not exist")
    found: Document = answer["LaunchTemplateVersions"][0]
    return found
