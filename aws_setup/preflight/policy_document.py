"""The policy to attach to who runs the scripts, scoped to the names and tags of a configuration.

Its holder can neither become administrator nor change what other deployments and people own: see
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html and the condition
keys in https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aws_setup.aws.inventory import schedule_group_name
from aws_setup.aws.run_lock_store import path_of as lock_path
from aws_setup.aws.tags import DEPLOYMENT_TAG, certificate_path, cluster_tag, regional_name
from aws_setup.config import Config
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.infrastructure.cluster_parts import CONTROLLER_TAG
from aws_setup.infrastructure.deadline_role import SCHEDULER, deadline_role_name
from aws_setup.infrastructure.iam import node_role_name
from aws_setup.infrastructure.iam_policies import CLUSTER_POLICY, NODE_POLICIES
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.service_account_role import ServiceAccountRole
from aws_setup.preflight.iam_policy import CHANGES, READ_ACTIONS, RUN_LOCK

LONGEST = 6_144
"""Characters of a managed policy, without white space (IAM and STS quotas)."""

PASSED_TO = ("eks.amazonaws.com", SCHEDULER)
"""The services that are given roles: for the cluster, its nodes and its add-ons, and the deadline.

https://docs.aws.amazon.com/step-functions/latest/dg/eks-iam.html
"""

LINKED = ("eks", "eks-nodegroup", "autoscaling", "elasticloadbalancing", "ec2.spot", "spot")
"""Services that may create their service-linked role when an account uses them first."""

TAGGED = frozenset(
    f"ec2:{action}"
    for action in (
        "AssociateRouteTable",
        "AttachInternetGateway",
        "AuthorizeSecurityGroupEgress",
        "AuthorizeSecurityGroupIngress",
        "CreateLaunchTemplateVersion",
        "CreateRoute",
        "CreateTags",
        "DeleteInternetGateway",
        "DeleteLaunchTemplate",
        "DeleteNatGateway",
        "DeleteRouteTable",
        "DeleteSnapshot",
        "DeleteSubnet",
        "DeleteTags",
        "DeleteVpc",
        "DeregisterImage",
        "DetachInternetGateway",
        "DisassociateRouteTable",
        "ModifyInstanceAttribute",
        "ModifyInstanceMetadataOptions",
        "ModifyLaunchTemplate",
        "ModifySubnetAttribute",
        "ModifyVolume",
        "ModifyVpcAttribute",
        "ReleaseAddress",
        "ReplaceRoute",
        "ReplaceRouteTableAssociation",
        "StartInstances",
        "StopInstances",
        "TerminateInstances",
    )
) | {"autoscaling:DeleteAutoScalingGroup", "autoscaling:UpdateAutoScalingGroup"}
"""Actions on resources that carry the tag of the deployment."""

BALANCERS = "elasticloadbalancing:Delete"
"""How the deletions of load balancers and of their parts begin."""

RULES = "ec2:AuthorizeSecurityGroup"
"""How the additions of rules to security groups begin."""

GROUP_TAGS = ("autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags")
"""Actions on the tags of the deployment's scaling groups, limited by the groups' names."""

OF_CONTROLLER = frozenset(
    {
        "ec2:DeleteSecurityGroup",
        "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup",
    }
)
"""Actions on what the AWS Load Balancer Controller makes, which it tags with the cluster's name."""

OF_CLUSTER = OF_CONTROLLER | {
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:DeleteVolume",
}
"""Actions on resources that carry the tag of the deployment or the one of its cluster."""

OF_GUARDDUTY = frozenset({"ec2:DeleteSecurityGroup", "ec2:DeleteVpcEndpoints"})
"""Actions on what GuardDuty makes in the deployment's VPC, which it tags itself."""

GUARDDUTY_TAG = {"aws:ResourceTag/GuardDutyManaged": "true"}
"""https://docs.aws.amazon.com/guardduty/latest/ug/runtime-monitoring-agent-resource-clean-up.html"""

ROLE = frozenset(
    f"iam:{action}"
    for action in (
        "CreateRole",
        "DeleteRole",
        "DeleteRolePolicy",
        "DetachRolePolicy",
        "TagRole",
        "UpdateAssumeRolePolicy",
    )
)
"""Actions on the roles of the deployment; what is attached to them is limited separately."""


