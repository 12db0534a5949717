"""What destroy inspects, in reading order; deletion follows the needs backwards."""

from __future__ import annotations

from dataclasses import replace

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import every_node_group
from aws_setup.infrastructure.ami_copies import AmiCopyCleanup
from aws_setup.infrastructure.cleanup import NodeGroupCleanup, VpcCleanup
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.internet_gateway import after_public_addresses
from aws_setup.openwhisk.certificate_steps import ServerCertificate
from aws_setup.pause.deadline import Deadline
from aws_setup.software.sql.account import PasswordFile
from aws_setup.software.ssh_access import KnownHostsFile
from aws_setup.tables.cluster import steps_deleted_with_cluster
from aws_setup.tables.infrastructure import infrastructure_steps


def removal_steps(config: Config) -> list[Step]:
    """Return the steps of destroy: what is in AWS, and the files that only a deployment needs."""
    return [*infrastructure_teardown_steps(config), KnownHostsFile(), PasswordFile()]


def infrastructure_teardown_steps(config: Config) -> list[Step]:
    """Return every step that destroy must inspect, whatever is switched on today.

    Deletion follows the needs backwards: first the cluster, then what Kubernetes left in the VPC,
    then the subnets and groups that it used.
    """
    choices = {"create_vpc", "create_eks_iam_role"}
    switches = [name for name in type(config).model_fields if name.startswith("create_")]
    on = {name: True for name in switches if name not in choices} | {"copy_amis": False}
    steps = [AmiCopyCleanup(), *infrastructure_steps(config.model_copy(update=on))]
    steps += steps_deleted_with_cluster(config)
    others = NodeGroupCleanup(known=tuple(kind.group for kind in every_node_group(config)))
    names = {step.name for step in steps}
    before = (*VpcCleanup.needs, ServerCertificate.name)
    cleanup = VpcCleanup(needs=tuple(need for need in before if need in names))
    steps = [
        replace(step, needs=(*step.needs, cleanup.name)) if isinstance(step, EksCluster) else step
        for step in steps
    ]
    return [*after_public_addresses([*map(_deleted_beside, steps)]), cleanup, others]


def _deleted_beside(step: Step) -> Step:
    """Return a step for deletion: --only deletes no deadline with its machines."""
    return replace(step, follows=()) if isinstance(step, Deadline) else step
