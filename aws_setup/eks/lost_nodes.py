"""Machines of node groups that run, and that the cluster does not know as nodes.

A kubelet registers its node when it starts, and not again: a Node object that was deleted comes
back only with another machine. EKS, which counts machines, calls the node group ACTIVE.
https://kubernetes.io/docs/concepts/architecture/nodes/#self-registration-of-nodes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import pages
from aws_setup.aws.tags import NODE_GROUP_TAG
from aws_setup.eks.node_launch_template import GROUP_LABEL, NodeGroupSpec, node_group_specs
from aws_setup.kube.objects import Json

CLUSTER_TAG = "eks:cluster-name"
"""Tag that EKS sets on the machines of a managed node group, beside NODE_GROUP_TAG."""

JOINED_AFTER = timedelta(minutes=15)
"""Time after the launch by which a node has joined: most do within two minutes."""


@dataclass(frozen=True)
class LostNode:
    """A machine without a node, and its node group."""

    instance: str
    group: str

    @property
    def cause(self) -> str:
        """What is wrong."""
        return f"machine {self.instance} of {self.group} runs, and is no node of the cluster"

    @property
    def fix(self) -> str:
        """What to do: its node group launches another machine, which joins."""
        return (
            f"run `aws ec2 terminate-instances --instance-ids {self.instance}`: {self.group} "
            "launches another one; then run configure again"
        )


def short_groups(ctx: Context, nodes: Sequence[Json]) -> list[NodeGroupSpec]:
    """Return the node groups of which `nodes` has fewer than the configuration sets."""
    labels = (node["metadata"].get("labels") or {} for node in nodes)
    by_group = Counter(each.get(GROUP_LABEL, "") for each in labels)
    return [spec for spec in node_group_specs(ctx.config) if by_group[spec.group] < spec.count]


def lost_nodes(ctx: Context, nodes: Sequence[Json]) -> list[LostNode]:
    """Return the machines that should be among `nodes`, all of the cluster, by now.

    EC2 is asked only of groups that are short; where it does not tell, none is returned.
    """
    groups = [spec.group for spec in short_groups(ctx, nodes)]
    if not groups:
        return []
    known = {str(node.get("spec", {}).get("providerID", "")).rpartition("/")[2] for node in nodes}
    latest = ctx.clock.today() - JOINED_AFTER
    machines: list[Item] = advice(lambda: _machines(ctx, groups), lambda _: [])
    return [
        LostNode(it["InstanceId"], tag_of(it, NODE_GROUP_TAG))
        for it in machines
        if it["InstanceId"] not in known and it["LaunchTime"] < latest
    ]


def _machines(ctx: Context, groups: Sequence[str]) -> list[Item]:
    filters = [
        {"Name": f"tag:{CLUSTER_TAG}", "Values": [ctx.config.eks_cluster_name]},
        {"Name": f"tag:{NODE_GROUP_TAG}", "Values": list(groups)},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=filters)
    return [it for reservation in found for it in reservation["Instances"]]
