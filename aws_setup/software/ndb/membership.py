"""Whether the machines are those of the cluster: lost and foreign data nodes, and their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from aws_setup.aws.context import Context
from aws_setup.engine.step import Drift
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.cluster_members import holds_data
from aws_setup.infrastructure.vm_groups import KEEP_DATA_NODES, RECREATE, VmGroup, vm_groups
from aws_setup.software.ndb.cluster import MACHINES, NdbCluster
from aws_setup.software.ndb.config_files import CONFIG_INI, NdbNode, node_groups
from aws_setup.software.ndb.initial_start import MANAGER_MARKER, InitMarker
from aws_setup.software.ndb.ndb_mgm import ClusterStatus, NodeState
from aws_setup.ssh.machine import Machine

GROW = (
    "restore num_ndb_datanodes: NDB would need a rolling restart and a reorganisation of every "
    f"table, which this script does not do; or, to lose all data, {RECREATE}"
)
"""https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-online-add-node-basics.html"""


def membership_drift(
    cluster: NdbCluster, marker: InitMarker, status: ClusterStatus | None
) -> list[Drift]:
    """Return how the machines differ from the data nodes of a cluster that holds data.

    Lost data nodes come back, as long as each node group still has one with its rows: a replacement
    copies from it. What cannot come back is a conflict, before anything is launched.
    """
    has, wants = len(cluster.members), cluster.ctx.config.num_ndb_datanodes
    if has != wants:
        fix = GROW if has < wants else KEEP_DATA_NODES
        return [Drift("the number of data nodes", str(has), str(wants), fix)]
    if strangers := _strangers(cluster):
        return _foreign(cluster, strangers, status)
    if groups := lost_groups(cluster, marker):
        whole, fix = "a data node that has its rows", f"its rows exist nowhere else: {RECREATE}"
        return [Drift("node group", f"{_names(group)} lost", whole, fix) for group in groups]
    return [
        Drift(f"data node {node.id}", "lost with its machine", f"a new one at {node.address}")
        for node in cluster.lost
    ]


def lost_groups(cluster: NdbCluster, marker: InitMarker) -> list[list[NdbNode]]:
    """Return the node groups of which no data node has all rows any more."""
    whole = {id for id, it in cluster.data_nodes.items() if it.id not in marker.copying}
    groups = node_groups(cluster.members)
    return [group for group in groups if not any(node.id in whole for node in group)]


def _names(nodes: Sequence[NdbNode]) -> str:
    return ", ".join(f"{node.id} ({node.address})" for node in nodes)


def _strangers(cluster: NdbCluster) -> list[Machine]:
    """Return the machines that config.ini does not have."""
    known = {machine.id for machine in cluster.data_nodes.values()}
    return [machine for machine in cluster.machines if machine.id not in known]


def _foreign(
    cluster: NdbCluster, strangers: Sequence[Machine], status: ClusterStatus | None
) -> list[Drift]:
    """Return the conflict of each machine at an address that config.ini does not have.

    The management server gives a node id only to the address that config.ini has for it, so such a
    machine has never been part of the cluster: it can be terminated. Not so where config.ini has
    host names, or where the server lists one of those data nodes as connected.
    https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-ndbd-definition.html#ndbparam-ndbd-hostname
    """
    lost = cluster.lost
    unsure = any(status and status.state(node.id) is not NodeState.ABSENT for node in lost)
    if unsure or not lost or not all(_is_address(node.address) for node in lost):
        has = ", ".join(node.address for node in cluster.members)
        wants = ", ".join(machine.private_ip for machine in cluster.machines)
        fix = (
            f"write the machines' private addresses as HostName in {CONFIG_INI} on the NDB manager"
        )
        return [Drift("data nodes", has, wants, fix)]
    addresses = " or ".join(node.address for node in lost)
    return [
        Drift(
            f"the address of {machine.name}",
            machine.private_ip,
            addresses,
            f"run `aws ec2 terminate-instances --instance-ids {machine.id}`, then the same command "
            "again: its replacement gets the address that config.ini has, and copies its peer's "
            "data; this one has none",
        )
        for machine in strangers
    ]


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def launch_addresses(cluster: NdbCluster) -> dict[str, list[str]]:
    """Return step -> the addresses of its data nodes in the order of their names.

    A missing machine has that of a lost data node: the first one that of the lowest id.
    """
    free = [node.address for node in cluster.lost]
    steps = [group for group in vm_groups(cluster.ctx.config) if group.step in MACHINES[1:]]
    return {group.step: _addresses(cluster.ctx, group, free) for group in steps}


def _addresses(ctx: Context, group: VmGroup, free: list[str]) -> list[str]:
    """Return a group's addresses; takes those of missing machines from `free`."""
    machines = _instances(ctx, group.step)
    names = [group.name(index) for index in range(group.count)]
    known = {item["name"]: item["private_ip"] for item in machines if item["name"] in names}
    others = [item["private_ip"] for item in machines if item["name"] not in names]
    addresses = []
    for name in names:
        source = others if name not in known and others else free
        address = known.get(name) or (source.pop(0) if source else "")
        addresses.append(address)
    return [address for address in addresses if address]


def unreadable_drift(ctx: Context) -> list[Drift]:
    """Return the conflict of missing data nodes whose addresses cannot be read from the manager.

    It is lost too, stopped, or new and without the files of the one before.
    """
    missing = _missing(ctx)
    if missing <= 0 or not holds_data(ctx):
        return []
    has = f"{count_of(missing, 'machine')} missing"
    if stopped := _stopped(ctx):
        fix = (
            f"run `aws ec2 start-instances --instance-ids {' '.join(stopped)}`, and when they run "
            "the same command again: only config.ini on the NDB manager has the address at which a "
            "lost data node must be replaced"
        )
        return [Drift("data nodes", f"{has}, the NDB manager stopped", "its config.ini", fix)]
    launch = "" if MACHINES[0] in ctx.found else 'run create --only "ndb manager", '
    fix = (
        f"{launch}write the cluster's config.ini to {CONFIG_INI} on the NDB manager, with the "
        f"addresses that the logs of the running data nodes show, `sudo touch {MANAGER_MARKER}` "
        f"there, and run create; or {RECREATE}"
    )
    return [Drift("data nodes", f"{has}, config.ini lost with the manager", "config.ini", fix)]


def _stopped(ctx: Context) -> list[str]:
    """Return the ids of the cluster's stopped machines, none while its manager is not one."""
    found = ctx.found.get(MACHINES[0])
    if found is None or all(item["public_ip"] for item in found.facts["instances"]):
        return []
    machines = [it for step in MACHINES if step in ctx.found for it in _instances(ctx, step)]
    return [item["id"] for item in machines if not item["public_ip"]]


def _missing(ctx: Context) -> int:
    found = sum(len(_instances(ctx, step)) for step in MACHINES[1:])
    return ctx.config.num_ndb_datanodes - found


def _instances(ctx: Context, step: str) -> Sequence[Mapping[str, str]]:
    found = ctx.found.get(step)
    instances: Sequence[Mapping[str, str]] = found.facts["instances"] if found else ()
    return instances
