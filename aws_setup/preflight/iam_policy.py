"""The IAM permissions that the scripts need, by step and by script; policy_document scopes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aws_setup.eks.addon_specs import ADDONS

_CLOSE = ("ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress")

CREATE_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "ami copy": ("ec2:CopyImage", "ec2:CreateTags"),
    "vpc": ("ec2:CreateVpc", "ec2:ModifyVpcAttribute", "ec2:CreateTags", *_CLOSE),
    "public subnet": ("ec2:CreateSubnet", "ec2:ModifySubnetAttribute"),
    "private subnet": ("ec2:CreateSubnet",),
    "reserved addresses": ("ec2:CreateSubnetCidrReservation",),
    "internet gateway": ("ec2:CreateInternetGateway", "ec2:AttachInternetGateway"),
    "elastic ip": ("ec2:AllocateAddress",),
    "nat gateway": ("ec2:CreateNatGateway",),
    "public route table": ("ec2:CreateRouteTable", "ec2:CreateRoute", "ec2:AssociateRouteTable"),
    "private route table": ("ec2:CreateRouteTable", "ec2:CreateRoute", "ec2:AssociateRouteTable"),
    "security group": ("ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress"),
    "eks cluster role": ("iam:CreateRole", "iam:AttachRolePolicy"),
    "eks cluster": ("eks:CreateCluster", "iam:PassRole"),
    "node ingress": ("ec2:AuthorizeSecurityGroupIngress",),
    "ndb manager": ("ec2:RunInstances", "ec2:CreateTags"),
    "ndb data nodes": ("ec2:RunInstances", "ec2:CreateTags"),
    "zookeeper": ("ec2:RunInstances", "ec2:CreateTags"),
    "lambda-fs client": ("ec2:RunInstances", "ec2:CreateTags"),
    "hopsfs client": ("ec2:RunInstances", "ec2:CreateTags"),
    "launch template": ("ec2:CreateLaunchTemplate",),
    "auto-scaling group": ("autoscaling:CreateAutoScalingGroup", "ec2:RunInstances"),
}
"""Prefix of a step's name -> the actions that creating it requires."""


_ROLE = (
    "iam:CreateRole",
    "iam:TagRole",
    "iam:AttachRolePolicy",
    "iam:UpdateAssumeRolePolicy",
)
_NODES = ("eks:CreateNodegroup", "eks:TagResource", "iam:PassRole", "ec2:RunInstances")

CONFIGURE_ACTIONS: Mapping[str, tuple[str, ...]] = {
    **{spec.step: spec.actions for spec in ADDONS},
    "node ingress": ("ec2:AuthorizeSecurityGroupIngress",),
    "node role": _ROLE,
    "core-nodes template": ("ec2:CreateLaunchTemplate", "ec2:CreateTags"),
    "invoker-nodes template": ("ec2:CreateLaunchTemplate", "ec2:CreateTags"),
    "core-nodes": _NODES,
    "invoker-nodes": _NODES,
    "oidc provider": ("iam:CreateOpenIDConnectProvider", "iam:TagOpenIDConnectProvider"),
    "ebs csi role": _ROLE,
    "cluster access": ("eks:CreateAccessEntry", "eks:AssociateAccessPolicy", "eks:TagResource"),
    "server certificate": (
        "iam:UploadServerCertificate",
        "iam:TagServerCertificate",
        "iam:DeleteServerCertificate",
    ),
}
"""Step of configure_eks_cluster.py -> the actions that creating it requires."""


DEADLINE_ROLE_ACTIONS = ("iam:CreateRole", "iam:PutRolePolicy", "iam:TagRole")
"""What creating the role of the deadline requires."""

SCHEDULE_ACTIONS = (
    "scheduler:CreateSchedule",
    "scheduler:CreateScheduleGroup",
    "scheduler:DeleteSchedule",
    "scheduler:DeleteScheduleGroup",
    "scheduler:TagResource",
)
"""What setting, moving and deleting the deadline requires, beside passing the role."""

OPTIONAL_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "deadline role": DEADLINE_ROLE_ACTIONS,
    "deadline": SCHEDULE_ACTIONS,
}
"""Step -> the actions without which the run goes on, with a warning."""


def actions_for(steps: Collection[str]) -> list[str]:
    """Return the actions that creating some steps requires."""
    return sorted(
        {
            action
            for prefix, actions in CREATE_ACTIONS.items()
            if any(step.startswith(prefix) for step in steps)
            for action in actions
        }
    )


READ_ACTIONS = (
    "acm:DescribeCertificate",
    "autoscaling:Describe*",
    "ec2:Describe*",
    "ec2:GetConsoleOutput",
    "ec2:GetSubnetCidrReservations",
    "eks:Describe*",
    "eks:List*",
    "elasticloadbalancing:Describe*",
    "iam:Get*",
    "iam:List*",
    "iam:SimulatePrincipalPolicy",
    "logs:DescribeLogGroups",
    "pricing:GetProducts",
    "scheduler:Get*",
    "scheduler:List*",
    "servicequotas:List*",
    "sts:GetCallerIdentity",
)
"""What plan, status and the checks read; a denied one is a warning where possible."""

