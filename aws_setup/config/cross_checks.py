"""Checks across keys: addresses, counts and switches that must be consistent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from aws_setup.config.model import Config
from aws_setup.config.ndb_nodes import MAX_NODES, namenode_nodes
from aws_setup.config.software import SQL_SCRIPTS
from aws_setup.errors import Problem

RESERVED_FIRST = 4
"""AWS reserves the first four addresses of a subnet, and the last one.
https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""


@dataclass(frozen=True)
class Conflict:
    """Keys whose values are inconsistent, the one to change first; the reason, and the fix."""

    keys: tuple[str, ...]
    why: str
    hint: str


def conflicts(config: Config) -> list[Conflict]:
    """Return every conflict because of which the configuration cannot work."""
    checks = (
        _network_sizes,
        _subnets,
        _fixed_addresses_in_subnet,
        _duplicate_addresses,
        _ndb_data_nodes,
        _autoscaling,
        _existing_vpc,
        _zones,
        _public_access,
    )
    return [conflict for check in checks for conflict in check(config)]


def discouraged_settings(config: Config) -> list[Conflict]:
    """Return settings that work but are not recommended, or need something else as well."""
    return [
        *_even_ensemble(config),
        *_other_login(config),
        *_own_certificate(config),
        *_namenodes_of_ndb(config),
    ]


def _own_certificate(config: Config) -> list[Conflict]:
    """The settings of the self-signed certificate say nothing about the user's."""
    fields = type(config).model_fields
    keys = tuple(
        key
        for key in ("openwhisk_tls_name", "openwhisk_tls_days")
        if getattr(config, key) != fields[key].default
    )
    if not (keys and config.openwhisk_tls_cert):
        return []
    why = "it is for a self-signed certificate, and openwhisk_tls_cert is used instead of one"
    return [Conflict(keys, why, f"remove {' and '.join(keys)}, or openwhisk_tls_cert")]


def _other_login(config: Config) -> list[Conflict]:
    """The NameNodes log in as the configuration in their image says."""
    keys = tuple(
        key for key in ("ndb_user", "ndb_password", "ndb_database") if getattr(config, key)
    )
    if not (keys and config.create_ndb_cluster):
        return []
    return [
        Conflict(
            keys,
            "the NameNodes log in to MySQL with the values in their image, and only the clients' "
            "files are changed",
            "set namenode_image to an image that has the same values, or remove the keys",
        )
    ]


def _even_ensemble(config: Config) -> list[Conflict]:
    nodes = config.num_lambda_fs_zk_vms
    if config.create_zookeeper_vms and nodes % 2 == 0:
        return [
            Conflict(
                ("num_lambda_fs_zk_vms",),
                f"{nodes} ZooKeeper VMs tolerate no more failures than {nodes - 1}",
                "choose an odd number",
            )
        ]
    return []


def _namenodes_of_ndb(config: Config) -> list[Conflict]:
    """A NameNode that starts without a node id ends with "No free node id found"."""
    most = namenode_nodes(config)
    if not config.create_ndb_cluster or config.num_namenode_deployments <= most:
        return []
    return [
        Conflict(
            ("num_namenode_deployments", "num_ndb_datanodes"),
            f"MySQL NDB has {MAX_NODES} node ids, of which NameNodes can use {most} at a time",
            f"choose {most} or fewer",
        )
    ]


def fixed_addresses(config: Config) -> list[tuple[str, IPv4Address]]:
    """Return the private addresses that the configuration assigns, each with its key."""
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


def _network_sizes(config: Config) -> Iterator[Conflict]:
    """A VPC and its subnets have 16 to 65,536 addresses."""
    networks = [("vpc_cidr", IPv4Network(config.vpc_cidr)), *_subnet_lists(config)]
    for key, network in networks:
        if config.create_vpc and not 16 <= network.prefixlen <= 28:
            yield Conflict(
                (key,),
                f"{network} has a prefix of /{network.prefixlen}; AWS allows /16 to /28",
                "choose a prefix from /16 to /28",
            )


def _subnets(config: Config) -> Iterator[Conflict]:
    if not config.create_vpc:
        return
    vpc = IPv4Network(config.vpc_cidr)
    subnets = _subnet_lists(config)
    for key, subnet in subnets:
        if not subnet.subnet_of(vpc):
            yield Conflict((key, "vpc_cidr"), f"{subnet} is not inside vpc_cidr {vpc}", _FIX_RANGE)
    for (key, subnet), (other_key, other) in combinations(subnets, 2):
        if subnet.overlaps(other):
            why = f"{other} overlaps {subnet} of {key}"
            yield Conflict((other_key, key), why, "choose ranges that do not overlap")


_FIX_RANGE = "choose ranges inside the VPC's, or a VPC range that contains them"


def _fixed_addresses_in_subnet(config: Config) -> Iterator[Conflict]:
    """The machines with fixed addresses are launched in the first public subnet."""
    if not config.create_vpc:
        return
    subnet = IPv4Network(config.public_subnet_cidrs[0])
    for key, address in fixed_addresses(config):
        if address not in subnet:
            yield Conflict(
                (key, "public_subnet_cidrs"),
                f"{address} is not inside {subnet}, the first of public_subnet_cidrs",
                "choose an address of that subnet, or a first public subnet that contains it",
            )
        elif int(address) - int(subnet[0]) < RESERVED_FIRST or address == subnet[-1]:
            yield Conflict(
                (key, "public_subnet_cidrs"),
                f"AWS reserves {address} of {subnet}",
                f"choose an address from {subnet[RESERVED_FIRST]} to {subnet[-2]}",
            )


