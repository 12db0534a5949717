"""Checks quotas: what the plan needs and what is in use, against the account's limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.session import Aws, pages
from aws_setup.eks.node_launch_template import node_group_specs
from aws_setup.engine.reads import Reading, Reads
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

STANDARD_FAMILIES = ("a", "c", "d", "h", "i", "m", "r", "t", "z")
"""First letters of the instance families that quota L-1216C47A counts.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html"""

USUAL_NODES = 450
"""AWS's default of nodes in a managed node group: up to so many the quota is not asked for."""

OTHER_FAMILIES = ("dl", "hpc", "inf", "trn", "mac")
"""Families with these first letters that have separate quotas."""


@dataclass(frozen=True)
class Quota:
    """A quota: its service and code in Service Quotas, and a function that counts its usage."""

    what: str
    service: str
    code: str
    used: Callable[[PlannedResources], float]


def check(planned: PlannedResources) -> CheckResult:
    """Check every quota that planned resources count against, in parallel."""
    needed = list(needed_quotas(planned))
    if not needed:
        return CheckResult()
    services = sorted({quota.service for quota, _ in needed})
    codes = {it: {quota.code for quota, _ in needed if quota.service == it} for it in services}
    with Reads("quota") as reads:
        limits = {
            it: reads.start(partial(account_limits, planned.ctx.aws, it, codes[it]))
            for it in services
        }
        results = reads.each(lambda pair: _check_quota(planned, *pair, limits=limits), needed)
    return CheckResult.of([finding for findings in results for finding in findings])


def needed_quotas(planned: PlannedResources) -> Iterator[tuple[Quota, float]]:
    """Yield each quota that planned resources count against, and how much of it they need."""
    for quota, spot in ((VCPUS, False), (SPOT_VCPUS, True)):
        counts = planned.machine_counts(spot=spot)
        if counts.total() or (spot and planned.later_counts(spot=True)):
            yield quota, count_vcpus(counts, planned.instance_types())
    for step, quota in (
        ("elastic ip", ELASTIC_IPS),
        ("vpc", VPCS),
        ("internet gateway", INTERNET_GATEWAYS),
        ("nat gateway", NAT_GATEWAYS),
        ("eks cluster", CLUSTERS),
    ):
        if step in planned.to_create:
            yield quota, 1
    nodes = _largest_node_group(planned)
    if nodes > USUAL_NODES:
        yield NODES_OF_GROUP, nodes
    groups = sum(step.startswith("auto-scaling group") for step in planned.to_create)
    if groups:
        yield GROUPS, groups


@dataclass(frozen=True)
class QuotaUsage:
    """A quota's limit, the part in use, and the part that the plan needs in addition."""

    what: str
    limit: float
    used: float
    needed: float
    service: str
    code: str

    @property
    def exceeded(self) -> bool:
        """Whether the plan would exceed the quota."""
        return self.used + self.needed > self.limit

    def message(self, region: str) -> tuple[str, str, str]:
        """Return what is wrong, the cause and the fix."""
        desired = round(self.used + self.needed)
        return (
            f"the quota of {self.what} is too small",
            f"{self.needed:g} are needed and {self.used:g} are in use; {region} allows "
            f"{self.limit:g} ({self.code})",
            f"request {desired}: `aws service-quotas request-service-quota-increase --service-code "
            f"{self.service} --quota-code {self.code} --desired-value {desired} --region {region}`"
            ", or reduce the number or size of the resources",
        )


Limits = Mapping[str, Reading[Mapping[str, float]]]
"""Service -> the limits of its quotas by their codes, which are being listed."""


def _check_quota(
    planned: PlannedResources, quota: Quota, needed: float, *, limits: Limits
) -> list[Finding]:
    def unchecked(why: str) -> list[Finding]:
        hint = "check it under Service Quotas in the AWS console: the run fails if it is too small"
        return [warn(f"the quota of {quota.what} could not be checked", why, hint)]

    def compare() -> list[Finding]:
        limit = limits[quota.service].result()[quota.code]
        used = quota.used(planned)
        usage = QuotaUsage(quota.what, limit, used, needed, quota.service, quota.code)
        return _compare(planned, quota, usage)

    return advice(compare, unchecked)


def _compare(planned: PlannedResources, quota: Quota, usage: QuotaUsage) -> list[Finding]:
    region = planned.ctx.aws.region
    if usage.exceeded:
        return [refuse(*usage.message(region))]
    if quota in (VCPUS, SPOT_VCPUS):
        nodes = planned.later_counts(spot=quota is SPOT_VCPUS)
        later = count_vcpus(nodes, planned.instance_types())
        total = replace(
            usage, needed=usage.needed + later, what=f"{usage.what}, node groups included,"
        )
        return [warn(*total.message(region))] if total.exceeded else []
    return []


