"""One look at the cloud: everything of this deployment, read in parallel with few list calls.

The number of calls is constant, however many machines there are: one filtered list call for each
kind of resource. A kind that AWS refuses to list raises at its first use, not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from aws_setup.aws.session import Aws, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.config import Config

Item = Mapping[str, Any]
Reader = Callable[[Aws, Config], list[Item]]

ACTIVE_STATES = ["pending", "running", "stopping", "stopped", "shutting-down"]


def _owned(config: Config) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [config.deployment_name]}]


def _ec2(operation: str, key: str, argument: str = "Filters") -> Reader:
    """Return the reader of one paginated EC2 list call, filtered by the ownership tag."""

    def read(aws: Aws, config: Config) -> list[Item]:
        return pages(aws.ec2, operation, key, **{argument: _owned(config)})

    return read


def _addresses(aws: Aws, config: Config) -> list[Item]:
    return list(aws.ec2.describe_addresses(Filters=_owned(config))["Addresses"])  # type: ignore[arg-type]


def _instances(aws: Aws, config: Config) -> list[Item]:
    filters = [*_owned(config), {"Name": "instance-state-name", "Values": ACTIVE_STATES}]
    found = pages(aws.ec2, "describe_instances", "Reservations", Filters=filters)
    return [instance for reservation in found for instance in reservation["Instances"]]


def _groups(aws: Aws, config: Config) -> list[Item]:
    return pages(
        aws.autoscaling,
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        Filters=_owned(config),
    )


def _cluster(aws: Aws, config: Config) -> list[Item]:
    try:
        return [aws.eks.describe_cluster(name=config.eks_cluster_name)["cluster"]]
    except aws.eks.exceptions.ResourceNotFoundException:
        return []


def _cluster_role(aws: Aws, config: Config) -> list[Item]:
    try:
        return [aws.iam.get_role(RoleName=config.eks_iam_role_name)["Role"]]
    except aws.iam.exceptions.NoSuchEntityException:
        return []


def _images(aws: Aws, config: Config) -> list[Item]:
    """Read the AMIs of the configuration; λFS's own are deprecated and still launch.

    A filter and not ImageIds: one missing AMI must not hide the others.
    """
    amis = {value for key, value in config.model_dump().items() if key.endswith("_ami")}
    filters: Any = [{"Name": "image-id", "Values": sorted(amis)}]
    return list(aws.ec2.describe_images(Filters=filters, IncludeDeprecated=True)["Images"])


READERS: Mapping[str, Reader] = {
    "vpcs": _ec2("describe_vpcs", "Vpcs"),
    "subnets": _ec2("describe_subnets", "Subnets"),
    "internet gateways": _ec2("describe_internet_gateways", "InternetGateways"),
    "route tables": _ec2("describe_route_tables", "RouteTables"),
    "addresses": _addresses,
    "nat gateways": _ec2("describe_nat_gateways", "NatGateways", "Filter"),
    "security groups": _ec2("describe_security_groups", "SecurityGroups"),
    "instances": _instances,
    "images": _images,
    "launch templates": _ec2("describe_launch_templates", "LaunchTemplates"),
    "auto-scaling groups": _groups,
    "eks cluster": _cluster,
    "eks cluster role": _cluster_role,
}
"""Kind of resource -> how its list is read; images are those of the configuration."""


class Inventory:
    """What AWS says exists; each kind is read once, when the run begins or when first asked for."""

    def __init__(self, aws: Aws, config: Config, readers: Mapping[str, Reader] = READERS) -> None:
        self._aws, self._config, self._readers = aws, config, readers
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=max(1, len(readers)), thread_name_prefix="look")
        self._kinds: dict[str, Future[list[Item]]] = {}

    def load(self) -> None:
        """Begin to read every kind at once; answers and errors wait for whoever asks."""
        for kind in self._readers:
            self._future(kind)

    def all(self, kind: str, *, fresh: bool = False) -> list[Item]:
        """Return every resource of a kind that carries this deployment's tag.

        Args:
            kind: a key of READERS.
            fresh: ask AWS again instead of answering from the first look.

        Raises:
            botocore.exceptions.ClientError: AWS refused the list call.
        """
        if fresh:
            with self._lock:
                self._kinds.pop(kind, None)
        return self._future(kind).result()

    def of_step(self, kind: str, step: str, *, fresh: bool = False) -> list[Item]:
        """Return the resources of a kind that carry a step's tag."""
        return [item for item in self.all(kind, fresh=fresh) if tag_of(item, STEP_TAG) == step]

    def close(self) -> None:
        """End the reading threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _future(self, kind: str) -> Future[list[Item]]:
        with self._lock:
            if kind not in self._kinds:
                self._kinds[kind] = self._pool.submit(self._readers[kind], self._aws, self._config)
            return self._kinds[kind]


def tag_of(item: Item, key: str) -> str:
    """Return a tag of a resource as AWS answered it, '' when it has none of that key."""
    tags = item.get("Tags") or item.get("tags") or []
    if isinstance(tags, Mapping):
        return str(tags.get(key, ""))
    return next((str(tag["Value"]) for tag in tags if tag["Key"] == key), "")