def _duplicate_addresses(config: Config) -> Iterator[Conflict]:
    seen: dict[IPv4Address, str] = {}
    for key, address in fixed_addresses(config):
        if address in seen:
            why = f"{address} is assigned to two machines"
            yield Conflict((key, seen[address]), why, "assign a different address to each machine")
        seen[address] = key


def _ndb_data_nodes(config: Config) -> Iterator[Conflict]:
    if config.create_ndb_cluster and config.num_ndb_datanodes % 2:
        yield Conflict(
            ("num_ndb_datanodes",),
            f"{config.num_ndb_datanodes} is odd, and MySQL NDB stores every row on two nodes",
            f"choose {config.num_ndb_datanodes + 1} or {config.num_ndb_datanodes - 1}",
        )


def _autoscaling(config: Config) -> Iterator[Conflict]:
    if not config.create_autoscaling_groups:
        return
    if not config.create_launch_templates:
        yield Conflict(
            ("create_autoscaling_groups", "create_launch_templates"),
            "the auto-scaling groups require the launch templates",
            "set create_launch_templates: True, or create_autoscaling_groups: False",
        )
    minimum, maximum = config.autoscaling_group_min_size, config.autoscaling_group_max_size
    desired = config.autoscaling_group_desired_capacity
    if not minimum <= desired <= maximum:
        yield Conflict(
            (
                "autoscaling_group_desired_capacity",
                "autoscaling_group_min_size",
                "autoscaling_group_max_size",
            ),
            f"the desired capacity {desired} is not between the sizes {minimum} and {maximum}",
            "choose min_size ≤ desired_capacity ≤ max_size",
        )


def _existing_vpc(config: Config) -> Iterator[Conflict]:
    if config.create_vpc and config.vpc_id:
        yield Conflict(
            ("vpc_id", "create_vpc"),
            f"{config.vpc_id} is an existing VPC, and create_vpc: True creates a new one",
            "set create_vpc: False to use the existing one, or remove vpc_id",
        )
    if config.create_vpc and config.subnet_ids:
        yield Conflict(
            ("subnet_ids", "create_vpc"),
            "subnet_ids names existing subnets, and create_vpc: True creates new ones",
            "set create_vpc: False to use the existing ones, or remove subnet_ids",
        )


def _zones(config: Config) -> Iterator[Conflict]:
    zones = config.availability_zones or ()
    if len(set(zones)) < len(zones):
        yield Conflict(
            ("availability_zones",),
            f"both zones are {zones[0]}",
            "set two different zones: EKS requires two",
        )
    for zone in zones:
        if config.aws_region and not zone.startswith(config.aws_region):
            yield Conflict(
                ("availability_zones", "aws_region"),
                f"{zone} is not a zone of aws_region {config.aws_region}",
                "set zones of that region, or remove availability_zones",
            )


def _public_access(config: Config) -> Iterator[Conflict]:
    for cidr in config.openwhisk_access_cidrs:
        network = IPv4Network(cidr)
        if network.prefixlen and not network.is_global:
            yield Conflict(
                ("openwhisk_access_cidrs",),
                f"{cidr} is a private or reserved range; a public load balancer sees public ones",
                "set public ranges; from the VPC OpenWhisk is reachable without",
            )
    for cidr in config.eks_public_access_cidrs:
        network = IPv4Network(cidr)
        if network.prefixlen and not network.is_global:
            yield Conflict(
                ("eks_public_access_cidrs",),
                f"{cidr} is a private or reserved range; EKS accepts public ones only",
                "set public ranges, or remove the key to allow only your address",
            )


def skipped_features(config: Config) -> list[Problem]:
    """Return what a switch enables and another key prevents, one problem for each part."""
    return [*_skipped_zookeeper(config), *_skipped_ndb(config)]


def _skipped_zookeeper(config: Config) -> list[Problem]:
    enabled = _enabled(config, "start_zookeeper_cluster", "populate_zookeeper_cluster")
    if not enabled or config.create_zookeeper_vms or config.zk_node_public_IPs:
        return []
    why = "create_zookeeper_vms is False and zk_node_public_IPs is empty"
    return [Problem("ZooKeeper is skipped", f"{why}, so {enabled} has no effect", "")]


def _skipped_ndb(config: Config) -> list[Problem]:
    enabled = _enabled(
        config, "start_ndb_cluster", "populate_mysql_ndb_tables", "format_filesystem"
    )
    dependent = _enabled(config, "populate_mysql_ndb_tables", "format_filesystem")
    if enabled and not config.create_ndb_cluster:
        why = f"create_ndb_cluster is False, so {enabled} has no effect"
        return [Problem("MySQL NDB is skipped", why, "")]
    if dependent and not config.start_ndb_cluster:
        why = f"start_ndb_cluster is False, so {dependent} has no effect"
        return [Problem("MySQL NDB is not started", why, "")]
    if config.populate_mysql_ndb_tables and not config.ndb_sql_scripts_dir:
        what = "ndb tables and the formatting are skipped"
        if not config.format_filesystem:
            what = "ndb tables are skipped"
        why = "ndb_sql_scripts_dir, the folder with the SQL scripts of HopsFS and λFS, is not set"
        return [Problem(what, why, SQL_SCRIPTS)]
    return []


def _enabled(config: Config, *switches: str) -> str:
    """Return the names of those switches that are on, joined by commas."""
    return ", ".join(switch for switch in switches if getattr(config, switch))
