"""The table of the infrastructure: every step, in the order in which a person would read it."""

from __future__ import annotations

from aws_setup.config import Config
from aws_setup.resources.gateways import ElasticIp, InternetGateway, NatGateway
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


def infrastructure(config: Config) -> list[Step]:
    """Return every step of create_aws_infrastructure.py."""
    return network(config)
