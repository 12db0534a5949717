"""What of EKS exists, for the snapshot."""

from __future__ import annotations

from collections.abc import Iterable

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.context import EksStore
from aws_setup.rehearsal.eks.model import Cluster
from aws_setup.rehearsal.rules import Resource


def exists(cloud: Cloud) -> Iterable[Resource]:
    """List clusters, which bill by the hour, and what hangs on them."""
    for name, region in cloud.room(EksStore).regions.items():
        for cluster in region.clusters.values():
            tags = cluster.document["tags"]
            state = cluster.status
            yield Resource("eks", "cluster", cluster.name, name, state, bills=True, tags=tags)
            yield from _parts(cluster, name)


def _parts(cluster: Cluster, region: str) -> Iterable[Resource]:
    held = {
        "node group": {key: one.document for key, one in cluster.nodegroups.items()},
        "add-on": cluster.addons,
        "access entry": {key: one.document for key, one in cluster.entries.items()},
        "pod identity association": cluster.associations,
    }
    for kind, documents in held.items():
        for key, document in documents.items():
            state = str(document.get("status", ""))
            yield Resource("eks", kind, f"{cluster.name}/{key}", region, state, tags=document["tags"])
