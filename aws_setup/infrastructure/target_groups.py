"""The target groups of load balancers: they cost nothing, and outlive their load balancer.

AWS does not tell when one was made. So in a VPC of others only those count that a load balancer of
the deployment uses.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import pages
from aws_setup.infrastructure.cluster_parts import is_part
from aws_setup.infrastructure.load_balancers import LoadBalancer, tags_of_arns


def groups_in_vpc(ctx: Context, vpc_id: str) -> Sequence[str]:
    """Return the ARNs of the deployment's target groups in its own VPC."""
    return _parts(ctx, [item for item in _listed(ctx) if item.get("VpcId") == vpc_id])


def groups_of_balancers(ctx: Context, balancers: Sequence[LoadBalancer]) -> Sequence[str]:
    """Return the ARNs of the target groups that load balancers of the deployment use.

    Without the tag of the cluster a group is one of the user's, which the cluster only uses.
    """
    arns = {balancer.arn for balancer in balancers if balancer.arn}
    listed = _listed(ctx) if arns else ()
    return _parts(ctx, [item for item in listed if arns & {*item.get("LoadBalancerArns", ())}])


def _listed(ctx: Context) -> list[Item]:
    return pages(ctx.aws.client("elbv2"), "describe_target_groups", "TargetGroups")


def _parts(ctx: Context, groups: Sequence[Item]) -> Sequence[str]:
    tags = tags_of_arns(ctx, [str(item["TargetGroupArn"]) for item in groups])
    return [arn for arn, item in tags.items() if is_part(ctx, item)]


def delete_target_groups(ctx: Context, arns: Sequence[str]) -> None:
    """Delete target groups, as soon as the listeners of their load balancers are gone."""
    for arn in arns:
        name = arn.split("/")[-2]
        ctx.note(f"deleting target group {name}")
        delete_with_retry(
            ctx,
            f"target group {name}",
            lambda arn=arn: ctx.aws.client("elbv2").delete_target_group(TargetGroupArn=arn),  # type: ignore[misc]
            gone={"TargetGroupNotFound"},
        )
