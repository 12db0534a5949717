"""The table of `pause`: what is stopped, and in which order; and what `resume` starts again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import every_node_group
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.vm_groups import CLIENTS, VmGroup, vm_groups
from aws_setup.pause.deadline import Deadline
from aws_setup.pause.groups import EmptiedGroup, RestoredGroup
from aws_setup.pause.nat import DeletedNat, ReleasedAddress
from aws_setup.pause.node_groups import EmptiedNodeGroup, RestoredNodeGroup
from aws_setup.pause.openwhisk import ResumedOpenWhisk
from aws_setup.pause.services import StoppedNdb, StoppedSql, StoppedZooKeeper
from aws_setup.pause.vms import ResumedVms, StoppedVms
from aws_setup.software.machines import ZOOKEEPER
from aws_setup.ssh.pool import MachinePool

HOPS_NAMENODES = "hopsfs_namenodes_ags"


def pause_steps(config: Config, *, deep: bool = False) -> list[Step]:
    """Return the steps of `pause`: clients, file systems' servers, NDB, ZooKeeper, machines.

    Args:
        config: the configuration.
        deep: also delete the NAT gateway and its address.
    """
    every = {"create_ndb_cluster": True, "create_zookeeper_vms": True}
    every |= {"create_lambda_fs_client_vm": True, "create_hops_fs_client_vm": True}
    groups = vm_groups(config.model_copy(update=every))
    clients: list[Step] = [StoppedVms(group) for group in groups if group.step in CLIENTS]
    pool = MachinePool(config)
    steps = [*clients, *_emptied(config, _names(clients))]
    servers = _servers(config, pool, after=_names(steps))
    machines = [
        _machine_step(group, servers, after=_names(steps))
        for group in groups
        if group.step not in CLIENTS
    ]
    steps += [*servers, *machines]
    if config.create_vpc:
        nodes = tuple(spec.group for spec in every_node_group(config))
        steps += [DeletedNat(needs=nodes, deep=deep), ReleasedAddress(deep=deep)]
    return steps


def _names(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.name for step in steps)


def _emptied(config: Config, clients: tuple[str, ...]) -> list[Step]:
    """Return the steps of the scaling groups, clients first, and those of the node groups."""
    groups = [EmptiedGroup(kind) for kind in auto_scaling_specs(config)]
    first: list[Step] = [step for step in groups if step.kind.group != HOPS_NAMENODES]
    needs = (*clients, *_names(first))
    servers = [EmptiedGroup(s.kind, needs) for s in groups if s.kind.group == HOPS_NAMENODES]
    return [*first, *servers, *(EmptiedNodeGroup(s, needs) for s in every_node_group(config))]


def _servers(config: Config, pool: MachinePool, *, after: tuple[str, ...]) -> list[Step]:
    """Return the steps that stop the servers over SSH, as far as create starts them."""
    steps: list[Step] = []
    if config.create_ndb_cluster and config.start_ndb_cluster:
        steps += [StoppedSql(pool, needs=after), StoppedNdb(pool)]
    if config.create_zookeeper_vms and config.start_zookeeper_cluster:
        steps.append(StoppedZooKeeper(pool, needs=_names(steps)[-1:] or after))
    return steps


def _machine_step(group: VmGroup, servers: Sequence[Step], *, after: tuple[str, ...]) -> StoppedVms:
    """Return the step of a group's machines, which stop after their servers."""
    kind = StoppedZooKeeper if group.step == ZOOKEEPER else StoppedNdb
    needs = _names([step for step in servers if isinstance(step, kind)])
    return StoppedVms(group, needs=needs or after)


def resumed_infrastructure(config: Config, created: Sequence[Step]) -> list[Step]:
    """Return the steps of `create` with what `pause` stopped made to run again.

    Nodes start beside the VMs; a pod that needs a server waits for it by itself. The deadline comes
    first: it marks what the old one has stopped, and a resume that is interrupted must not leave
    machines without a deadline.
    """
    vms = {group.step: group for group in vm_groups(config)}
    scaling = {AutoScalingGroup(kind).name: kind for kind in auto_scaling_specs(config)}
    first = (Deadline.name,)
    steps: list[Step] = []
    for step in created:
        if step.name in vms:
            steps.append(ResumedVms(vms[step.name], follows=first))
        elif step.name in scaling:
            steps.append(RestoredGroup(scaling[step.name], follows=first))
        elif isinstance(step, Deadline):
            steps.append(replace(step, follows=(), renews=True))
        else:
            steps.append(step)
    # Whatever create_eks_cluster is now: pause and deadline stop the nodes that exist.
    needs = ("eks cluster", "private route", *first)
    nodes = [RestoredNodeGroup(spec, needs) for spec in every_node_group(config)]
    return [*steps, *nodes, ResumedOpenWhisk(_names(nodes))]
