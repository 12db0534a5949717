"""Tags of everything in EKS that has an ARN.

https://docs.aws.amazon.com/eks/latest/APIReference/API_TagResource.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks import errors
from aws_setup.rehearsal.eks.context import region_store
from aws_setup.rehearsal.eks.model import Document, RegionStore
from aws_setup.rehearsal.rules import Call

MAX_TAGS = 50
"""Tags of a resource."""


def taggable_documents(here: RegionStore) -> Iterator[tuple[str, Document]]:
    """Yield every taggable document of a region with its ARN."""
    for cluster in here.clusters.values():
        yield cluster.document["arn"], cluster.document
        for group in cluster.nodegroups.values():
            yield group.document["nodegroupArn"], group.document
        for addon in cluster.addons.values():
            yield addon["addonArn"], addon
        for entry in cluster.entries.values():
            yield entry.document["accessEntryArn"], entry.document
        for association in cluster.associations.values():
            yield association["associationArn"], association


def _tags(cloud: Cloud, call: Call) -> dict[str, str]:
    arn = call.params["resourceArn"]
    for key, document in taggable_documents(region_store(cloud, call)):
        if key == arn:
            tags: dict[str, str] = document["tags"]
            return tags
    raise errors.not_found(f"The resource {arn} was not found")


def tag_resource(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer TagResource."""
    tags = _tags(cloud, call)
    if len(tags | call.params["tags"]) > MAX_TAGS:
        raise errors.invalid_parameter(f"A resource has at most {MAX_TAGS} tags")
    tags |= call.params["tags"]
    return {}


def untag_resource(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer UntagResource."""
    tags = _tags(cloud, call)
    for key in call.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer ListTagsForResource."""
    return {"tags": dict(_tags(cloud, call))}


ANSWERS = {
    ("eks", "TagResource"): tag_resource,
    ("eks", "UntagResource"): untag_resource,
    ("eks", "ListTagsForResource"): list_tags,
}
