"""The settings of an emulated cloud: AMIs, quotas, permissions, delays."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aws_setup.config.amis import AMIS

ACCOUNT = "123456789012"
"""The account of the emulated cloud: the number of AWS's examples."""


def partition_of(region: str) -> str:
    """Return the partition of a region, with which the ARNs of its resources begin.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    return next((name for prefix, name in PARTITIONS if region.startswith(prefix)), "aws")


PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
"""What the names of a partition's regions begin with, and the partition."""


class StrictModel(BaseModel):
    """A model that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid")


class DeniedPermission(StrictModel):
    """A denied permission."""

    action: str
    """IAM's name of the action, `*` and `?` allowed: "ec2:RunInstances", "iam:*"."""
    principal: str = "*"
    """ARN or access key of the denied principal, `*` and `?` allowed."""
    reason: str = "because no identity-based policy allows the action"
    """The end of AWS's message, as in "with an explicit deny in a service control policy"."""


class Image(StrictModel):
    """An AMI that exists."""

    id: str
    name: str
    region: str = "us-east-1"
    deprecated: str = "2025-11-01T00:00:00.000Z"
    """DeprecationTime; an AMI with one in the past is only listed by id."""
    second_disk_gb: int = 0
    """Size of /dev/sdb, which is kept on termination; 0: no second disk."""
    shared_snapshots: bool = True
    """Whether other accounts may read its snapshots; without, it can be launched and not copied."""


class Quotas(StrictModel):
    """Service quotas (AWS's documented defaults, the vCPU one raised as λFS needs it)."""

    vcpus: int = 640
    spot_vcpus: int = 640
    elastic_ips: int = 5
    vpcs: int = 5
    internet_gateways: int = 5
    nat_gateways_per_zone: int = 5
    rules_per_security_group: int = 60
    eks_clusters: int = 100
    auto_scaling_groups: int = 500
    classic_load_balancers: int = 20
    nodes_per_node_group: int = 450


def _default_images() -> list[Image]:
    """Return the published λFS AMIs, and an older one of the λFS client."""
    return [
        Image(
            id=ami.id,
            name=ami.name,
            region=region,
            second_disk_gb=100 if key == "zookeeper_ami" else 0,
        )
        for region, row in AMIS.items()
        for key, ami in row.items()
    ] + [Image(id="ami-01d2cba66e4fe4e1e", name="lambdafs-client-old")]


class Settings(StrictModel):
    """The settings of the cloud that a test or a user may set."""

    speed: float = Field(default=1.0, ge=0, le=100_000)
    """How many times faster than real time the cloud's clock runs; 0: no delays."""
    seed: int = 1
    """Seed of the faults' random numbers."""
    principal: str = f"arn:aws:iam::{ACCOUNT}:user/rehearsal"
    """ARN of the caller."""
    accounts: dict[str, str] = {}
    """Access key -> its account; other keys are of the first account. In another account no policy
    and no denied permission counts."""
    operator_address: str = "52.94.76.7"
    """Public IPv4 address of the operator's computer, as the cloud sees it."""
    mfa: bool = False
    """Whether the caller's session was opened with a second factor."""
    credentials: Literal["valid", "expired", "unknown"] = "valid"
    """Whether the caller's credentials are accepted."""
    deny: list[DeniedPermission] = []
    """Denied permissions; everything else is allowed, unless there are policies."""
    policies: list[dict[str, Any]] = []
    """The caller's identity-based policies; where there are any, what none allows is denied."""
    service_control_policies: list[dict[str, Any]] = []
    """The organisation's policies for the account: without any, they limit nothing."""
    images: list[Image] = Field(default_factory=_default_images)
    """The AMIs that exist."""
    quotas: Quotas = Field(default_factory=Quotas)
    latencies: dict[str, float] = {}
    """Delays in seconds, which override entries of LATENCIES."""

    @property
    def partition(self) -> str:
        """The partition of the caller's ARN: aws, aws-cn, aws-us-gov; all of the cloud is in it."""
        return self.principal.split(":")[1]

    def principal_in(self, account: str) -> str:
        """Return the ARN of the caller in an account."""
        return self.principal.replace(ACCOUNT, account)

    @field_validator("latencies")
    @classmethod
    def _known(cls, value: dict[str, float]) -> dict[str, float]:
        unknown = sorted(value.keys() - LATENCIES.keys())
        if unknown:
            raise ValueError(f"unknown delay {unknown[0]!r}")
        return value

    not_offered: dict[str, list[str]] = {}
    """Zone name -> the instance types that it does not offer."""
    load_balancer_host: str = ""
    """DNS name of public load balancers, such as localhost; empty: names that do not resolve."""
    internal_load_balancer_host: str = ""
    """Name or address of internal load balancers; empty: names that do not resolve."""
    chaos: int | None = None
    """Seed of the random faults (random_faults.py); None: no random faults."""
    lag: bool = False
    """Whether new IAM roles are hidden from other services for a while."""


LATENCIES: dict[str, float] = {
    "vpc": 1,
    "subnet": 1,
    "nat available": 114,
    "nat deleted": 60,
    "address free after nat": 5,
    "instance running": 12,
    "instance terminated": 45,
    "instance stopped": 30,
    "image available": 300,
    "snapshot completed": 120,
    "volume modified": 20,
    "volume optimized": 600,
    "volume modifiable again": 21_600,
    "cluster active": 560,
    "cluster deleted": 150,
    "cluster update": 60,
    "node group active": 110,
    "node group gives up": 1980,
    "node group deleted": 380,
    "node group update": 60,
    "addon active": 45,
    "addon deleted": 10,
    "access entry": 2,
    "oidc provider": 1,
    "iam visible": 7,
    "auto scaling instances": 15,
    "schedule group deleted": 10,
    "load balancer dns": 180,
    "load balancer interfaces deleted": 60,
}
"""Delay of each transition in seconds, by name; settings may override entries."""
