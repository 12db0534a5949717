"""Checks of single requests that moto accepts, and answers that moto leaves incomplete."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aws_setup.rehearsal.aws.ec2.launch import check_tag
from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend
from aws_setup.rehearsal.core.protocol import operation_model
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

_FILTER = re.compile(r"<li>\s*<p>\s*<code>([^<]+)</code>")
"""How botocore's model documents the name of a filter."""


UNDOCUMENTED: Mapping[str, frozenset[str]] = MappingProxyType(
    {"DescribeVpcs": frozenset({"cidr-block"})}
)
"""Filters that EC2 takes beside those of its documentation.

Ansible's module ec2_vpc_net finds VPCs by `cidr-block`, as EC2 documents it for subnets
(amazon.aws 10.1.2, plugins/modules/ec2_vpc_net.py; its users' playbooks run on AWS); moto knows it.
"""


@functools.cache
def documented_filters(action: str) -> frozenset[str]:
    """Return the filters that EC2 takes for a Describe action."""
    members = operation_model("ec2", action).input_shape.members
    shape = members.get("Filters") or members["Filter"]
    return frozenset(_FILTER.findall(shape.documentation)) | UNDOCUMENTED.get(action, frozenset())


def _route(cloud: CloudApi, call: Call) -> None:
    """CreateRoute: the target must exist and belong to the table's VPC."""
    ec2, params = ec2_backend(cloud, call), call.params
    nat_id, gateway_id = params.get("NatGatewayId"), params.get("GatewayId", "")
    if nat_id and nat_id not in ec2.nat_gateways:
        message = f"The natGateway ID '{nat_id}' does not exist"
        raise AwsError("InvalidNatGatewayID.NotFound", message)
    table = ec2.route_tables.get(params["RouteTableId"])
    gateway = ec2.internet_gateways.get(gateway_id)
    if table and gateway and (gateway.vpc is None or gateway.vpc.id != table.vpc_id):
        message = (
            f"route table {table.id} and network gateway {gateway_id} belong to different networks"
        )
        raise AwsError("InvalidParameterValue", message)


def _associate(cloud: CloudApi, call: Call) -> None:
    """AssociateRouteTable: a subnet has one table (EC2 error code Resource.AlreadyAssociated)."""
    table_id, subnet = call.params["RouteTableId"], call.params.get("SubnetId")
    for table in ec2_backend(cloud, call).route_tables.values():
        if table.id != table_id and subnet and subnet in table._associations.values():
            message = (
                f"the specified association for route table {table_id} conflicts with an existing "
                "association"
            )
            raise AwsError("Resource.AlreadyAssociated", message)


def _template(cloud: CloudApi, call: Call) -> None:
    """CreateLaunchTemplate: its name, then its tags.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html
    """
    if not re.fullmatch(r"[a-zA-Z0-9().\-/_]{3,128}", str(call.params["LaunchTemplateName"])):
        message = (
            "A launch template name must be between 3 and 128 characters, and may contain letters, "
            "numbers, and the following characters: - ( ) . / _."
        )
        raise AwsError("InvalidLaunchTemplateName.MalformedException", message)
    _tags(cloud, call)


def _filters(cloud: CloudApi, call: Call) -> None:
    """Reject unknown filters, also when no resource exists that moto could apply them to."""
    known = documented_filters(call.action)
    for name_filter in call.params.get("Filters") or call.params.get("Filter", []):
        name = str(name_filter["Name"])
        if not name.startswith("tag:") and name not in known:
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")


def _group_tags(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """CreateSecurityGroup answers with the requested tags."""
    group = ec2_backend(cloud, call).get_security_group_from_id(answer["GroupId"])
    answer["Tags"] = [{"Key": tag["key"], "Value": tag["value"]} for tag in group.get_tags()]


def _template_tags(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """CreateLaunchTemplate: the template's tags are not those of its instances.

    What a request does not name is absent from the version, not empty: the example of
    DescribeLaunchTemplateVersions in AWS's API reference and botocore's examples.
    """
    template = ec2_backend(cloud, call).launch_templates[
        answer["LaunchTemplate"]["LaunchTemplateId"]
    ]
    data, asked = template.get_version(1).data, call.params["LaunchTemplateData"]
    data.pop("TagSpecifications", None)
    if tags := asked.get("TagSpecifications"):
        data["TagSpecifications"] = tags


def _tags(cloud: CloudApi, call: Call) -> None:
    """Tags of create calls and CreateTags: rejects reserved, too long and misplaced tags."""
    specifications = call.params.get("TagSpecifications", [])
    for specification in specifications:
        kind = specification.get("ResourceType", "")
        allowed = TAGGED[call.action]
        if kind != allowed and (isinstance(allowed, str) or kind not in allowed):
            message = f"'{kind}' is not a valid taggable resource type for this operation."
            raise AwsError("InvalidParameterValue", message)
    specified = [tag for s in specifications for tag in s.get("Tags", [])]
    for tag in [*specified, *call.params.get("Tags", [])]:
        check_tag(tag["Key"], str(tag.get("Value", "")))


TAGGED = {
    "CreateVpc": "vpc",
    "CreateSubnet": "subnet",
    "CreateInternetGateway": "internet-gateway",
    "CreateNatGateway": "natgateway",
    "AllocateAddress": "elastic-ip",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "AuthorizeSecurityGroupIngress": "security-group-rule",
    "AuthorizeSecurityGroupEgress": "security-group-rule",
    "CreateLaunchTemplate": "launch-template",
    "CreateKeyPair": "key-pair",
    "ImportKeyPair": "key-pair",
    "CreateNetworkInterface": "network-interface",
    "CreateVolume": "volume",
    "CopyImage": ("image", "snapshot"),
    "CreateSnapshot": ("snapshot",),
    "RunInstances": ("instance", "volume", "network-interface"),
    "CreateTags": (),
}
"""Resource types that the TagSpecifications of an action may have."""

FILTERED = (
    "DescribeVpcs DescribeSubnets DescribeInternetGateways DescribeNatGateways "
    "DescribeAddresses DescribeRouteTables DescribeSecurityGroups DescribeSecurityGroupRules "
    "DescribeLaunchTemplates DescribeInstances DescribeInstanceStatus DescribeVolumes "
    "DescribeVolumesModifications "
    "DescribeNetworkInterfaces DescribeKeyPairs DescribeImages DescribeSnapshots DescribeTags "
    "DescribeAvailabilityZones DescribeInstanceTypes DescribeInstanceTypeOfferings"
)
BEFORE = (
    {("ec2", action): _tags for action in TAGGED}
    | {("ec2", action): _filters for action in FILTERED.split()}
    | {
        ("ec2", "CreateRoute"): _route,
        ("ec2", "AssociateRouteTable"): _associate,
        ("ec2", "CreateLaunchTemplate"): _template,
    }
)
AFTER = {
    ("ec2", "CreateSecurityGroup"): _group_tags,
    ("ec2", "CreateLaunchTemplate"): _template_tags,
}
