"""What AWS lists for a deployment: every kind of resource, read in parallel with few list calls.

The number of calls is constant, however many instances exist: one filtered list call for each
kind of resource. The error of a kind that AWS refuses to list is raised at its first use.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.cluster_kinds import (
    LOAD_BALANCERS,
    MANAGED_GROUPS,
    cluster_role,
    eks_cluster,
    load_balancers,
    managed_groups,
    node_groups,
)
from aws_setup.aws.session import Aws, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.config import Config
from aws_setup.engine.reads import Reading, Reads

Item = Mapping[str, Any]
Reader = Callable[[Aws, Config], list[Item]]

ACTIVE_STATES = ["pending", "running", "stopping", "stopped", "shutting-down"]
"""States of an instance that still exists."""

ENDED_STATES = ["shutting-down", "terminated"]
"""States of an instance that never runs again; AWS lists it for about an hour."""


@dataclass(frozen=True)
class ResourceKind:
    """A kind of AWS resource: how it is listed, identified, deleted by hand and priced.

    `read` lists the resources of a deployment; None when the inventory does not read the kind.
    `id_field` is the field of the id in a list that is filtered by the deployment's tag; '' for
    kinds that are listed otherwise. `id_prefix` is what an id begins with, up to the hyphen.
    `delete` is the aws command to which the id is appended. `price` is the key of the hourly
    price; instances are priced by their type. What is only read `at_first_use` few runs need.
    `written_by` are the services whose writes change it; empty for all services.
    """

    name: str
    read: Reader | None = None
    id_field: str = ""
    id_prefix: str = ""
    delete: str = ""
    price: str = ""
    at_first_use: bool = False
    written_by: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What one resource of the kind is called."""
        return self.name.removesuffix("es" if self.name.endswith("sses") else "s")


def _owned(config: Config) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [config.deployment_name]}]


def _ec2(operation: str, key: str, argument: str = "Filters") -> Reader:
    """Return the reader of one paginated EC2 list call, filtered by the deployment's tag."""

    def read(aws: Aws, config: Config) -> list[Item]:
        return pages(aws.ec2, operation, key, **{argument: _owned(config)})

    return read


def _addresses(aws: Aws, config: Config) -> list[Item]:
    return list(aws.ec2.describe_addresses(Filters=_owned(config))["Addresses"])  # type: ignore[arg-type]


def _instances(states: Sequence[str]) -> Reader:
    """Return the reader of the instances in some states."""

    def read(aws: Aws, config: Config) -> list[Item]:
        filters = [*_owned(config), {"Name": "instance-state-name", "Values": [*states]}]
        found = pages(aws.ec2, "describe_instances", "Reservations", Filters=filters)
        return [instance for reservation in found for instance in reservation["Instances"]]

    return read


def _groups(aws: Aws, config: Config) -> list[Item]:
    return pages(
        aws.autoscaling,
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        Filters=_owned(config),
    )


def schedule_group_name(config: Config) -> str:
    """Return the name of the schedule group that holds the deployment's deadline."""
    return f"{config.deployment_name}-deadline"


def _schedule_group(aws: Aws, config: Config) -> list[Item]:
    """Read the tags of the schedule group and the summaries of its schedules."""
    name = schedule_group_name(config)
    arn = f"arn:{aws.partition}:scheduler:{aws.region}:{aws.identity.account}:schedule-group/{name}"
    try:
        tags = aws.scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"]
        schedules = pages(aws.scheduler, "list_schedules", "Schedules", GroupName=name)
    except aws.scheduler.exceptions.ResourceNotFoundException:
        return []
    return [{"Name": name, "Arn": arn, "Tags": tags, "Schedules": schedules}]


