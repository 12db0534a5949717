"""The load balancers that Kubernetes creates: how they are found and deleted."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, cluster_tag
from aws_setup.errors import SetupError

TAGS_PER_CALL = 20
"""Most load balancers in one DescribeTags call (Elastic Load Balancing, 2012-06-01)."""


def load_balancers(ctx: Context, vpc_id: str) -> list[str]:
    """Return the names of the Classic ELBs in a VPC."""
    listed = pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")
    return [item["LoadBalancerName"] for item in listed if item.get("VPCId") == vpc_id]


def owned_load_balancers(ctx: Context) -> Sequence[str]:
    """Return the names of the Classic ELBs with the tags of the deployment and of its cluster."""
    return [str(item["LoadBalancerName"]) for item in describe_owned(ctx)]


def describe_owned(ctx: Context) -> list[Item]:
    """Return the Classic ELBs with the tags of the deployment and of its cluster."""
    elb, config = ctx.aws.elb, ctx.config
    listed = pages(elb, "describe_load_balancers", "LoadBalancerDescriptions")
    names = [str(item["LoadBalancerName"]) for item in listed]
    owned = set()
    for start in range(0, len(names), TAGS_PER_CALL):
        answer = elb.describe_tags(LoadBalancerNames=names[start : start + TAGS_PER_CALL])
        for item in answer["TagDescriptions"]:
            of_deployment = tag_of(item, DEPLOYMENT_TAG) == config.deployment_name
            if of_deployment and tag_of(item, cluster_tag(config)) == "owned":
                owned.add(str(item["LoadBalancerName"]))
    return [item for item in listed if item["LoadBalancerName"] in owned]


def delete_classic(ctx: Context, names: Sequence[str]) -> None:
    """Delete Classic ELBs; one that does not exist any more is fine for the API."""
    for name in names:
        ctx.note(f"deleting load balancer {name}")
        ctx.aws.elb.delete_load_balancer(LoadBalancerName=name)


def delete_load_balancers(ctx: Context, vpc_id: str) -> None:
    """Delete every load balancer in a VPC: Classic, application and network.

    Raises:
        SetupError: one has deletion protection.
    """
    delete_classic(ctx, load_balancers(ctx, vpc_id))
    elbv2 = ctx.aws.client("elbv2")
    for balancer in pages(elbv2, "describe_load_balancers", "LoadBalancers"):
        if balancer["VpcId"] == vpc_id:
            _delete_elbv2(ctx, balancer["LoadBalancerName"], balancer["LoadBalancerArn"])


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