def account_limits(aws: Aws, service: str, codes: Collection[str]) -> Mapping[str, float]:
    """Return the account's applied quotas of a service, and AWS's default of those without one.

    They are not kept for the next run: a limit that AWS has raised meanwhile would be refused.
    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
    """
    client = aws.brief("service-quotas")
    asked: dict[str, Any] = {"ServiceCode": service, "PaginationConfig": {"PageSize": 100}}
    limits: dict[str, float] = {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        if not limits.keys() >= set(codes):
            listed = pages(client, operation, "Quotas", **asked)
            limits = {item["QuotaCode"]: float(item["Value"]) for item in listed} | limits
    return limits


def count_vcpus(machines: Counter[str], types: Mapping[str, Any]) -> float:
    """Return the vCPUs that count against L-1216C47A; a type that EC2 does not know has none."""
    vcpus: float = sum(
        types[name]["VCpuInfo"]["DefaultVCpus"] * count
        for name, count in machines.items()
        if name in types and _is_standard(name)
    )
    return vcpus


def _is_standard(instance_type: str) -> bool:
    return instance_type.startswith(STANDARD_FAMILIES) and not instance_type.startswith(
        OTHER_FAMILIES
    )


def _running_vcpus(planned: PlannedResources) -> float:
    return _vcpus_in_use(planned, spot=False)


def _spot_vcpus(planned: PlannedResources) -> float:
    return _vcpus_in_use(planned, spot=True)


def _vcpus_in_use(planned: PlannedResources, *, spot: bool) -> float:
    states: Any = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = pages(planned.ctx.aws.ec2, "describe_instances", "Reservations", Filters=states)
    running = Counter(
        machine["InstanceType"]
        for reservation in found
        for machine in reservation["Instances"]
        if (machine.get("InstanceLifecycle") == "spot") is spot
    )
    known = planned.instance_types()
    others = planned.describe_types(running.keys() - known.keys())
    return count_vcpus(running, {**known, **others})


def _addresses(planned: PlannedResources) -> float:
    return len(planned.ctx.aws.ec2.describe_addresses()["Addresses"])


def _vpcs(planned: PlannedResources) -> float:
    return len(pages(planned.ctx.aws.ec2, "describe_vpcs", "Vpcs"))


def _internet_gateways(planned: PlannedResources) -> float:
    return len(pages(planned.ctx.aws.ec2, "describe_internet_gateways", "InternetGateways"))


def _nat_gateways(planned: PlannedResources) -> float:
    """Return the number of NAT gateways in the zone with the most: the quota is per zone."""
    states: Any = [{"Name": "state", "Values": ["pending", "available"]}]
    found = pages(planned.ctx.aws.ec2, "describe_nat_gateways", "NatGateways", Filter=states)
    subnets = sorted({gateway["SubnetId"] for gateway in found if gateway.get("SubnetId")})
    if not subnets:
        return 0
    described = pages(planned.ctx.aws.ec2, "describe_subnets", "Subnets", SubnetIds=subnets)
    zone_of = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in described}
    zones = Counter(zone_of.get(gateway.get("SubnetId")) for gateway in found)
    return max(zones.values())


def _clusters(planned: PlannedResources) -> float:
    return len(pages(planned.ctx.aws.eks, "list_clusters", "clusters"))


def _largest_node_group(planned: PlannedResources) -> int:
    """Return the nodes of the largest node group that gets some, now or by configure."""
    growing = {launch.step for launch in (*planned.launches, *planned.later)}
    specs = node_group_specs(planned.config) if growing else ()
    return max((spec.count for spec in specs if spec.group in growing), default=0)


def _groups(planned: PlannedResources) -> float:
    client = planned.ctx.aws.autoscaling
    return len(pages(client, "describe_auto_scaling_groups", "AutoScalingGroups"))


VCPUS = Quota("vCPUs of standard instances", "ec2", "L-1216C47A", _running_vcpus)
SPOT_VCPUS = Quota("vCPUs of standard Spot instances", "ec2", "L-34B43A08", _spot_vcpus)
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html"""
ELASTIC_IPS = Quota("elastic IPs", "ec2", "L-0263D0A3", _addresses)
VPCS = Quota("VPCs", "vpc", "L-F678F1CE", _vpcs)
INTERNET_GATEWAYS = Quota("internet gateways", "vpc", "L-A4707A72", _internet_gateways)
NAT_GATEWAYS = Quota("NAT gateways in a zone", "vpc", "L-FE5A380F", _nat_gateways)
CLUSTERS = Quota("EKS clusters", "eks", "L-1194D53C", _clusters)
NODES_OF_GROUP = Quota("nodes of a managed node group", "eks", "L-BD136A63", lambda _: 0)
"""https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html"""
GROUPS = Quota("auto-scaling groups", "autoscaling", "L-CDE20ADC", _groups)