def _images(aws: Aws, config: Config, machines: Callable[[], list[Item]]) -> list[Item]:
    """Read the AMIs of the configuration and of the VMs; deprecated ones can still be launched.

    A filter and not ImageIds: one missing AMI must not hide the others.
    """
    amis = {value for key, value in config.model_dump().items() if key.endswith("_ami")}
    with suppress(ClientError, BotoCoreError):  # Who needs the VMs themselves gets that error.
        amis |= {item["ImageId"] for item in machines() if tag_of(item, STEP_TAG)}
    filters: Any = [{"Name": "image-id", "Values": sorted(amis)}]
    return list(aws.ec2.describe_images(Filters=filters, IncludeDeprecated=True)["Images"])


KINDS = (
    ResourceKind(
        "vpcs",
        _ec2("describe_vpcs", "Vpcs"),
        id_field="VpcId",
        id_prefix="vpc",
        delete="aws ec2 delete-vpc --vpc-id",
    ),
    ResourceKind(
        "subnets",
        _ec2("describe_subnets", "Subnets"),
        id_field="SubnetId",
        id_prefix="subnet",
        delete="aws ec2 delete-subnet --subnet-id",
    ),
    ResourceKind(
        "internet gateways",
        _ec2("describe_internet_gateways", "InternetGateways"),
        id_field="InternetGatewayId",
        id_prefix="igw",
        delete="aws ec2 delete-internet-gateway --internet-gateway-id",
    ),
    ResourceKind(
        "route tables",
        _ec2("describe_route_tables", "RouteTables"),
        id_field="RouteTableId",
        id_prefix="rtb",
        delete="aws ec2 delete-route-table --route-table-id",
    ),
    ResourceKind(
        "addresses",
        _addresses,
        id_field="AllocationId",
        id_prefix="eipalloc",
        delete="aws ec2 release-address --allocation-id",
        price="ipv4",
    ),
    ResourceKind(
        "nat gateways",
        _ec2("describe_nat_gateways", "NatGateways", "Filter"),
        id_field="NatGatewayId",
        id_prefix="nat",
        delete="aws ec2 delete-nat-gateway --nat-gateway-id",
        price="nat",
    ),
    ResourceKind(
        "security groups",
        _ec2("describe_security_groups", "SecurityGroups"),
        id_field="GroupId",
        id_prefix="sg",
        delete="aws ec2 delete-security-group --group-id",
    ),
    ResourceKind(
        "instances",
        _instances(ACTIVE_STATES),
        id_field="InstanceId",
        id_prefix="i",
        delete="aws ec2 terminate-instances --instance-ids",
    ),
    ResourceKind("terminated instances", _instances(ENDED_STATES), at_first_use=True),
    ResourceKind("images", at_first_use=True),
    ResourceKind(
        "launch templates",
        _ec2("describe_launch_templates", "LaunchTemplates"),
        id_field="LaunchTemplateId",
        id_prefix="lt",
        delete="aws ec2 delete-launch-template --launch-template-id",
    ),
    ResourceKind(
        "auto-scaling groups",
        _groups,
        id_field="AutoScalingGroupName",
        delete="aws autoscaling delete-auto-scaling-group --force-delete --auto-scaling-group-name",
    ),
    ResourceKind("eks cluster", eks_cluster, delete="aws eks delete-cluster --name", price="eks"),
    ResourceKind("node groups", node_groups, at_first_use=True, written_by=("eks",)),
    ResourceKind("eks cluster role", cluster_role, delete="aws iam delete-role --role-name"),
    ResourceKind(
        "deadline",
        _schedule_group,
        delete="aws scheduler delete-schedule-group --name",
        written_by=("scheduler",),
    ),
    ResourceKind("deadline role", delete="aws iam delete-role --role-name"),
    ResourceKind(
        "volumes",
        _ec2("describe_volumes", "Volumes"),
        id_prefix="vol",
        delete="aws ec2 delete-volume --volume-id",
        at_first_use=True,
    ),
    ResourceKind(MANAGED_GROUPS, managed_groups, at_first_use=True),
    ResourceKind(LOAD_BALANCERS, load_balancers, at_first_use=True),
    ResourceKind("snapshots", id_prefix="snap", delete="aws ec2 delete-snapshot --snapshot-id"),
)
"""The kinds that a deployment has; images are those of configuration and VMs. EKS clusters, roles
and the deadline have the name of their step, because they are found by name and not by tag."""

