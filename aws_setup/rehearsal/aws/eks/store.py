"""The state of EKS: clusters and their parts, as the documents that AWS returns.

Each record has the returned document (`document`) and what AWS knows but does not return.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from aws_setup.rehearsal.aws.eks import responses
from aws_setup.rehearsal.aws.eks.hooks import ClusterHooks, NoApiServer
from aws_setup.rehearsal.core.settings import partition_of
from aws_setup.rehearsal.core.types import Call, CloudApi, Resource

Document = dict[str, Any]


@dataclass
class Nodegroup:
    """A managed node group and the launch template that EKS created for it."""

    document: Document
    template_id: str = ""
    busy: str = ""

    @property
    def group_name(self) -> str:
        """Name of the Auto Scaling group of the nodes; empty before it is created."""
        groups = self.document["resources"]["autoScalingGroups"]
        return str(groups[0]["name"]) if groups else ""


@dataclass
class AccessEntry:
    """An access entry; `principal_id` is the unique id of its principal."""

    document: Document
    principal_id: str
    policies: dict[str, Document] = field(default_factory=dict)


@dataclass
class Update:
    """One update of a cluster, or of its node group or add-on."""

    document: Document
    nodegroup: str = ""
    addon: str = ""


@dataclass
class Cluster:
    """A cluster with all of its parts, by their names."""

    document: Document
    creator: str
    nodegroups: dict[str, Nodegroup] = field(default_factory=dict)
    fargate: dict[str, Document] = field(default_factory=dict)
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
        """The cluster's status."""
        return str(self.document["status"])

    @property
    def vpc(self) -> Document:
        """The cluster's resourcesVpcConfig."""
        network: Document = self.document["resourcesVpcConfig"]
        return network

    def nodegroup(self, name: str) -> Nodegroup:
        """Return a node group; raises ResourceNotFoundException."""
        if name not in self.nodegroups:
            raise responses.not_found(
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
            raise responses.not_found(f"No cluster found for name: {name}.", clusterName=name)
        return self.clusters[name]


def response_copy(document: Document) -> Document:
    """Return a document for an answer, so that later changes do not reach it."""
    return deepcopy(document)


def issue_of(failure: tuple[str, str]) -> Document:
    """Return a health issue of this code and message (API_Issue, API_AddonIssue)."""
    return {"code": failure[0], "message": failure[1], "resourceIds": []}


class EksStore:
    """All clusters by region, and the hooks of their API servers."""

    def __init__(self) -> None:
        """Start without clusters and without API servers."""
        self.regions: dict[str, RegionStore] = {}
        self.hooks: ClusterHooks = NoApiServer()


def install_hooks(cloud: CloudApi, hooks: ClusterHooks) -> None:
    """Have `hooks` emulate the API servers of this cloud's clusters."""
    cloud.store_of(EksStore).hooks = hooks


def cluster_hooks(cloud: CloudApi) -> ClusterHooks:
    """Return the hooks of the API servers."""
    return cloud.store_of(EksStore).hooks


def region_store(cloud: CloudApi, call: Call) -> RegionStore:
    """Return the clusters of the call's region."""
    return cloud.store_of(EksStore).regions.setdefault(call.region, RegionStore())


def current_time(cloud: CloudApi) -> datetime:
    """Return the cloud's current time."""
    return cloud.clock.today()


def current_date(cloud: CloudApi) -> date:
    """Return the cloud's current date."""
    return cloud.clock.today().date()


def eks_arn(call: Call, resource: str) -> str:
    """Return the ARN of an EKS resource in the call's account and region."""
    return f"arn:{partition_of(call.region)}:eks:{call.region}:{call.account}:{resource}"


def call_ec2(cloud: CloudApi, call: Call, action: str, **params: Any) -> dict[str, Any]:
    """Make an EC2 call in the call's region, as EKS does for its user."""
    found: dict[str, Any] = cloud.call("ec2", action, region=call.region, **params)
    return found


def list_resources(cloud: CloudApi) -> Iterable[Resource]:
    """List clusters, which are billed by the hour, and their parts."""
    for name, region in cloud.store_of(EksStore).regions.items():
        for cluster in region.clusters.values():
            tags = cluster.document["tags"]
            state = cluster.status
            yield Resource("eks", "cluster", cluster.name, name, state, bills=True, tags=tags)
            yield from _parts(cluster, name)


def _parts(cluster: Cluster, region: str) -> Iterable[Resource]:
    held = {
        "node group": {key: group.document for key, group in cluster.nodegroups.items()},
        "add-on": cluster.addons,
        "access entry": {key: entry.document for key, entry in cluster.entries.items()},
        "pod identity association": cluster.associations,
    }
    for kind, documents in held.items():
        for key, document in documents.items():
            state = str(document.get("status", ""))
            yield Resource(
                "eks", kind, f"{cluster.name}/{key}", region, state, tags=document["tags"]
            )


MAX_TAGS = 50
"""Tags of a resource."""


def taggable_documents(store: RegionStore) -> Iterator[tuple[str, Document]]:
    """Yield every taggable document of a region with its ARN."""
    for cluster in store.clusters.values():
        yield cluster.document["arn"], cluster.document
        for group in cluster.nodegroups.values():
            yield group.document["nodegroupArn"], group.document
        for addon in cluster.addons.values():
            yield addon["addonArn"], addon
        for entry in cluster.entries.values():
            yield entry.document["accessEntryArn"], entry.document
        for association in cluster.associations.values():
            yield association["associationArn"], association


def _tags(cloud: CloudApi, call: Call) -> dict[str, str]:
    arn = call.params["resourceArn"]
    for key, document in taggable_documents(region_store(cloud, call)):
        if key == arn:
            tags: dict[str, str] = document["tags"]
            return tags
    raise responses.not_found(f"The resource {arn} was not found")


def tag_resource(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer TagResource."""
    tags = _tags(cloud, call)
    if len(tags | call.params["tags"]) > MAX_TAGS:
        raise responses.invalid_parameter(f"A resource has at most {MAX_TAGS} tags")
    tags |= call.params["tags"]
    return {}


def untag_resource(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UntagResource."""
    tags = _tags(cloud, call)
    for key in call.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListTagsForResource."""
    return {"tags": dict(_tags(cloud, call))}


ANSWERS = {
    ("eks", "TagResource"): tag_resource,
    ("eks", "UntagResource"): untag_resource,
    ("eks", "ListTagsForResource"): list_tags,
}
