"""The table of the infrastructure: every step, in the order in which a person would read it."""

from __future__ import annotations

from aws_setup.config import Config
from aws_setup.resources.autoscaling import AutoScalingGroup, LaunchTemplate, scaled
from aws_setup.resources.eks import EksCluster
from aws_setup.resources.fleets import fleets
from aws_setup.resources.gateways import ElasticIp, InternetGateway, NatGateway
from aws_setup.resources.instances import Machines
from aws_setup.resources.roles import ClusterRole
from aws_setup.resources.routing import routing_steps
from aws_setup.resources.security import SecurityGroup
from aws_setup.resources.subnets import Subnet
from aws_setup.resources.vpc import Vpc
from aws_setup.steps import Step


def network(config: Config) -> list[Step]:
    """Return the steps of the network."""
    return [
        Vpc(),
        Subnet("public subnet 1", public=True, index=0),
        Subnet("public subnet 2", public=True, index=1),
        Subnet("private subnet 1", public=False, index=0),
        Subnet("private subnet 2", public=False, index=1),
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
    """Return every step that destroy must look for, whatever is switched on today."""
    switches = [name for name in type(config).model_fields if name.startswith("create_")]
    adopted = {"create_vpc", "create_eks_iam_role"}
    on = {name: True for name in switches if name not in adopted}
    return infrastructure(config.model_copy(update=on))
