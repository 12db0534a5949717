"""Nodes whose machine somebody has terminated: their node leaves, and the group launches another.

https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.aws.eks import nodes
from aws_setup.rehearsal.aws.eks.nodegroups import nodes_changed
from aws_setup.rehearsal.aws.eks.store import Cluster, Nodegroup, call_ec2, region_store
from aws_setup.rehearsal.core.types import Call, CloudApi

LOOKS = 120
"""Times, START_CHECK_INTERVAL_SECONDS apart, that a launch is awaited: it may fail for good."""


def _node_terminated(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """Remove the nodes, and add those that are launched instead.

    While EKS itself creates, updates or deletes a group it tells of its nodes at the end.
    """
    for cluster, group in _groups_of(cloud, call):
        if group.document["status"] == "ACTIVE":
            nodes_changed(cloud, call, cluster, group)
            _await_others(cloud, call, cluster, group, LOOKS)


def _groups_of(cloud: CloudApi, call: Call) -> Iterator[tuple[Cluster, Nodegroup]]:
    clusters, found = region_store(cloud, call).clusters, set()
    if not clusters:
        return
    answer = call_ec2(cloud, call, "DescribeInstances", InstanceIds=call.params["InstanceIds"])
    for reservation in answer["Reservations"]:
        for instance in reservation["Instances"]:
            tags = {pair["Key"]: pair["Value"] for pair in instance.get("Tags", ())}
            found.add((tags.get("eks:cluster-name", ""), tags.get("eks:nodegroup-name", "")))
    for name, group in sorted(found):
        if name in clusters and group in clusters[name].nodegroups:
            yield clusters[name], clusters[name].nodegroups[group]


def _await_others(
    cloud: CloudApi, call: Call, cluster: Cluster, group: Nodegroup, looks: int
) -> None:
    if group.document["status"] != "ACTIVE" or not looks:
        return
    if not nodes.node_health_issue(cloud, call, cluster, group):
        nodes_changed(cloud, call, cluster, group)
        return
    cloud.clock.after(
        nodes.START_CHECK_INTERVAL_SECONDS,
        lambda: _await_others(cloud, call, cluster, group, looks - 1),
    )


AFTER = {("ec2", "TerminateInstances"): _node_terminated}
