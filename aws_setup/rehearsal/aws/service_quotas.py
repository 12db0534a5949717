"""Service Quotas: returns the quotas that the other services enforce.

https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.core.settings import partition_of
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi


@dataclass(frozen=True)
class Quota:
    """One quota: its code in Service Quotas and its name in the cloud's settings."""

    service: str
    code: str
    name: str
    setting: str
    default: int
    """AWS's default; an account with the default has no applied value."""


QUOTAS = (
    Quota(
        "ec2",
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        "vcpus",
        5,
    ),
    Quota(
        "ec2",
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        "spot_vcpus",
        5,
    ),
    Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", "elastic_ips", 5),
    Quota("vpc", "L-F678F1CE", "VPCs per Region", "vpcs", 5),
    Quota("vpc", "L-A4707A72", "Internet gateways per Region", "internet_gateways", 5),
    Quota("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", "nat_gateways_per_zone", 5),
    Quota(
        "vpc",
        "L-0EA8095F",
        "Inbound or outbound rules per security group",
        "rules_per_security_group",
        60,
    ),
    Quota("eks", "L-1194D53C", "Clusters", "eks_clusters", 100),
    Quota("eks", "L-BD136A63", "Nodes per managed node group", "nodes_per_node_group", 450),
    Quota(
        "autoscaling", "L-CDE20ADC", "Auto Scaling groups per region", "auto_scaling_groups", 500
    ),
    Quota(
        "elasticloadbalancing",
        "L-E9E9831D",
        "Classic Load Balancers per Region",
        "classic_load_balancers",
        20,
    ),
)
"""Every emulated quota."""


def _find_quota(call: Call) -> list[Quota]:
    service = call.params["ServiceCode"]
    found = [quota for quota in QUOTAS if quota.service == service]
    if not found:
        raise _missing()
    return found


def _missing() -> AwsError:
    message = "The request failed because the specified service or quota does not exist."
    return AwsError("NoSuchResourceException", message)


def _shown(call: Call, quota: Quota, value: int) -> dict[str, Any]:
    return {
        "ServiceCode": quota.service,
        "ServiceName": quota.service,
        "QuotaArn": f"arn:{partition_of(call.region)}:servicequotas:{call.region}:{call.account}:"
        f"{quota.service}/{quota.code}",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _value(cloud: CloudApi, quota: Quota) -> int:
    return int(getattr(cloud.settings.quotas, quota.setting))


def _named(call: Call) -> Quota:
    for quota in _find_quota(call):
        if quota.code == call.params["QuotaCode"]:
            return quota
    raise _missing()


def get(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetServiceQuota: only quotas that differ from their default exist."""
    quota = _named(call)
    if _value(cloud, quota) == quota.default:
        raise _missing()
    return {"Quota": _shown(call, quota, _value(cloud, quota))}


def get_default(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetAWSDefaultServiceQuota."""
    quota = _named(call)
    return {"Quota": _shown(call, quota, quota.default)}


def list_all(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListServiceQuotas with the applied values, without quotas that have none."""
    applied = [quota for quota in _find_quota(call) if _value(cloud, quota) != quota.default]
    return {"Quotas": [_shown(call, quota, _value(cloud, quota)) for quota in applied]}


def list_defaults(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListAWSDefaultServiceQuotas."""
    return {"Quotas": [_shown(call, quota, quota.default) for quota in _find_quota(call)]}


ANSWERS = {
    ("service-quotas", "GetServiceQuota"): get,
    ("service-quotas", "GetAWSDefaultServiceQuota"): get_default,
    ("service-quotas", "ListServiceQuotas"): list_all,
    ("service-quotas", "ListAWSDefaultServiceQuotas"): list_defaults,
}
