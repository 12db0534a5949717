"""Machines that can only be replaced at their own address: the data nodes of a started NDB cluster.

The other data nodes know a data node by its HostName in config.ini. Another one needs a rolling
restart of the whole cluster, and while a data node is lost the only other one of its node group
cannot be restarted without a shutdown of the cluster: so the machine of a lost data node is
replaced at the same address, and nothing else has to be changed or restarted.
https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-ndbd-definition.html#ndbparam-ndbd-hostname
https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-nodes-groups.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import NDB_TAG
from aws_setup.errors import SetupError
from aws_setup.infrastructure.run_instances import TERMINATED_STATES
from aws_setup.infrastructure.vm_groups import VmGroup

ADDRESSES = "addresses"
"""Fact of a cluster's step: step -> the addresses of its machines in the order of their names."""


def at_known_addresses(ctx: Context, group: VmGroup) -> VmGroup:
    """Return a group with the addresses that its started cluster knows its machines by."""
    found = ctx.found.get(group.cluster) if group.cluster else None
    known = found.facts.get(ADDRESSES, {}).get(group.step, ()) if found else ()
    if len(known) != group.count:
        return group
    return replace(group, addresses=tuple(map(IPv4Address, known)))


def refuse_unknown_address(ctx: Context, group: VmGroup) -> None:
    """Refuse to launch a machine of a cluster that holds data where its address is not known.

    Raises:
        SetupError: nothing has read the address, as with --only, or the manager does not answer.
    """
    if group.cluster and not group.addresses and holds_data(ctx):
        raise SetupError(
            f"{group.step}: the address of the lost machine is not known",
            f"the NDB cluster holds data, and only config.ini on its manager says at which address "
            f"the other data nodes expect it; this run has no step '{group.cluster}' that has "
            "read it",
            "run create without --only; where the NDB manager does not answer, repair that first",
        )


def holds_data(ctx: Context) -> bool:
    """Tell whether any machine of the deployment belongs to an NDB cluster that has been started.

    Deployments that an earlier version has started have the tag from their next change on.
    """
    return any(
        tag_of(item, NDB_TAG) and item["State"]["Name"] not in TERMINATED_STATES
        for item in ctx.inventory.all("instances")
    )


def mark_members(ctx: Context, ids: Sequence[str]) -> None:
    """Tag the machines of a started cluster, so that a run sees what they are without SSH."""
    marked = {it["InstanceId"] for it in ctx.inventory.all("instances") if tag_of(it, NDB_TAG)}
    if missing := [id for id in ids if id not in marked]:
        ctx.aws.ec2.create_tags(Resources=missing, Tags=[{"Key": NDB_TAG, "Value": "started"}])
