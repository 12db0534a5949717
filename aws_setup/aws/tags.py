"""Tags: which deployment and step own a resource, in the shape that each AWS API expects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from aws_setup.config import Config

DEPLOYMENT_TAG = "lambda-fs:deployment"
"""Tag key of the deployment that owns a resource; destroy deletes by it."""

STEP_TAG = "lambda-fs:step"
"""Tag key of the step that created a resource."""

REGION_TAG = "lambda-fs:region"
"""Tag key of the deployment's region, on what IAM shows in every region."""


NDB_TAG = "lambda-fs:ndb"
"""Tag key of a machine of an NDB cluster that has been started: the cluster holds data."""

NODE_GROUP_TAG = "eks:nodegroup-name"
"""Tag that EKS sets on the nodes of a managed node group."""

GROUP_TAG = "aws:autoscaling:groupName"
"""Tag key, of AWS's, of a machine that a scaling group has launched."""


def tags(
    config: Config, step: str, *, name: str = "", region: str = "", **more: str
) -> dict[str, str]:
    """Return the tags of a resource: deployment, step, Project; Name when set; `more`; the user's.

    `region` is given for a resource of IAM, which has none itself. The user's are sorted: another
    order in the configuration is no other request, of which tokens and fingerprints are made.

    λFS's helper scripts select instances by Project and Component, so those values must not change.
    """
    name_tag = {"Name": name} if name else {}
    owner = {DEPLOYMENT_TAG: config.deployment_name, STEP_TAG: step, "Project": "LambdaFS"}
    region_tag = {REGION_TAG: region} if region else {}
    return dict(sorted(config.tags.items())) | owner | region_tag | name_tag | more


BALANCER_TAGS = 10
"""Tags that a Classic Load Balancer takes, by the reference of its API; the user guide says 50:
https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_AddTags.html"""

KUBERNETES_TAGS = 2
"""Tags that Kubernetes itself adds there: ensureLoadBalancer in
pkg/providers/v1/aws_loadbalancer.go of kubernetes/cloud-provider-aws."""


def balancer_tags(config: Config, step: str) -> dict[str, str]:
    """Return the tags of a Classic Load Balancer: of many tags of the user, the first by key."""
    every = tags(config, step)
    surplus = max(0, len(every) + KUBERNETES_TAGS - BALANCER_TAGS)
    left_out = sorted(config.tags)[len(config.tags) - surplus :]
    return {key: value for key, value in every.items() if key not in left_out}


def cluster_tag(config: Config) -> str:
    """Return the tag key by which Kubernetes and EKS mark what they create for the cluster."""
    return f"kubernetes.io/cluster/{config.eks_cluster_name}"


def regional_name(config: Config, name: str, separator: str) -> str:
    """Return a name that is unique in the region: λFS's name for the default deployment.

    Other deployments in the same region prefix it with their name.
    """
    default = type(config).model_fields["deployment_name"].default
    deployment = config.deployment_name
    return name if deployment == default else f"{deployment}{separator}{name}"


def regional_setting(config: Config, key: str) -> str:
    """Return the name that a key configures; its default is made unique in the region.

    Names in a sample's copy equal the defaults: so deployments with copies of it share none.
    """
    name: str = getattr(config, key)
    default = type(config).model_fields[key].default
    return regional_name(config, name, "-") if name == default else name


def security_group_name(config: Config) -> str:
    """Return the name of the VMs' security group; the default is unique in the region."""
    return regional_setting(config, "security_group_name")


def limited_name(name: str, end: str, *, longest: int) -> str:
    """Return a derived name: `name` with `end`, of no more characters than AWS takes.

    One that would be longer is cut before its end and has a digest of the whole, without which two
    long names with the same beginning would become one.

    Args:
        name: what the name is derived from, such as the cluster's name.
        end: the part that says what it names.
        longest: characters that AWS takes.
    """
    whole = name + end
    if len(whole) <= longest:
        return whole
    digest = "-" + hashlib.sha256(whole.encode()).hexdigest()[:8]
    return name[: longest - len(digest + end)] + digest + end


def certificate_path(config: Config) -> str:
    """Return the IAM path of this deployment's certificates."""
    return f"/lambda-fs/{config.deployment_name}/"


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as requests of EC2 and IAM have them: a list of Key and Value."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specification(kind: str, tags: Mapping[str, str]) -> list[Any]:
    """Return the TagSpecifications of an EC2 create call for one type of resource."""
    return [{"ResourceType": kind, "Tags": as_list(tags)}]
