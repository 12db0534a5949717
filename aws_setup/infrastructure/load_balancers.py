"""The load balancers that Kubernetes creates: how they are found and deleted."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cluster_parts import has_cluster_tag, is_part, owns_cluster

TAGS_PER_CALL = 20
"""Most load balancers in one DescribeTags call, of the APIs 2012-06-01 and 2015-12-01."""


def load_balancers(ctx: Context, vpc_id: str) -> list[str]:
    """Return the names of the Classic ELBs in a VPC."""
    return [str(item["LoadBalancerName"]) for item in _classic(ctx, vpc_id)]


def _classic(ctx: Context, vpc_id: str) -> list[Item]:
    listed = pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")
    return [item for item in listed if item.get("VPCId") == vpc_id]


def owned_load_balancers(ctx: Context) -> Sequence[str]:
    """Return the names of the Classic ELBs with the tags of the deployment and of its cluster."""
    return [str(item["LoadBalancerName"]) for item in describe_owned(ctx)]


def describe_owned(ctx: Context) -> list[Item]:
    """Return the Classic ELBs with the tags of the deployment and of its cluster."""
    listed = pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")
    tags = _tags_of(ctx, listed)
    return [
        item
        for item in listed
        if tag_of(tags[item["LoadBalancerName"]], DEPLOYMENT_TAG) == ctx.config.deployment_name
        and has_cluster_tag(ctx, tags[item["LoadBalancerName"]])
    ]


def doubtful_load_balancers(ctx: Context) -> list[str]:
    """Return the names of Classic ELBs of a cluster of this name, where nothing says which one.

    None while that name is the one of a cluster of others.
    """
    if not owns_cluster(ctx):
        return []
    listed = pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")
    tags = _tags_of(ctx, listed).items()
    return [
        name
        for name, item in tags
        if has_cluster_tag(ctx, item) and not tag_of(item, DEPLOYMENT_TAG)
    ]


def _tags_of(ctx: Context, classic: Sequence[Item]) -> dict[str, Item]:
    """Return name -> tags of Classic ELBs, with a call for each TAGS_PER_CALL of them."""
    names = [str(item["LoadBalancerName"]) for item in classic]
    found: dict[str, Item] = {name: {} for name in names}
    for part in _parts(names):
        answer = ctx.aws.elb.describe_tags(LoadBalancerNames=part)
        found |= {str(item["LoadBalancerName"]): item for item in answer["TagDescriptions"]}
    return found


def _tags_of_v2(ctx: Context, balancers: Sequence[Item]) -> dict[str, Item]:
    """Return ARN -> tags of application and network load balancers."""
    arns = [str(item["LoadBalancerArn"]) for item in balancers]
    found: dict[str, Item] = {arn: {} for arn in arns}
    for part in _parts(arns):
        answer = ctx.aws.client("elbv2").describe_tags(ResourceArns=part)
        found |= {str(item["ResourceArn"]): item for item in answer["TagDescriptions"]}
    return found


def _parts(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[at : at + TAGS_PER_CALL] for at in range(0, len(values), TAGS_PER_CALL)]


def delete_classic(ctx: Context, names: Sequence[str]) -> None:
    """Delete Classic ELBs; one that does not exist any more is fine for the API."""
    for name in names:
        ctx.note(f"deleting load balancer {name}")
        ctx.aws.elb.delete_load_balancer(LoadBalancerName=name)


def delete_load_balancers(ctx: Context, vpc_id: str) -> frozenset[str]:
    """Delete this deployment's load balancers in a VPC: Classic, application and network.

    Returns the names of the others in it, as the descriptions of their interfaces have them.

    Raises:
        SetupError: one has deletion protection.
    """
    tags = _tags_of(ctx, _classic(ctx, vpc_id))
    owned = [name for name, item in tags.items() if is_part(ctx, item)]
    delete_classic(ctx, owned)
    others = tags.keys() - set(owned)
    listed = pages(ctx.aws.client("elbv2"), "describe_load_balancers", "LoadBalancers")
    later = [item for item in listed if item["VpcId"] == vpc_id]
    for arn, item in _tags_of_v2(ctx, later).items():
        if is_part(ctx, item):
            _delete_elbv2(ctx, arn.split("/")[-2], arn)
        else:
            others.add(arn.partition(":loadbalancer/")[2])
    return frozenset(others)


def _delete_elbv2(ctx: Context, name: str, arn: str) -> None:
    """Delete an application or network load balancer; deletion protection is never overridden."""
    ctx.note(f"deleting load balancer {name}")
    try:
        ctx.aws.client("elbv2").delete_load_balancer(LoadBalancerArn=arn)
    except ClientError as error:
        if error_code(error) != "OperationNotPermitted":
            raise
        raise SetupError(
            f"load balancer {name} was not deleted",
            "its deletion protection is on",
            "run `aws elbv2 modify-load-balancer-attributes --attributes "
            f"Key=deletion_protection.enabled,Value=false --load-balancer-arn {arn}`, "
            "then destroy again",
        ) from error
