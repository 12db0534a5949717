"""The configuration as the deployment was made, for destroy: tags say that, and not keys.

Names of roles and what a run creates itself may have been changed in the configuration since. What
was made under the old ones is deleted all the same, as far as its tags say that it is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory, Item, tag_of
from aws_setup.aws.tag_drift import tags_of
from aws_setup.aws.tags import DEPLOYMENT_TAG, REGION_TAG, STEP_TAG
from aws_setup.config.paths import receipt_path
from aws_setup.engine.receipt import read_steps
from aws_setup.infrastructure.cluster_parts import own_cluster
from aws_setup.infrastructure.cluster_role import ClusterRole
from aws_setup.infrastructure.iam import NodeRole, node_role_name
from aws_setup.infrastructure.network import Vpc


def use_as_made(ctx: Context) -> None:
    """Change the configuration of a destroy to what the deployment was made with.

    What cannot be read remains as it is configured.
    """
    changes = {**_network(ctx), **_cluster_role(ctx), **_node_role(ctx)}
    if changes:
        ctx.config = ctx.config.model_copy(update=changes)
        before, ctx.inventory = ctx.inventory, Inventory(ctx.aws, ctx.config)
        before.close()


def _network(ctx: Context) -> dict[str, Any]:
    """Return that the VPC is the deployment's own, where it has one with its tag."""
    if ctx.config.create_vpc:
        return {}
    own = advice(lambda: ctx.inventory.of_step("vpcs", Vpc.name), lambda _: [])
    return {"create_vpc": True} if own else {}


def _cluster_role(ctx: Context) -> dict[str, Any]:
    """Return the name of the cluster's role, where the configuration has another or makes none."""
    config = ctx.config
    cluster = advice(lambda: own_cluster(ctx), lambda _: None)
    used = str(cluster["roleArn"]) if cluster else ""
    names = (used, _recorded(ctx, ClusterRole.name), config.eks_iam_role_name)
    name = next(_made(ctx, ClusterRole.name, *names), "")
    if not name or (name == config.eks_iam_role_name and config.create_eks_iam_role):
        return {}
    return {"eks_iam_role_name": name, "create_eks_iam_role": True}


def _node_role(ctx: Context) -> dict[str, Any]:
    """Return the name of the nodes' role, where the configuration has another."""
    owner, config = ctx.config.deployment_name, ctx.config
    groups = advice(lambda: ctx.inventory.all("node groups"), lambda _: [])
    used = [str(it["nodeRole"]) for it in groups if tag_of(it, DEPLOYMENT_TAG) == owner]
    configured = node_role_name(config)
    names = (*used, _recorded(ctx, NodeRole.name), configured)
    name = next(_made(ctx, NodeRole.name, *names), "")
    return {"eks_node_role_name": name} if name not in ("", configured) else {}


def _recorded(ctx: Context, step: str) -> str:
    """Return the role that the receipt has for a step; its tags say whether it is ours."""
    entry = read_steps(receipt_path(ctx.config)).get(step)
    return str(entry.get("id") or "") if isinstance(entry, dict) else ""


def _made(ctx: Context, step: str, *roles: str) -> Iterator[str]:
    """Yield the names of those roles, by ARN or name, that the step has made in this region."""
    for name in dict.fromkeys(role.rpartition("/")[2] for role in roles if role):
        role = advice(lambda name=name: _role(ctx, name), lambda _: None)  # type: ignore[misc]
        tags = tags_of(role) if role else {}
        here = tags.get(REGION_TAG) in (None, ctx.aws.region)
        own = tags.get(DEPLOYMENT_TAG) == ctx.config.deployment_name
        if here and own and tags.get(STEP_TAG) == step:
            yield name


def _role(ctx: Context, name: str) -> Item | None:
    iam = ctx.aws.iam
    try:
        return dict(iam.get_role(RoleName=name)["Role"])
    except iam.exceptions.NoSuchEntityException:
        return None
