"""The steps of the network, the machines and the EKS cluster, in reading order."""

from __future__ import annotations

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.config.cross_checks import fixed_addresses
from aws_setup.infrastructure.address_reservations import ReservedAddresses, after_fixed_addresses
from aws_setup.infrastructure.ami_copy_steps import with_ami_copies
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.cluster_role import ClusterRole
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.existing_network import ExistingSubnet, ExistingVpc
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.internet_gateway import InternetGateway
from aws_setup.infrastructure.launch_templates import LaunchTemplate, auto_scaling_specs
from aws_setup.infrastructure.nat_gateway import ElasticIp, NatGateway
from aws_setup.infrastructure.network import Subnet, Vpc
from aws_setup.infrastructure.node_ingress import NodeIngress
from aws_setup.infrastructure.routing import routing_steps
from aws_setup.infrastructure.security_group import SecurityGroup
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.pause.deadline_steps import deadline_steps

SUBNETS = (
    ("public subnet 1", True, 0),
    ("public subnet 2", True, 1),
    ("private subnet 1", False, 0),
    ("private subnet 2", False, 1),
)
"""Subnet step, whether it is public, and the index of its zone."""


def infrastructure_steps(config: Config) -> list[Step]:
    """Return every step of create_aws_infrastructure.py that the configuration switches on."""
    groups = vm_groups(config)
    parts = [
        *network_steps(config),
        *eks_cluster_steps(config),
        *(VmGroupStep(group) for group in groups),
        *auto_scaling_steps(config),
    ]
    steps = with_ami_copies(parts, config)
    with_addresses = [group.step for group in groups if group.addresses]
    fixed = [ReservedAddresses.name] if config.create_vpc else with_addresses
    machines = [step.name for step in steps if isinstance(step, VmGroupStep | AutoScalingGroup)]
    deadline = deadline_steps(config, follows=machines) if machines else []
    return [*after_fixed_addresses(steps, fixed=fixed), *deadline]


def network_steps(config: Config) -> list[Step]:
    """Return the steps of the network: of a new one, or of an existing VPC."""
    if not config.create_vpc:
        existing = [ExistingSubnet(name, public, index) for name, public, index in SUBNETS]
        return [ExistingVpc(), *existing, SecurityGroup()]
    return [
        Vpc(),
        *(Subnet(name, public=public, index=index) for name, public, index in SUBNETS),
        *([ReservedAddresses()] if fixed_addresses(config) else []),
        InternetGateway(),
        ElasticIp(),
        NatGateway(),
        *routing_steps(),
        SecurityGroup(),
    ]


def eks_cluster_steps(config: Config) -> list[Step]:
    """Return the steps of the EKS cluster, its role, and the traffic from its nodes."""
    if not config.create_eks_cluster:
        return []
    return [ClusterRole(adopted=not config.create_eks_iam_role), EksCluster(), NodeIngress()]


def auto_scaling_steps(config: Config) -> list[Step]:
    """Return the steps of the launch templates and their groups."""
    steps: list[Step] = []
    if config.create_launch_templates:
        steps += [LaunchTemplate(kind) for kind in auto_scaling_specs(config)]
    if config.create_autoscaling_groups:
        steps += [AutoScalingGroup(kind) for kind in auto_scaling_specs(config)]
    return steps