def policy(
    config: Config, *, partition: str = "aws", account: str = "ACCOUNT", region: str = "*"
) -> dict[str, Any]:
    """Return the IAM policy that all three scripts need, including status and destroy.

    Args:
        config: the configuration whose names and tags the policy is limited to.
        partition: the partition of the account.
        account: the account's id.
        region: the region, `*` for all.
    """
    arns = _Arns(partition, account, region)
    tag = {f"aws:ResourceTag/{DEPLOYMENT_TAG}": config.deployment_name}
    of_cluster = {f"aws:ResourceTag/{cluster_tag(config)}": "owned"}
    of_controller = {f"aws:ResourceTag/{CONTROLLER_TAG}": config.eks_cluster_name}
    own = {*TAGGED & set(CHANGES), *OF_CLUSTER}
    made = _prefixed(OF_CONTROLLER, BALANCERS)
    statements = [
        _allow("Read", READ_ACTIONS, "*"),
        _allow("Change", _prefixed(_unconditional(), "ec2:RevokeSecurityGroup"), "*"),
        _allow("TagNew", ["ec2:CreateTags"], "*", Null={"ec2:CreateAction": "false"}),
        _allow("Own", _prefixed(own, "ec2:Delete", RULES, BALANCERS), "*", StringEquals=tag),
        _allow("OfGuardDuty", OF_GUARDDUTY, "*", StringEquals=GUARDDUTY_TAG),
        _allow("OfCluster", _prefixed(OF_CLUSTER, RULES, BALANCERS), "*", StringEquals=of_cluster),
        _allow("OfController", made, "*", StringEquals=of_controller),
        _allow("Groups", GROUP_TAGS, arns.groups(config)),
        _allow("Cluster", _verbs("eks:"), arns.cluster(config)),
        *_role_statements(config, arns),
        _allow("Deadline", ["scheduler:*"], arns.schedules(config)),
        _allow("Certs", _containing("ServerCertificate"), arns.certificates(config)),
        _allow("Oidc", ["iam:*OpenIDConnectProvider"], arns.oidc_providers()),
        _allow("RunLock", RUN_LOCK, arns.run_lock(config)),
        _first_use(arns),
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def deadline_policy(
    config: Config, *, partition: str = "aws", account: str = "ACCOUNT"
) -> dict[str, Any]:
    """Return what making the deadline's role needs beside `policy`, where no boundary limits it.

    Its holder can write any permission into that role: it is for an administrator.
    """
    role = _Arns(partition, account, "*").iam(f"role/{deadline_role_name(config)}")
    statement = _allow("DeadlineRole", ["iam:PutRolePolicy"], role)
    return {"Version": "2012-10-17", "Statement": [statement]}


class _Arns:
    """The ARNs of a deployment's resources in one account."""

    def __init__(self, partition: str, account: str, region: str) -> None:
        self.partition, self.account, self.region = partition, account, region

    def iam(self, resource: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:{resource}"

    def regional(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def managed(self, name: str) -> str:
        """Return the ARN of a policy of AWS's in this partition."""
        return f"arn:{self.partition}:iam::aws:policy/{name}"

    def cluster(self, config: Config) -> list[str]:
        name = config.eks_cluster_name
        # Its node groups, add-ons and access entries, in one pattern: a policy has a length.
        return [self.regional("eks", f"cluster/{name}"), self.regional("eks", f"*/{name}/*")]

    def groups(self, config: Config) -> list[str]:
        names = [regional_name(config, spec.group, "_") for spec in auto_scaling_specs(config)]
        prefix = "autoScalingGroup:*/"  # autoScalingGroup:ID:autoScalingGroupName/NAME
        return [self.regional("autoscaling", prefix + name) for name in names]

    def schedules(self, config: Config) -> str:
        """Return the pattern of the schedule group and of its schedules."""
        return self.regional("scheduler", f"schedule*/{schedule_group_name(config)}*")

    def certificates(self, config: Config) -> str:
        return self.iam(f"server-certificate{certificate_path(config)}*")

    def run_lock(self, config: Config) -> str:
        """Return the ARN of the path and of the parameters below it."""
        return self.regional("ssm", f"parameter{lock_path(config)}*")

    def oidc_providers(self) -> str:
        return self.iam(f"oidc-provider/oidc.eks.{self.region}.amazonaws.com*/id/*")


def _allow(
    sid: str, actions: Iterable[str], resource: str | list[str], **condition: Mapping[str, Any]
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def _unconditional() -> list[str]:
    """Return the changes that create something new, or only close or delete what is unused.

    A network interface has no tag of the deployment or the cluster when its load balancer is gone,
    and rules are revoked from groups that AWS has made.
    """
    limited = TAGGED | OF_CLUSTER | OF_GUARDDUTY | {*GROUP_TAGS}
    elsewhere = ("iam:", "eks:", "scheduler:")
    return [it for it in CHANGES if it not in limited and not it.startswith(elsewhere)]


def _prefixed(actions: Collection[str], *prefixes: str) -> list[str]:
    """Return the actions with patterns, because a policy's length is limited.

    Args:
        actions: the actions; one with whose name another begins becomes a pattern.
        prefixes: beginnings of actions of which one pattern each takes the place.
    """

    def begins(name: str, other: str) -> bool:
        return name != other and name.startswith(other)

    others = [name for name in actions if not name.startswith(prefixes)]
    return [
        *(f"{prefix}*" for prefix in prefixes),
        *(
            f"{name}*" if any(begins(other, name) for other in others) else name
            for name in others
            if not any(begins(name, other) for other in others)
        ),
    ]


def _verbs(prefix: str) -> list[str]:
    """Return the changes of a service; of one verb a pattern, as a policy's length is limited."""
    verbs = ("Create", "Delete", "Update")
    actions = [action for action in CHANGES if action.startswith(prefix)]
    others = [it for it in actions if not it.removeprefix(prefix).startswith(verbs)]
    return [*(f"{prefix}{verb}*" for verb in verbs), *others]


def _containing(text: str) -> list[str]:
    return [action for action in CHANGES if action.startswith("iam:") and text in action]


def _roles(config: Config) -> tuple[list[str], list[str]]:
    """Return the names of the roles that are made, and of an adopted one, which is only passed."""
    drivers = [spec.role for spec in ADDONS if isinstance(spec.role, ServiceAccountRole)]
    made = [node_role_name(config), *(name for role in drivers for name in role.names_for(config))]
    cluster = [config.eks_iam_role_name]
    return (cluster + made, []) if config.create_eks_iam_role else (made, cluster)


def _role_statements(config: Config, arns: _Arns) -> list[dict[str, Any]]:
    """Return what is allowed with the deployment's roles: policies in use, for two services.

    Without these limits a holder could attach AdministratorAccess to a role and use it. So could
    who writes the deadline's policy, whose text IAM cannot limit: a holder may write it only where
    a permissions boundary limits the role; else an administrator makes that role once.
    """
    made, adopted = _roles(config)
    attached = [arns.iam(f"role/{name}") for name in made]
    deadline = arns.iam(f"role/{deadline_role_name(config)}")
    own = [*attached, deadline]
    drivers = [spec.role for spec in ADDONS if isinstance(spec.role, ServiceAccountRole)]
    used = [
        CLUSTER_POLICY,
        *NODE_POLICIES,
        *(name for role in drivers for name in role.alternatives),
    ]
    attach = {"iam:PolicyARN": [arns.managed(name) for name in used]}
    passed = [*own, *(arns.iam(f"role/{name}") for name in adopted)]
    service = {"iam:PassedToService": list(PASSED_TO)}
    create = {"iam:CreateRole", "iam:PutRolePolicy"} if config.permissions_boundary else set()
    boundary = {"iam:PermissionsBoundary": config.permissions_boundary}
    return [
        _allow("Roles", ROLE - create, own),
        *([_allow("Bounded", create, own, StringEquals=boundary)] if create else []),
        _allow("Attach", ["iam:AttachRolePolicy"], attached, ArnEquals=attach),
        _allow("Pass", ["iam:PassRole"], passed, StringEquals=service),
    ]


def _first_use(arns: _Arns) -> dict[str, Any]:
    names = {"iam:AWSServiceName": [f"{name}.amazonaws.com" for name in LINKED]}
    resource = arns.iam("role/aws-service-role/*")
    return _allow("FirstUse", ["iam:CreateServiceLinkedRole"], resource, StringEquals=names)
