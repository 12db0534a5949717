"""What EKS remembers: clusters and everything that hangs on them, in plain dictionaries.

Each record holds the document that AWS answers (`document`), and beside it only what AWS knows
but does not show.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from aws_setup.rehearsal.eks import errors

Document = dict[str, Any]


@dataclass
class Nodegroup:
    """A managed node group and the launch template that EKS made for it."""

    document: Document
    template_id: str = ""
    busy: str = ""

    @property
    def group_name(self) -> str:
        """Name of the Auto Scaling group that holds the nodes; empty before it is made."""
        groups = self.document["resources"]["autoScalingGroups"]
        return str(groups[0]["name"]) if groups else ""


@dataclass
class AccessEntry:
    """An access entry; `principal_id` is the unique id that it is bound to."""

    document: Document
    principal_id: str
    policies: dict[str, Document] = field(default_factory=dict)


@dataclass
class Update:
    """One update, with what it belongs to."""

    document: Document
    nodegroup: str = ""
    addon: str = ""


@dataclass
class Cluster:
    """A cluster with its node groups, add-ons, access entries, associations and updates."""

    document: Document
    creator: str
    nodegroups: dict[str, Nodegroup] = field(default_factory=dict)
    addons: dict[str, Document] = field(default_factory=dict)
    entries: dict[str, AccessEntry] = field(default_factory=dict)
    associations: dict[str, Document] = field(default_factory=dict)
    updates: dict[str, Update] = field(default_factory=dict)
    interfaces: list[str] = field(default_factory=list)
    busy: str = ""

    @property
    def name(self) -> str:
        """The cluster's name."""
        return str(self.document["name"])

    @property
    def status(self) -> str:
        """The cluster's state in AWS's words."""
        return str(self.document["status"])

    @property
    def vpc(self) -> Document:
        """The cluster's resourcesVpcConfig."""
        network: Document = self.document["resourcesVpcConfig"]
        return network

    def nodegroup(self, name: str) -> Nodegroup:
        """Return a node group; raises ResourceNotFoundException."""
        if name not in self.nodegroups:
            raise errors.not_found(
                f"No node group found for name: {name}.",
                clusterName=self.name,
                nodegroupName=name,
            )
        return self.nodegroups[name]


@dataclass
class RegionStore:
    """The clusters of one account in one region."""

    clusters: dict[str, Cluster] = field(default_factory=dict)

    def cluster(self, name: str) -> Cluster:
        """Return a cluster; raises ResourceNotFoundException."""
        if name not in self.clusters:
            raise errors.not_found(f"No cluster found for name: {name}.", clusterName=name)
        return self.clusters[name]


def response_copy(document: Document) -> Document:
    """Return a document for an answer, so that later changes do not reach it."""
    return deepcopy(document)
