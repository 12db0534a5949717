"""Dry runs with ids that do not exist: rejected before DryRunOperation.

EC2 API reference, "Error codes for the Amazon EC2 API", client errors.
"""

from __future__ import annotations

from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend
from aws_setup.rehearsal.aws.ec2.reference_checks import known_ids
from aws_setup.rehearsal.core.consistency import NOT_FOUND_BY_ID_PREFIX, ec2_ids_in, id_prefix
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

ACTIONS = (
    "AssociateRouteTable",
    "AttachInternetGateway",
    "AuthorizeSecurityGroupIngress",
    "CreateNatGateway",
    "CreateRoute",
    "CreateRouteTable",
    "CreateSecurityGroup",
    "CreateSubnet",
    "DeleteInternetGateway",
    "DeleteNatGateway",
    "DeleteRouteTable",
    "DeleteSecurityGroup",
    "DeleteSubnet",
    "DeleteVpc",
    "DescribeInstances",
    "DescribeNatGateways",
    "DescribeSubnets",
    "DescribeVpcAttribute",
    "DescribeVpcs",
    "DetachInternetGateway",
    "ReleaseAddress",
    "ReplaceRoute",
    "RevokeSecurityGroupIngress",
    "StartInstances",
    "TerminateInstances",
)
"""EC2 actions of the scripts that have DryRun and whose ids only moto checks."""


def _check_ids_exist(cloud: CloudApi, call: Call) -> None:
    """Reject a dry run for the first id that does not exist."""
    if not call.params.get("DryRun"):
        return
    known = known_ids(cloud, call)
    for named in ec2_ids_in(call.params):
        if named not in known[id_prefix(named)]:
            raise AwsError(
                NOT_FOUND_BY_ID_PREFIX[id_prefix(named)], f"The ID '{named}' does not exist"
            )


def _check_association_exists(cloud: CloudApi, call: Call) -> None:
    """DisassociateRouteTable: the association must exist."""
    association_id, tables = (
        call.params["AssociationId"],
        ec2_backend(cloud, call).route_tables.values(),
    )
    known = {
        association["RouteTableAssociationId"]
        for table in tables
        for association in table.associations
    }
    if call.params.get("DryRun") and association_id not in known:
        message = f"The association ID '{association_id}' does not exist"
        raise AwsError("InvalidAssociationID.NotFound", message)


BEFORE = {("ec2", action): _check_ids_exist for action in ACTIONS} | {
    ("ec2", "DisassociateRouteTable"): _check_association_exists
}
