"""The table of the infrastructure: every step, in the order in which a person would read it."""

from __future__ import annotations

from dataclasses import replace

from aws_setup.cluster.nodes import kinds
from aws_setup.cluster.tables import ending
from aws_setup.config import Config
from aws_setup.resources.adopted import AdoptedSubnet, AdoptedVpc
from aws_setup.resources.autoscaling import AutoScalingGroup, LaunchTemplate, scaled
from aws_setup.resources.eks import EksCluster
from aws_setup.resources.fleets import fleets
from aws_setup.resources.gateways import ElasticIp, InternetGateway, NatGateway
from aws_setup.resources.instances import Machines
from aws_setup.resources.roles import ClusterRole
from aws_setup.resources.routing import routing_steps
from aws_setup.resources.security import SecurityGroup
from aws_setup.resources.subnets import Subnet
from aws_setup.resources.sweep import ClusterSweep, VpcSweep
from aws_setup.resources.vpc import Vpc
from aws_setup.steps import Step

SUBNETS = (
    ("public subnet 1", True, 0),
    ("public subnet 2", True, 1),
    ("private subnet 1", False, 0),
    ("private subnet 2", False, 1),
)
"""Subnet step, whether it is public, and which of the two zones it stands in."""


def network(config: Config) -> list[Step]:
    """Return the steps of the network: its own, or those that adopt an existing VPC."""
    if not config.create_vpc:
        adopted = [AdoptedSubnet(name, public, index) for name, public, index in SUBNETS]
        return [AdoptedVpc(), *adopted, SecurityGroup()]
    return [
        Vpc(),
        *(Subnet(name, public=public, index=index) for name, public, index in SUBNETS),
        InternetGateway(),
        ElasticIp(),
        NatGateway(),
        *routing_steps(),
        SecurityGroup(),
    ]


def cluster(config: Config) -> list[Step]:
    """Return the steps of the EKS cluster and its role."""
    if not config.create_eks_cluster:
        return []
    return [ClusterRole(adopted=not config.create_eks_iam_role), EksCluster()]


def auto_scaling(config: Config) -> list[Step]:
    """Return the steps of the launch templates and their groups."""
    steps: list[Step] = []
    if config.create_launch_templates:
        steps += [LaunchTemplate(kind) for kind in scaled(config)]
    if config.create_autoscaling_groups:
        steps += [AutoScalingGroup(kind) for kind in scaled(config)]
    return steps


def infrastructure(config: Config) -> list[Step]:
    """Return every step of create_aws_infrastructure.py that the configuration switches on."""
    machines = [Machines(fleet) for fleet in fleets(config)]
    return [*network(config), *cluster(config), *machines, *auto_scaling(config)]


def everything(config: Config) -> list[Step]:
    """Return every step that destroy must look for, whatever is switched on today.

    Deleting goes against the needs: the cluster before what Kubernetes left in the VPC, that
    before the subnets and groups that it used.
    """
    adoptions = {"create_vpc", "create_eks_iam_role"}
    switches = [name for name in type(config).model_fields if name.startswith("create_")]
    on = {name: True for name in switches if name not in adoptions}
    steps = infrastructure(config.model_copy(update=on))
    steps += ending(config)
    others = ClusterSweep(known=tuple(kind.group for kind in kinds(config)))
    if not config.create_vpc:
        return [*steps, others]
    sweep = VpcSweep()
    swept = [
        replace(step, needs=(*step.needs, sweep.name)) if isinstance(step, EksCluster) else step
        for step in steps
    ]
    return [*swept, sweep, others]
