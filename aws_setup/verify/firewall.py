"""Why packets do not arrive: the rule of the security group that is missing, and how to add it."""

from __future__ import annotations

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.config import Config
from aws_setup.infrastructure.ingress_rules import (
    MYSQLD,
    NDB_DATA_NODES,
    NDB_MANAGEMENT,
    RULES,
    ZOOKEEPER,
    IngressRule,
    Ports,
    Source,
    Targets,
    allows,
    authorize_command,
)
from aws_setup.infrastructure.security_group import existing_group, owned_group, vpc_ranges
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify.chain import CONFIGURE, CREATE, Address
from aws_setup.verify.check import Broken


def unreachable(ctx: Context, address: Address, state: PortState, *, source: Source) -> Broken:
    """Return the failure of a connection to a VM.

    Args:
        ctx: the run's context.
        address: what was connected to.
        state: how the connection ended.
        source: who connected, as the rules of the security group name it.
    """
    if state is PortState.REFUSED:
        return Broken(
            f"{address} refuses connections: no program listens there",
            _start(ctx.config, address.port),
        )
    if state is not PortState.TIMED_OUT:
        return Broken(f"{address}: {state}", "set AllowTcpForwarding yes in its sshd_config")
    owned = owned_group(ctx)
    group = owned or _existing(ctx)
    if group:
        rule, targets = _missing_rule(ctx, group, Ports("tcp", address.port, address.port), source)
        if rule:
            script = CONFIGURE if source is Source.NODES else CREATE
            command = f"run `{authorize_command(group['GroupId'], [rule], targets)}`"
            fix = f"{script}, which adds the rule" if owned and rule in RULES else command
            return Broken(f"{address} times out: {_lacks(group, rule, targets)}", fix)
    cause = f"{address} times out, although the security group allows the traffic"
    return Broken(cause, "allow it in the network ACLs and routes of the subnets of both sides")


STARTED_BY = {
    NDB_MANAGEMENT.first: "start_ndb_cluster",
    NDB_DATA_NODES.first: "start_ndb_cluster",
    MYSQLD.first: "start_ndb_cluster",
    ZOOKEEPER.first: "start_zookeeper_cluster",
}
"""Port of a program on the VMs -> the key that makes create start it."""


def _start(config: Config, port: int) -> str:
    """Return how to start the program that should listen on a port."""
    key = STARTED_BY.get(port)
    if key and not getattr(config, key):
        return f"start it yourself, since {key} is False, or set {key}: True and {CREATE}"
    return CREATE


def _lacks(group: Item, rule: IngressRule, targets: Targets) -> str:
    ports = rule.ports
    traffic = "all traffic" if ports.protocol == "-1" else f"{ports.protocol} {ports.first}"
    traffic += "" if ports.protocol == "-1" or ports.first == ports.last else f"-{ports.last}"
    name = f"{group['GroupId']} ({group['GroupName']})"
    return (
        f"security group {name} has no rule for {rule.title} "
        f"({traffic} from {targets[rule.source]})"
    )


def _missing_rule(
    ctx: Context, group: Item, ports: Ports, source: Source
) -> tuple[IngressRule | None, Targets]:
    """Return the rule that the group lacks for the traffic, and the sources.

    It is the table's. For a port that no rule of the table covers, such as another port of the
    clients, it is one for just this port.
    """
    known = {Source.SELF: str(group["GroupId"]), Source.NODES: _node_group(ctx)}
    targets = {key: target for key, target in known.items() if target}
    if source not in targets or allows(group, ports, targets[source]):
        return None, targets
    if all(allows(group, ports, cidr) for cidr in vpc_ranges(ctx, group["VpcId"])):
        return None, targets
    for rule in RULES:
        if rule.source is source and rule.ports.covers(ports):
            return rule, targets
    return IngressRule("this port", ports, source), targets


def _existing(ctx: Context) -> Item | None:
    """Return the VMs' security group in an adopted VPC."""
    vpcs = {str(item["VpcId"]) for item in ctx.inventory.all("instances") if item.get("VpcId")}
    return existing_group(ctx, min(vpcs)) if vpcs else None


def _node_group(ctx: Context) -> str:
    """Return the security group of the cluster's nodes, '' without a cluster."""
    cluster = cluster_of(ctx)
    return str((cluster or {}).get("resourcesVpcConfig", {}).get("clusterSecurityGroupId") or "")
