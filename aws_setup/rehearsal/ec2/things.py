"""What of EC2 exists, for the snapshot: all but what every account has from the start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.backend import backends_by_region
from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.rules import Resource


def exists(cloud: Cloud) -> Iterator[Resource]:
    """List EC2's resources in every region that was used."""
    for region, ec2 in backends_by_region("ec2").items():
        for kind, items, bills in _kinds(ec2):
            for item in items:
                name = getattr(item, "group_id", None) or item.id
                state = str(getattr(item, "state", None) or getattr(item, "status", ""))
                tags = {tag["key"]: tag["value"] for tag in item.get_tags()}
                yield Resource("ec2", kind, name, region, state, bills=bills, tags=tags)


def _kinds(ec2: Any) -> Iterator[tuple[str, list[Any], bool]]:
    """Yield kind, objects of moto, and whether they bill."""
    own = {vpc.id for vpc in ec2.vpcs.values() if not vpc.is_default}
    subnets = [subnet for zone in ec2.subnets.values() for subnet in zone.values()]
    groups = [group for of_vpc in ec2.groups.values() for group in of_vpc.values()]
    yield "vpc", [ec2.vpcs[vpc] for vpc in own], False
    yield "subnet", [subnet for subnet in subnets if subnet.vpc_id in own], False
    yield "security-group", [group for group in groups if group.name != "default"], False
    tables = ec2.route_tables.values()
    yield "route-table", [table for table in tables if not table.main_association_id], False
    yield "internet-gateway", list(ec2.internet_gateways.values()), False
    gone = ("deleted", "failed")
    yield "natgateway", [n for n in ec2.nat_gateways.values() if n.state not in gone], True
    yield "elastic-ip", list(ec2.addresses), True
    yield "instance", [i for i in ec2.all_instances() if i.state != "terminated"], True
    yield "volume", list(ec2.volumes.values()), True
    yield "network-interface", list(ec2.enis.values()), False
    yield "launch-template", list(ec2.launch_templates.values()), False
    yield "key-pair", list(ec2.key_pairs.values()), False
