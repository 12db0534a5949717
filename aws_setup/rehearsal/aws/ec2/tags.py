"""DescribeTags, with the resource types that EC2 documents.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTags.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TagDescription.html
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from aws_setup.rehearsal.aws.ec2.describe import apply_filters, paginate
from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend
from aws_setup.rehearsal.core.types import Call, CloudApi

NAMES = MappingProxyType({"nat-gateway": "natgateway", "vpc-elastic-ip": "elastic-ip"})
"""moto's name of a resource type -> that of EC2 (TagDescription, resourceType)."""
FILTERS = MappingProxyType(
    {
        "key": "Key",
        "value": "Value",
        "resource-id": "ResourceId",
        "resource-type": "ResourceType",
    }
)


def describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeTags; the filters are those that EC2 documents."""
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    found = []
    for resource, tags in ec2_backend(cloud, call).tags.items():
        kind = EC2_PREFIX_TO_RESOURCE[get_prefix(resource)]
        named = {"ResourceId": resource, "ResourceType": NAMES.get(kind, kind)}
        found += [named | {"Key": key, "Value": value} for key, value in tags.items()]
    # A filter tag:KEY reads the tags of an item: here each item is one.
    items = [{**tag, "Tags": [tag]} for tag in found]
    chosen = apply_filters(items, call.params.get("Filters") or [], FILTERS)
    return paginate(call, [item["Tags"][0] for item in chosen], "Tags")


ANSWERS = {("ec2", "DescribeTags"): describe}
