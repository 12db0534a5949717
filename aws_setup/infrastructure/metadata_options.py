"""The metadata service of VMs: tokens required, and answers for the VM itself only.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-IMDS-existing-instances.html: both
are changed while a VM runs, without a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.engine.step import Drift


def metadata_options() -> dict[str, Any]:
    """Return the options that make IMDSv2 tokens required, and answer the VM itself only.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-IMDS-new-instances.html
    """
    return {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1}


def metadata_drift(active: Sequence[Item]) -> list[Drift]:
    """Return the drift of the VMs whose settings differ."""
    other = _different(active)
    if not other:
        return []
    has = "; ".join(
        f"{item['InstanceId']}: tokens {item['MetadataOptions'].get('HttpTokens')}, "
        f"hop limit {item['MetadataOptions'].get('HttpPutResponseHopLimit')}"
        for item in other
    )
    return [Drift("metadata service", has, "tokens required, hop limit 1")]


def restore_metadata(ctx: Context, active: Sequence[Item]) -> None:
    """Set the options of the VMs whose settings differ; they keep running."""
    for item in _different(active):
        ctx.aws.ec2.modify_instance_metadata_options(
            InstanceId=item["InstanceId"], **metadata_options()
        )


def _different(active: Sequence[Item]) -> list[Item]:
    wanted = metadata_options().items()
    return [
        item
        for item in active
        if "MetadataOptions" in item and not wanted <= item["MetadataOptions"].items()
    ]
