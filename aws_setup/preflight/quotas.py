"""Quotas: what is needed and what runs already, against what the account may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.session import Aws, error_code, pages
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

STANDARD_FAMILIES = ("a", "c", "d", "h", "i", "m", "r", "t", "z")
"""First letters of the families that L-1216C47A counts.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html"""

OTHER_FAMILIES = ("dl", "hpc", "inf", "trn", "mac")
"""Families with those letters that have quotas of their own."""


@dataclass(frozen=True)
class Quota:
    """A quota: its service and code in Service Quotas, and how its usage is counted."""

    what: str
    service: str
    code: str
    used: Callable[[PlannedResources], float]


def check(needs: PlannedResources) -> CheckResult:
    """Check every quota that what is still to be made counts against, all at once."""
    asked = list(_needed(needs))
    if not asked:
        return CheckResult()
    with ThreadPoolExecutor(max_workers=len(asked), thread_name_prefix="quota") as pool:
        found = pool.map(lambda pair: _one(needs, *pair), asked)
        return CheckResult.of([finding for findings in found for finding in findings])


def _needed(needs: PlannedResources) -> Iterator[tuple[Quota, float]]:
    if needs.machines().total():
        yield VCPUS, _vcpus(needs.machines(), needs.types())
    for step, quota in (
        ("elastic ip", ELASTIC_IPS),
        ("vpc", VPCS),
        ("internet gateway", INTERNET_GATEWAYS),
        ("nat gateway", NAT_GATEWAYS),
        ("eks cluster", CLUSTERS),
    ):
        if step in needs.to_make:
            yield quota, 1
    groups = sum(step.startswith("auto-scaling group") for step in needs.to_make)
    if groups:
        yield GROUPS, groups


@dataclass(frozen=True)
class Count:
    """A quota measured: what is allowed, what is in use, and what is needed on top."""

    what: str
    limit: float
    used: float
    needed: float
    service: str
    code: str

    @property
    def short(self) -> bool:
        """Whether the quota is too small."""
        return self.used + self.needed > self.limit

    def words(self, region: str) -> tuple[str, str, str]:
        """Return what, why and mend."""
        wanted = round(self.used + self.needed)
        return (
            f"the quota of {self.what} is too small",
            f"{self.needed:g} are needed and {self.used:g} are in use; {region} allows "
            f"{self.limit:g} ({self.code})",
            f"ask for {wanted}: `aws service-quotas request-service-quota-increase --service-code "
            f"{self.service} --quota-code {self.code} --desired-value {wanted} --region {region}`"
            ", or make fewer or smaller things",
        )


def _one(needs: PlannedResources, quota: Quota, needed: float) -> list[Finding]:
    try:
        count = _measured(needs, quota, needed)
    except (ClientError, BotoCoreError) as error:
        why = str(to_setup_error(error))
        hint = "see Service Quotas in the AWS console; a quota that is too small stops the run"
        return [warn(f"the quota of {quota.what} could not be checked", why, hint)]
    region = needs.ctx.aws.region
    if count.short:
        return [refuse(*count.words(region))]
    if quota is VCPUS:
        later = _vcpus(Counter(needs.later), needs.types())
        whole = replace(count, needed=needed + later, what=f"{count.what}, node groups included,")
        return [warn(*whole.words(region))] if whole.short else []
    return []


def _measured(needs: PlannedResources, quota: Quota, needed: float) -> Count:
    limit = _limit(needs.ctx.aws, quota)
    return Count(quota.what, limit, quota.used(needs), needed, quota.service, quota.code)


def _limit(aws: Aws, quota: Quota) -> float:
    """Return the account's own value, else AWS's default."""
    client, asked = (
        aws.brief("service-quotas"),
        {
            "ServiceCode": quota.service,
            "QuotaCode": quota.code,
        },
    )
    try:
        return float(client.get_service_quota(**asked)["Quota"]["Value"])
    except ClientError as error:
        if error_code(error) != "NoSuchResourceException":
            raise
    return float(client.get_aws_default_service_quota(**asked)["Quota"]["Value"])


def _vcpus(machines: Counter[str], types: Mapping[str, Any]) -> float:
    """Return the vCPUs of machines that count; a type that EC2 does not know counts nothing."""
    counted: float = sum(
        types[name]["VCpuInfo"]["DefaultVCpus"] * count
        for name, count in machines.items()
        if name in types and _counts(name)
    )
    return counted


def _counts(instance_type: str) -> bool:
    return instance_type.startswith(STANDARD_FAMILIES) and not instance_type.startswith(
        OTHER_FAMILIES
    )


def _running_vcpus(needs: PlannedResources) -> float:
    states: Any = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = pages(needs.ctx.aws.ec2, "describe_instances", "Reservations", Filters=states)
    on_demand = Counter(
        machine["InstanceType"]
        for group in found
        for machine in group["Instances"]
        if machine.get("InstanceLifecycle") != "spot"
    )
    known = needs.types()
    return _vcpus(on_demand, {**known, **needs.ask_types(on_demand.keys() - known.keys())})


def _addresses(needs: PlannedResources) -> float:
    return len(needs.ctx.aws.ec2.describe_addresses()["Addresses"])


def _vpcs(needs: PlannedResources) -> float:
    return len(pages(needs.ctx.aws.ec2, "describe_vpcs", "Vpcs"))


def _internet_gateways(needs: PlannedResources) -> float:
    return len(pages(needs.ctx.aws.ec2, "describe_internet_gateways", "InternetGateways"))


def _nat_gateways(needs: PlannedResources) -> float:
    """Return the NAT gateways of the fullest zone: the quota is for each zone."""
    states: Any = [{"Name": "state", "Values": ["pending", "available"]}]
    found = pages(needs.ctx.aws.ec2, "describe_nat_gateways", "NatGateways", Filter=states)
    subnets = sorted({gateway["SubnetId"] for gateway in found if gateway.get("SubnetId")})
    if not subnets:
        return 0
    described = pages(needs.ctx.aws.ec2, "describe_subnets", "Subnets", SubnetIds=subnets)
    zone_of = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in described}
    zones = Counter(zone_of.get(gateway.get("SubnetId")) for gateway in found)
    return max(zones.values())


def _clusters(needs: PlannedResources) -> float:
    return len(pages(needs.ctx.aws.eks, "list_clusters", "clusters"))


def _groups(needs: PlannedResources) -> float:
    client = needs.ctx.aws.autoscaling
    return len(pages(client, "describe_auto_scaling_groups", "AutoScalingGroups"))


VCPUS = Quota("vCPUs of standard instances", "ec2", "L-1216C47A", _running_vcpus)
ELASTIC_IPS = Quota("elastic IPs", "ec2", "L-0263D0A3", _addresses)
VPCS = Quota("VPCs", "vpc", "L-F678F1CE", _vpcs)
INTERNET_GATEWAYS = Quota("internet gateways", "vpc", "L-A4707A72", _internet_gateways)
NAT_GATEWAYS = Quota("NAT gateways in a zone", "vpc", "L-FE5A380F", _nat_gateways)
CLUSTERS = Quota("EKS clusters", "eks", "L-1194D53C", _clusters)
GROUPS = Quota("auto-scaling groups", "autoscaling", "L-CDE20ADC", _groups)
