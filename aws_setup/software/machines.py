"""Whether the machines that a step of the software works on exist and run."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import Aws, error_code
from aws_setup.config import Config
from aws_setup.engine.step import Drift
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.ssh import Machine, MachinePool

SERVICES_DOWN = Drift("services", "down with their machines", "running")
"""What is wrong after machines were stopped: starting them again is an update."""


def machines_exist(ctx: Context, steps: Sequence[str]) -> bool:
    """Tell whether the machines of all these steps exist; they may still be stopped."""
    return all(step in ctx.found for step in steps)


def any_stopped(members: Sequence[Machine]) -> bool:
    """Tell whether some of the machines have no public address, as stopped ones have none."""
    return any(not machine.address for machine in members)


ZOOKEEPER = "zookeeper"
"""The step of the ZooKeeper VMs."""


GROUP_TAG = "aws:autoscaling:groupName"
"""Tag that EC2 Auto Scaling puts on each machine that it starts."""


def needs_ssh(config: Config) -> bool:
    """Tell whether any switch asks for something on a machine; else none is contacted at all."""
    return any(
        getattr(config, switch, False)
        for switch in (
            "start_zookeeper_cluster",
            "populate_zookeeper_cluster",
            "start_ndb_cluster",
            "populate_mysql_ndb_tables",
            "format_filesystem",
            "sftp_ssh_key",
        )
    )


def machine_steps(config: Config) -> tuple[str, ...]:
    """Return the names of the steps that make machines, in the table's order."""
    return tuple(fleet.step for fleet in vm_groups(config))


def machines(ctx: Context, hosts: MachinePool, *groups: str) -> list[Machine]:
    """Return the machines of some groups, in the order of their names; [] before they exist."""
    hosts.use(clock=ctx.clock, console=lambda instance_id: console_output(ctx.aws, instance_id))
    found = [ctx.found[group] for group in groups if group in ctx.found]
    described = [instance for one in found for instance in one.facts.get("instances", ())]
    return [
        hosts.machine(
            instance["id"],
            instance["public_ip"] or "",
            name=instance["name"],
            private_ip=instance["private_ip"] or "",
        )
        for instance in described
    ]


def scaled_machines(ctx: Context, hosts: MachinePool) -> list[Machine]:
    """Return the running machines of our auto-scaling groups, which no step made; any order."""
    ours = {kind.component for kind in auto_scaling_specs(ctx.config)}
    return [
        hosts.machine(
            instance["InstanceId"],
            instance["PublicIpAddress"],
            name=f"{tag_of(instance, GROUP_TAG)} {instance['InstanceId']}",
            private_ip=instance["PrivateIpAddress"],
        )
        for instance in ctx.inventory.all("instances")
        if tag_of(instance, GROUP_TAG) and tag_of(instance, "Component") in ours
        if instance["State"]["Name"] == "running" and instance.get("PublicIpAddress")
    ]


def zookeeper_machines(ctx: Context, hosts: MachinePool) -> Sequence[Machine]:
    """Return the ZooKeeper machines: this deployment's own, else those of zk_node_public_IPs."""
    if ctx.config.create_zookeeper_vms:
        return machines(ctx, hosts, ZOOKEEPER)
    hosts.use(clock=ctx.clock, console=None)
    addresses = [str(address) for address in ctx.config.zk_node_public_IPs]
    return [hosts.machine(address, address) for address in addresses]


def console_output(aws: Aws, instance_id: str) -> str:
    """Return what an instance printed on its console; '' where EC2 has or gives none.

    EC2 keeps the output of Nitro instances up to date (`Latest`) and refuses that for others.
    Machines that are not ours go by their address, which EC2 does not know.
    """
    if not instance_id.startswith("i-"):
        return ""
    for latest in ({"Latest": True}, {}):
        try:
            answer = aws.ec2.get_console_output(InstanceId=instance_id, **latest)
        except ClientError as error:
            if error_code(error) not in {"UnsupportedOperation", "UnauthorizedOperation"}:
                raise
            continue
        return answer.get("Output", "")
    return ""