_READERS: Mapping[str, Reader] = MappingProxyType(
    {kind.name: kind.read for kind in KINDS if kind.read}
)
_WRITTEN_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {kind.name: kind.written_by for kind in KINDS}
)


_EC2_ID = re.compile(r"([a-z]+)-[0-9a-f]+")
"""An id that EC2 draws: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html"""


def delete_command(resource_id: str, *, kind: str = "") -> str:
    """Return the aws command that deletes a resource, chosen by its kind, else by its id.

    Without a command that deletes such a resource the answer is to run destroy again.
    """
    # An add-on has a name of the user's or of AWS's choice, such as vpc-cni.
    drawn = _EC2_ID.fullmatch(resource_id)
    named = [each for each in KINDS if each.name == kind]
    prefixed = [each for each in KINDS if drawn and each.id_prefix == drawn[1]]
    for each in (*named, *prefixed):
        if each.delete:
            return f"{each.delete} {resource_id}"
    return "run destroy again"


class Inventory:
    """What exists in AWS; each kind is read once, when the run begins or at its first use."""

    def __init__(self, aws: Aws, config: Config) -> None:
        self._aws, self._config = aws, config
        images: Reader = partial(_images, machines=partial(self.all, "instances"))
        self._readers = {**_READERS, "images": images}
        self._lock = threading.Lock()
        self._reads = Reads("inventory")
        self._kinds: dict[str, Reading[list[Item]]] = {}
        self._writes: dict[str, int] = {}

    def load(self) -> None:
        """Start to read every kind that all runs need; results and errors are kept until used."""
        for kind in KINDS:
            if kind.read and not kind.at_first_use:
                self._reading(kind.name)

    def all(self, kind: str, *, fresh: bool = False) -> list[Item]:
        """Return every resource of a kind that has this deployment's tag.

        Args:
            kind: the name of one of KINDS that the inventory reads.
            fresh: ask AWS again instead of answering from the first list call.

        Raises:
            botocore.exceptions.ClientError: AWS refused the list call.
        """
        if fresh:
            with self._lock:
                self._kinds.pop(kind, None)
        return self._reading(kind).result()

    def refresh(self, kind: str) -> None:
        """Ask AWS again at the next use of a kind, if this run may have changed it since.

        What a list call answered counts as long as no write has been sent or answered since the
        call began: a run that has just read what it needs does not read it again.
        """
        with self._lock:
            if self._writes.get(kind) != self._aws.writes(_WRITTEN_BY[kind]):
                self._kinds.pop(kind, None)

    def of_step(self, kind: str, step: str, *, fresh: bool = False) -> list[Item]:
        """Return the resources of a kind that have a step's tag."""
        return [item for item in self.all(kind, fresh=fresh) if tag_of(item, STEP_TAG) == step]

    def forget(self) -> None:
        """Drop what was read, so that it is read again at its next use."""
        with self._lock:
            self._kinds.clear()

    def close(self) -> None:
        """Wait for what is being read; at a Ctrl-C do not."""
        self._reads.close()

    def _reading(self, kind: str) -> Reading[list[Item]]:
        with self._lock:
            if kind not in self._kinds:
                self._writes[kind] = self._aws.writes(_WRITTEN_BY[kind])
                read = partial(self._readers[kind], self._aws, self._config)
                self._kinds[kind] = self._reads.start(read)
            return self._kinds[kind]


def tag_of(item: Item, key: str) -> str:
    """Return a tag of a resource as AWS answered it, '' when it has none of that key."""
    tags = item.get("Tags") or item.get("tags") or []
    if isinstance(tags, Mapping):
        return str(tags.get(key, ""))
    return next((str(tag["Value"]) for tag in tags if tag["Key"] == key), "")
