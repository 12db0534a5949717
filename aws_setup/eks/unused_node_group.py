"""A node group whose number of nodes is 0 in the configuration: not created, nor forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.eks.node_groups import group_facts
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.engine.step import Drift, Found
from aws_setup.infrastructure.eks_deletions import describe_node_group


@dataclass(frozen=True)
class UnusedNodeGroup(Step):
    """A node group that may exist from earlier, when the configuration had nodes for it.

    Its nodes cost, and run what cannot run elsewhere: they are neither kept in silence nor
    terminated.
    """

    nodes: NodeGroupSpec
    needs: tuple[str, ...] = ("eks cluster",)
    part: str = "eks"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.nodes.group

    def find(self, ctx: Context) -> Found | None:
        """Return the group; nodes are a conflict. Skipped without one, and for one of others."""
        group = describe_node_group(ctx, self.name)
        if group is None or tag_of(group, DEPLOYMENT_TAG) != ctx.config.deployment_name:
            return self.create(ctx)
        has, key = group["scalingConfig"]["desiredSize"], f"num_openwhisk_{self.nodes.role}_vms"
        fix = f"restore {key}, or delete the node group {self.name} in the EKS console"
        drift = (Drift("nodes", str(has), "0", fix),) if has else ()
        return Found(self.name, group["status"], group_facts(group), drift)

    def create(self, ctx: Context) -> Found:
        """Do nothing: no nodes are wanted."""
        return Found("", skipped=f"num_openwhisk_{self.nodes.role}_vms is 0")
