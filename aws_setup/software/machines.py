"""The machines that a software step works on: which exist, which run, and how to reach them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.session import Aws, error_code
from aws_setup.aws.tags import GROUP_TAG
from aws_setup.config import Config
from aws_setup.engine.step import Drift
from aws_setup.errors import SetupError
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

ZOOKEEPER = "zookeeper"
"""The step of the ZooKeeper VMs."""

NEW = timedelta(minutes=15)
"""Age up to which a machine is new: its console output may come later than its sshd."""

SERVICES_STOPPED = Drift("services", "stopped with their machines", "running")
"""The drift after machines were stopped: an update starts the services again."""


def machine_steps(config: Config) -> tuple[str, ...]:
    """Return the names of the steps that create machines, in the order of the table."""
    return tuple(group.step for group in vm_groups(config))


def machines_exist(ctx: Context, steps: Sequence[str]) -> bool:
    """Tell whether the machines of all these steps exist; they may be stopped."""
    return all(step in ctx.found for step in steps)


def any_stopped(machines: Sequence[Machine]) -> bool:
    """Tell whether any of the machines is stopped: it then has no public address."""
    return any(not machine.address for machine in machines)


def not_checked(name: str) -> str:
    """Return the state of what cannot be looked at while a machine is stopped."""
    return f"not checked: {name} is stopped"


def machines_of(ctx: Context, pool: MachinePool, *steps: str) -> list[Machine]:
    """Return the machines of some steps, in the order of their names; [] before they exist."""
    use_run(ctx, pool)
    found = [ctx.found[step] for step in steps if step in ctx.found]
    for group in found:
        if group.since and ctx.clock.today() - group.since < NEW:
            pool.mark_new(item["id"] for item in group.facts.get("instances", ()))
    described = [instance for group in found for instance in group.facts.get("instances", ())]
    return [
        pool.machine(
            instance["id"],
            instance["public_ip"] or "",
            name=instance["name"],
            private_ip=instance["private_ip"] or "",
        )
        for instance in described
    ]


def use_run(ctx: Context, pool: MachinePool) -> None:
    """Let the connections use the clock, the console outputs and the keys of the run."""
    pool.use(
        clock=ctx.clock,
        console=lambda instance_id: console_output(ctx.aws, instance_id),
        keys=keys_of(ctx),
    )


def keys_of(ctx: Context) -> KeyRing | None:
    """Return the key ring of the run, which all its connections share; None without one."""
    keys: KeyRing | None = ctx.aws.shared.get(KeyRing)
    return keys


def unlock_keys(ctx: Context, pool: MachinePool) -> None:
    """Let the connections use the run's keys; ask for the passphrase if machines can be reached.

    A key that cannot be used is an error of what connects: it is named there.
    """
    use_run(ctx, pool)
    if pool.key_ring.locked and reachable(ctx):
        with suppress(SetupError):
            pool.key_ring.unlock()


def reachable(ctx: Context) -> bool:
    """Whether any machine of the deployment, or that the configuration names, has an address."""
    existing = ctx.config.zk_node_public_IPs and not ctx.config.create_zookeeper_vms
    return bool(existing) or any(
        instance["State"]["Name"] == "running" and instance.get("PublicIpAddress")
        for instance in ctx.inventory.all("instances")
    )


def auto_scaled_machines(ctx: Context, pool: MachinePool) -> list[Machine]:
    """Return the running machines of this deployment's auto-scaling groups, in any order."""
    components = {spec.component for spec in auto_scaling_specs(ctx.config)}
    running = [
        instance
        for instance in ctx.inventory.all("instances")
        if tag_of(instance, GROUP_TAG) and tag_of(instance, "Component") in components
        if instance["State"]["Name"] == "running" and instance.get("PublicIpAddress")
    ]
    pool.mark_new(
        instance["InstanceId"]
        for instance in running
        if ctx.clock.today() - instance["LaunchTime"] < NEW
    )
    return [
        pool.machine(
            instance["InstanceId"],
            instance["PublicIpAddress"],
            name=f"{tag_of(instance, GROUP_TAG)} {instance['InstanceId']}",
            private_ip=instance["PrivateIpAddress"],
        )
        for instance in running
    ]


def await_launched(ctx: Context, pool: MachinePool) -> None:
    """Wait until the machines answer that auto-scaling groups have launched in this run, if any.

    A group may end a machine at any time: who uses them notes one that does not answer.
    """
    launched = [it for it in auto_scaled_machines(ctx, pool) if it.id in ctx.scaled]
    if launched:
        with suppress(SetupError):
            pool.wait_for_ssh(launched, note=ctx.note)


def auto_scaled_components(ctx: Context, pool: MachinePool) -> list[tuple[Machine, str]]:
    """Return the running machines of the auto-scaling groups, each with its Component tag."""
    components = {
        item["InstanceId"]: tag_of(item, "Component") for item in ctx.inventory.all("instances")
    }
    return [(machine, components[machine.id]) for machine in auto_scaled_machines(ctx, pool)]


def zookeeper_machines(ctx: Context, pool: MachinePool) -> list[Machine]:
    """Return the ZooKeeper machines: of this deployment, else those in zk_node_public_IPs."""
    if ctx.config.create_zookeeper_vms:
        return machines_of(ctx, pool, ZOOKEEPER)
    pool.use(clock=ctx.clock, console=None, keys=keys_of(ctx))
    addresses = [str(address) for address in ctx.config.zk_node_public_IPs]
    return [pool.machine(address, address) for address in addresses]


def console_output(aws: Aws, instance_id: str) -> str | None:
    """Return an instance's console output, '' while EC2 has none; None where it denies access.

    EC2 keeps the output of Nitro instances up to date (`Latest`) and refuses that for others.
    Existing machines have an address as their id, which EC2 does not know.
    """
    if not instance_id.startswith("i-"):
        return None
    for latest in ({"Latest": True}, {}):
        try:
            answer = aws.ec2.get_console_output(InstanceId=instance_id, **latest)
        except ClientError as error:
            if error_code(error) not in {"UnsupportedOperation", "UnauthorizedOperation"}:
                raise
            continue
        return answer.get("Output", "")
    return None
