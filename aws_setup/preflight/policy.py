"""The IAM permissions that the scripts need: by step for the checks, as one policy for the docs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
"""The page that shows the policy."""

MAKES: Mapping[str, tuple[str, ...]] = {
    "vpc": ("ec2:CreateVpc", "ec2:ModifyVpcAttribute", "ec2:CreateTags"),
    "public subnet": ("ec2:CreateSubnet", "ec2:ModifySubnetAttribute"),
    "private subnet": ("ec2:CreateSubnet",),
    "internet gateway": ("ec2:CreateInternetGateway", "ec2:AttachInternetGateway"),
    "elastic ip": ("ec2:AllocateAddress",),
    "nat gateway": ("ec2:CreateNatGateway",),
    "public route table": ("ec2:CreateRouteTable", "ec2:CreateRoute", "ec2:AssociateRouteTable"),
    "private route table": ("ec2:CreateRouteTable", "ec2:CreateRoute", "ec2:AssociateRouteTable"),
    "security group": ("ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress"),
    "eks cluster role": ("iam:CreateRole", "iam:AttachRolePolicy"),
    "eks cluster": ("eks:CreateCluster", "iam:PassRole"),
    "ndb manager": ("ec2:RunInstances", "ec2:CreateTags"),
    "ndb data nodes": ("ec2:RunInstances", "ec2:CreateTags"),
    "zookeeper": ("ec2:RunInstances", "ec2:CreateTags"),
    "lambda-fs client": ("ec2:RunInstances", "ec2:CreateTags"),
    "hopsfs client": ("ec2:RunInstances", "ec2:CreateTags"),
    "launch template": ("ec2:CreateLaunchTemplate",),
    "auto-scaling group": ("autoscaling:CreateAutoScalingGroup", "ec2:RunInstances"),
}
"""Beginning of a step's name -> the actions that making it takes."""


def actions_for(steps: Collection[str]) -> list[str]:
    """Return the actions that making some steps takes."""
    return sorted(
        {
            action
            for beginning, actions in MAKES.items()
            if any(step.startswith(beginning) for step in steps)
            for action in actions
        }
    )


def policy() -> dict[str, Any]:
    """Return the IAM policy that all three scripts need, also for status and destroy."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Look", "Effect": "Allow", "Action": list(LOOKS), "Resource": "*"},
            {"Sid": "Change", "Effect": "Allow", "Action": list(CHANGES), "Resource": "*"},
            {
                "Sid": "FirstUseOfAService",
                "Effect": "Allow",
                "Action": "iam:CreateServiceLinkedRole",
                "Resource": "arn:aws:iam::*:role/aws-service-role/*",
            },
        ],
    }


def policy_text() -> str:
    """Return the policy as the JSON block of docs/permissions.md."""
    return f"```json\n{json.dumps(policy(), indent=2)}\n```"


def rewrite() -> None:
    """Write the policy into docs/permissions.md anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    block = re.compile(r"```json\n.*?\n```", re.DOTALL)
    DOCUMENT.write_text(block.sub(policy_text(), text), encoding="utf-8", newline="\n")


LOOKS = (
    "autoscaling:Describe*",
    "ec2:Describe*",
    "ec2:GetConsoleOutput",
    "eks:Describe*",
    "eks:List*",
    "elasticloadbalancing:Describe*",
    "iam:Get*",
    "iam:List*",
    "iam:SimulatePrincipalPolicy",
    "pricing:GetProducts",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
    "sts:GetCallerIdentity",
    "tag:GetResources",
)
"""What plan, status and the checks ask; what is denied of it is a warning where it can be."""

CHANGES = (
    "autoscaling:CreateAutoScalingGroup",
    "autoscaling:CreateOrUpdateTags",
    "autoscaling:DeleteAutoScalingGroup",
    "autoscaling:UpdateAutoScalingGroup",
    "ec2:AllocateAddress",
    "ec2:AssociateRouteTable",
    "ec2:AttachInternetGateway",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateInternetGateway",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateNatGateway",
    "ec2:CreateRoute",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSubnet",
    "ec2:CreateTags",
    "ec2:CreateVpc",
    "ec2:DeleteInternetGateway",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteNatGateway",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteRoute",
    "ec2:DeleteRouteTable",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteSubnet",
    "ec2:DeleteTags",
    "ec2:DeleteVolume",
    "ec2:DeleteVpc",
    "ec2:DetachInternetGateway",
    "ec2:DetachNetworkInterface",
    "ec2:DisassociateAddress",
    "ec2:DisassociateRouteTable",
    "ec2:ModifyLaunchTemplate",
    "ec2:ModifySubnetAttribute",
    "ec2:ModifyVpcAttribute",
    "ec2:ReleaseAddress",
    "ec2:ReplaceRoute",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:RunInstances",
    "ec2:StartInstances",
    "ec2:TerminateInstances",
    "eks:AssociateAccessPolicy",
    "eks:CreateAccessEntry",
    "eks:CreateAddon",
    "eks:CreateCluster",
    "eks:CreateNodegroup",
    "eks:DeleteAccessEntry",
    "eks:DeleteAddon",
    "eks:DeleteCluster",
    "eks:DeleteNodegroup",
    "eks:DisassociateAccessPolicy",
    "eks:TagResource",
    "eks:UntagResource",
    "eks:UpdateAddon",
    "eks:UpdateClusterConfig",
    "eks:UpdateNodegroupConfig",
    "eks:UpdateNodegroupVersion",
    "elasticloadbalancing:DeleteLoadBalancer",
    "iam:AttachRolePolicy",
    "iam:CreateOpenIDConnectProvider",
    "iam:CreateRole",
    "iam:DeleteOpenIDConnectProvider",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DeleteServerCertificate",
    "iam:DetachRolePolicy",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "iam:TagOpenIDConnectProvider",
    "iam:TagRole",
    "iam:TagServerCertificate",
    "iam:UpdateAssumeRolePolicy",
    "iam:UploadServerCertificate",
)
"""What create, configure and destroy do."""