INFRASTRUCTURE = (
    "autoscaling:CreateAutoScalingGroup",
    "autoscaling:CreateOrUpdateTags",
    "autoscaling:DeleteAutoScalingGroup",
    "autoscaling:DeleteTags",
    "autoscaling:UpdateAutoScalingGroup",
    "ec2:AllocateAddress",
    "ec2:AssociateRouteTable",
    "ec2:AttachInternetGateway",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CopyImage",
    "ec2:CreateInternetGateway",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateNatGateway",
    "ec2:CreateRoute",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSubnet",
    "ec2:CreateSubnetCidrReservation",
    "ec2:CreateTags",
    "ec2:CreateVpc",
    "ec2:DeleteInternetGateway",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteNatGateway",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteRouteTable",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteSnapshot",
    "ec2:DeleteSubnet",
    "ec2:DeleteSubnetCidrReservation",
    "ec2:DeleteTags",
    "ec2:DeleteVolume",
    "ec2:DeleteVpc",
    "ec2:DeleteVpcEndpoints",
    "ec2:DeregisterImage",
    "ec2:DetachInternetGateway",
    "ec2:DisassociateRouteTable",
    "ec2:ModifyInstanceAttribute",
    "ec2:ModifyInstanceMetadataOptions",
    "ec2:ModifyLaunchTemplate",
    "ec2:ModifySubnetAttribute",
    "ec2:ModifyVolume",
    "ec2:ModifyVpcAttribute",
    "ec2:ReleaseAddress",
    "ec2:ReplaceRoute",
    "ec2:ReplaceRouteTableAssociation",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:RunInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
    "eks:CreateCluster",
    "eks:DeleteCluster",
    "eks:TagResource",
    "eks:UntagResource",
    "eks:UpdateClusterConfig",
    "eks:UpdateNodegroupConfig",
    "elasticloadbalancing:DeleteLoadBalancer",
    "elasticloadbalancing:DeleteTargetGroup",
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "iam:TagRole",
    "iam:UpdateAssumeRolePolicy",
    *SCHEDULE_ACTIONS,
)
"""Actions of create_aws_infrastructure.py, including destroy."""

CONFIGURE = (
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateTags",
    "ec2:DeleteLaunchTemplate",
    "ec2:ModifyLaunchTemplate",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:RunInstances",
    "eks:AssociateAccessPolicy",
    "eks:CreateAccessEntry",
    "eks:CreateAddon",
    "eks:CreateNodegroup",
    "eks:DeleteAccessEntry",
    "eks:DeleteAddon",
    "eks:DeleteNodegroup",
    "eks:TagResource",
    "eks:UpdateAddon",
    "eks:UpdateNodegroupConfig",
    "eks:UpdateNodegroupVersion",
    "iam:AddClientIDToOpenIDConnectProvider",
    "iam:AttachRolePolicy",
    "iam:CreateOpenIDConnectProvider",
    "iam:CreateRole",
    "iam:DeleteOpenIDConnectProvider",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DeleteServerCertificate",
    "iam:DetachRolePolicy",
    "iam:PassRole",
    "iam:TagOpenIDConnectProvider",
    "iam:TagRole",
    "iam:TagServerCertificate",
    "iam:UpdateAssumeRolePolicy",
    "iam:UploadServerCertificate",
)
"""Actions of configure_eks_cluster.py, including destroy."""

RUN_LOCK = (
    "ssm:AddTagsToResource",
    "ssm:DeleteParameters",
    "ssm:GetParametersByPath",
    "ssm:PutParameter",
)
"""Actions that keep two runs from changing a deployment at once; a run can do without."""

ADDON_ACTIONS = tuple(action for spec in ADDONS for action in spec.actions)
"""Actions that creating the add-ons requires."""

CHANGES = tuple(sorted({*INFRASTRUCTURE, *CONFIGURE, *ADDON_ACTIONS}))
"""Actions of create, configure and destroy."""

IMPLIED: Mapping[str, tuple[str, ...]] = {
    "autoscaling:CreateOrUpdateTags": ("autoscaling:CreateAutoScalingGroup",),
    "ec2:RunInstances": ("eks:CreateNodegroup",),
    "eks:TagResource": ("eks:CreateCluster", "eks:CreateNodegroup", "eks:CreateAddon"),
    "iam:PassRole": ("eks:CreateCluster", "eks:CreateNodegroup", "eks:CreateAddon"),
    "iam:TagOpenIDConnectProvider": ("iam:CreateOpenIDConnectProvider",),
    "iam:TagRole": ("iam:CreateRole",),
    "iam:TagServerCertificate": ("iam:UploadServerCertificate",),
}
"""Permission that AWS checks in addition to others -> those others; no call has its name.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""
