"""Checks that span several keys: addresses, counts and switches that must fit together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from aws_setup.config.model import Config
from aws_setup.errors import Problem

RESERVED_FIRST = 4
"""AWS keeps the first four addresses of a subnet, and the last one, for itself."""


@dataclass(frozen=True)
class Conflict:
    """Keys whose values do not fit together, the one to change first; why, and the mend."""

    keys: tuple[str, ...]
    why: str
    hint: str


def refusals(config: Config) -> list[Conflict]:
    """Return everything that cannot work."""
    checks = (_ranges, _subnets, _fixed, _doubles, _machines, _scaling, _adoption, _zones, _access)
    return [clash for check in checks for clash in check(config)]


def discouraged_settings(config: Config) -> list[Conflict]:
    """Return what works and is not wise."""
    nodes = config.num_lambda_fs_zk_vms
    if config.create_zookeeper_vms and nodes % 2 == 0:
        return [
            Conflict(
                ("num_lambda_fs_zk_vms",),
                f"{nodes} ZooKeeper VMs survive no more failures than {nodes - 1}",
                "choose an odd number",
            )
        ]
    return []


def fixed_addresses(config: Config) -> list[tuple[str, IPv4Address]]:
    """Return the private addresses that machines of this configuration get, each with its key."""
    fixed = []
    if config.create_ndb_cluster:
        fixed.append(("ndb_manager_private_ip", config.ndb_manager_private_ip))
    if config.create_zookeeper_vms:
        used = config.zookeeper_private_ips[: config.num_lambda_fs_zk_vms]
        fixed += [("zookeeper_private_ips", address) for address in used]
    return fixed


def _subnet_lists(config: Config) -> list[tuple[str, IPv4Network]]:
    public = [("public_subnet_cidrs", IPv4Network(cidr)) for cidr in config.public_subnet_cidrs]
    private = [("private_subnet_cidrs", IPv4Network(cidr)) for cidr in config.private_subnet_cidrs]
    return public + private


def _ranges(config: Config) -> Iterator[Conflict]:
    """A VPC and its subnets have from 16 to 65,536 addresses."""
    every = [("vpc_cidr", IPv4Network(config.vpc_cidr)), *_subnet_lists(config)]
    for key, network in every:
        if config.create_vpc and not 16 <= network.prefixlen <= 28:
            yield Conflict(
                (key,),
                f"{network} has {network.num_addresses} addresses; AWS allows 16 to 65536",
                "choose a prefix from /16 to /28",
            )


def _subnets(config: Config) -> Iterator[Conflict]:
    if not config.create_vpc:
        return
    vpc = IPv4Network(config.vpc_cidr)
    subnets = _subnet_lists(config)
    for key, subnet in subnets:
        if not subnet.subnet_of(vpc):
            yield Conflict((key, "vpc_cidr"), f"{subnet} is not inside vpc_cidr {vpc}", _INSIDE)
    for (key, one), (other_key, other) in combinations(subnets, 2):
        if one.overlaps(other):
            why = f"{other} overlaps {one} of {key}"
            yield Conflict((other_key, key), why, "choose ranges that share no address")


_INSIDE = "choose ranges inside the VPC's, or a VPC range that holds them"


def _fixed(config: Config) -> Iterator[Conflict]:
    """The machines with fixed addresses stand in the first public subnet."""
    if not config.create_vpc:
        return
    subnet = IPv4Network(config.public_subnet_cidrs[0])
    for key, address in fixed_addresses(config):
        if address not in subnet:
            yield Conflict(
                (key, "public_subnet_cidrs"),
                f"{address} is not inside {subnet}, the first of public_subnet_cidrs",
                "choose an address of that subnet, or a first public subnet that holds it",
            )
        elif int(address) - int(subnet[0]) < RESERVED_FIRST or address == subnet[-1]:
            yield Conflict(
                (key, "public_subnet_cidrs"),
                f"AWS keeps {address} of {subnet} for itself",
                f"choose one from {subnet[RESERVED_FIRST]} to {subnet[-2]}",
            )


def _doubles(config: Config) -> Iterator[Conflict]:
    seen: dict[IPv4Address, str] = {}
    for key, address in fixed_addresses(config):
        if address in seen:
            why = f"{address} is given to two machines"
            yield Conflict((key, seen[address]), why, "give each machine an address of its own")
        seen[address] = key


def _machines(config: Config) -> Iterator[Conflict]:
    if config.create_ndb_cluster and config.num_ndb_datanodes % 2:
        yield Conflict(
            ("num_ndb_datanodes",),
            f"{config.num_ndb_datanodes} is odd, and MySQL NDB keeps every row on two nodes",
            f"choose {config.num_ndb_datanodes + 1} or {config.num_ndb_datanodes - 1}",
        )


def _scaling(config: Config) -> Iterator[Conflict]:
    if not config.create_autoscaling_groups:
        return
    if not config.create_launch_templates:
        yield Conflict(
            ("create_autoscaling_groups", "create_launch_templates"),
            "the auto-scaling groups need the launch templates",
            "set create_launch_templates: True, or create_autoscaling_groups: False",
        )
    least, most = config.autoscaling_group_min_size, config.autoscaling_group_max_size
    wanted = config.autoscaling_group_desired_capacity
    if not least <= wanted <= most:
        yield Conflict(
            (
                "autoscaling_group_desired_capacity",
                "autoscaling_group_min_size",
                "autoscaling_group_max_size",
            ),
            f"the capacity {wanted} is not between the least size {least} and the greatest {most}",
            "choose min_size ≤ desired_capacity ≤ max_size",
        )


def _adoption(config: Config) -> Iterator[Conflict]:
    if config.create_vpc and config.vpc_id:
        yield Conflict(
            ("vpc_id", "create_vpc"),
            f"{config.vpc_id} exists already, and create_vpc: True makes a new VPC",
            "set create_vpc: False to use the existing one, or remove vpc_id",
        )


def _zones(config: Config) -> Iterator[Conflict]:
    zones = config.availability_zones or ()
    if len(set(zones)) < len(zones):
        yield Conflict(
            ("availability_zones",),
            f"both zones are {zones[0]}",
            "name two zones: EKS needs two, and each gets a public and a private subnet",
        )
    for zone in zones:
        if config.aws_region and not zone.startswith(config.aws_region):
            yield Conflict(
                ("availability_zones", "aws_region"),
                f"{zone} is not a zone of aws_region {config.aws_region}",
                "name zones of that region, or leave availability_zones out",
            )


def _access(config: Config) -> Iterator[Conflict]:
    for cidr in config.eks_public_access_cidrs:
        network = IPv4Network(cidr)
        if network.prefixlen and not network.is_global:
            yield Conflict(
                ("eks_public_access_cidrs",),
                f"{cidr} is a private or reserved range; EKS takes public ones only",
                "name public ranges, or leave the key out to allow only your own address",
            )


def skipped_features(config: Config) -> list[Problem]:
    """Return what a switch asks for and another key prevents, one line for each part."""
    return [*_zookeeper_left_out(config), *_ndb_left_out(config)]


def _zookeeper_left_out(config: Config) -> list[Problem]:
    asked = _on(config, "start_zookeeper_cluster", "populate_zookeeper_cluster")
    if not asked or config.create_zookeeper_vms or config.zk_node_public_IPs:
        return []
    why = "create_zookeeper_vms is False and zk_node_public_IPs names no machine"
    return [Problem("ZooKeeper is left out", f"{why}, so {asked} has no effect", "")]


def _ndb_left_out(config: Config) -> list[Problem]:
    asked = _on(config, "start_ndb_cluster", "populate_mysql_ndb_tables", "format_filesystem")
    after = _on(config, "populate_mysql_ndb_tables", "format_filesystem")
    if asked and not config.create_ndb_cluster:
        why = f"create_ndb_cluster is False, so {asked} has no effect"
        return [Problem("MySQL NDB is left out", why, "")]
    if after and not config.start_ndb_cluster:
        why = f"start_ndb_cluster is False, so {after} has no effect"
        return [Problem("MySQL NDB is not started", why, "")]
    if config.populate_mysql_ndb_tables and not config.ndb_sql_scripts_dir:
        what = "ndb tables and the formatting are skipped"
        if not config.format_filesystem:
            what = "ndb tables are skipped"
        why = "ndb_sql_scripts_dir names no folder with HopsFS's and λFS's SQL scripts"
        return [Problem(what, why, "")]
    return []


def _on(config: Config, *switches: str) -> str:
    """Return those of the switches that are on, in words; '' when all are off."""
    return ", ".join(switch for switch in switches if getattr(config, switch))
