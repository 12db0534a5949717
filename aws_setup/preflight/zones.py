"""Chooses the two zones by what EKS supports and where the instance types are offered.

Zone names differ between accounts, so zones without EKS are identified by zone id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.type_offerings import offered_in_zones
from aws_setup.config.keys import keys_of
from aws_setup.infrastructure.eks_cluster import ZONES_WITHOUT_EKS
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import AGAIN, CheckResult, Finding, refuse, warn

SUBNETS = (("public subnet 1", "private subnet 1"), ("public subnet 2", "private subnet 2"))
"""The subnets in the first zone, and in the second."""


@dataclass(frozen=True)
class ZoneOffering:
    """The usable zones by name, and the instance types that each does not offer."""

    missing: Mapping[str, frozenset[str]]

    def best(self, required: set[str], preferred: set[str], *, without: str | None = None) -> str:
        """Return the zone that lacks the fewest required, then the fewest preferred types."""

        def rank(zone: str) -> tuple[int, int, str]:
            missing = self.missing[zone]
            return (len(missing & required), len(missing & preferred), zone)

        return min((zone for zone in self.missing if zone != without), key=rank)


def choose(planned: PlannedResources) -> CheckResult:
    """Choose the zones for the subnets, machines and cluster of this run, or refuse."""
    if not (
        planned.launches or planned.later or planned.creates("public subnet", "private subnet")
    ):
        return CheckResult(zones=_fixed(planned))
    return advice(lambda: _choose(planned), lambda why: _without_list(planned, why))


def _choose(planned: PlannedResources) -> CheckResult:
    zones, findings = _usable(planned)
    if findings:
        return CheckResult.of(findings)
    first, rest = _types(planned)
    offering, unchecked = advice(
        lambda: (_offering(planned, zones, first | rest), ()),
        lambda why: (ZoneOffering({zone: frozenset() for zone in zones}), (_unchecked(why),)),
    )
    unavailable = frozenset.intersection(frozenset(first | rest), *offering.missing.values())
    if unavailable:
        return CheckResult.of(_not_offered(planned, sorted(unavailable)))
    chosen = choose_by_offering(planned, offering, first, rest)
    return replace(chosen, findings=(*unchecked, *chosen.findings))


def _unchecked(why: str) -> Finding:
    hint = f"{AGAIN}; or set availability_zones to two that offer the instance types"
    return warn("the zones could not be checked", why, hint)


def _without_list(planned: PlannedResources, why: str) -> CheckResult:
    """Return the zones of the subnets and of the configuration, where AWS does not list any.

    Subnets to be created need both, and none can be assumed: many accounts have no ap-northeast-1b,
    and in us-west-1 an account has two of three.
    https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
    """
    fixed = _fixed(planned)
    if fixed or not planned.creates("public subnet", "private subnet"):
        return CheckResult((_unchecked(why),), zones=fixed)
    listing = f"`aws ec2 describe-availability-zones --region {planned.ctx.aws.region}`"
    finding = refuse(
        "the zones for the subnets are not known",
        why,
        f"set availability_zones to two of those that {listing} or the console lists, or grant "
        "ec2:DescribeAvailabilityZones",
    )
    return CheckResult.of([finding])


def _fixed(planned: PlannedResources) -> tuple[str, ...]:
    """Return the zones of the subnets that exist, else of the configuration; () without both."""
    configured = dict(enumerate(planned.config.availability_zones or ()))
    known = {**configured, **_existing_zones(planned)}
    return (known[0], known[1]) if known.keys() >= {0, 1} else ()


def _types(planned: PlannedResources) -> tuple[set[str], set[str]]:
    """Return the types that the first zone must offer, and those that one of the two must."""
    first = {launch.instance_type for launch in planned.launches if launch.in_first_subnet}
    launches = (*planned.launches, *planned.later)
    rest = {launch.instance_type for launch in launches if not launch.in_first_subnet}
    return first, rest - first


def _usable(planned: PlannedResources) -> tuple[list[str], list[Finding]]:
    """Return the names of the region's usable zones, sorted; and what is wrong with the rest."""
    filters: Any = [{"Name": "zone-type", "Values": ["availability-zone"]}]
    response: Any = planned.ctx.aws.ec2.describe_availability_zones(Filters=filters)
    available = [zone for zone in response["AvailabilityZones"] if zone["State"] == "available"]
    excluded = ZONES_WITHOUT_EKS if planned.config.create_eks_cluster else frozenset()
    names = sorted(zone["ZoneName"] for zone in available if zone.get("ZoneId") not in excluded)
    ids = {zone["ZoneName"]: zone.get("ZoneId") for zone in available}
    findings = []
    for name in planned.config.availability_zones or ():
        if name not in names:
            why = f"EKS does not support {ids[name]}" if name in ids else "there is no such zone"
            hint = f"choose two of {', '.join(names)}, or remove availability_zones"
            findings.append(refuse(f"availability_zones: {name} cannot be used", why, hint))
    if len(names) < 2:
        why = f"{planned.ctx.aws.region} offers this account {', '.join(names) or 'none'}"
        findings.append(refuse("two zones are required", why, "use another aws_region"))
    return names, findings


def _offering(planned: PlannedResources, zones: Iterable[str], types: set[str]) -> ZoneOffering:
    """Ask EC2 which of the types each zone does not offer."""
    if not types:
        return ZoneOffering({zone: frozenset() for zone in zones})
    offered = offered_in_zones(planned.ctx.aws, types)
    return ZoneOffering(
        {zone: frozenset(name for name in types if (zone, name) not in offered) for zone in zones}
    )


def _not_offered(planned: PlannedResources, types: list[str]) -> list[Finding]:
    region = planned.ctx.aws.region
    return [
        refuse(
            f"no usable zone of {region} offers {name}",
            "the type does not exist, or this region does not offer it",
            f"set {keys_of(planned.config, name, suffix='_instance_type')} to another type",
        )
        for name in types
    ]


def choose_by_offering(
    planned: PlannedResources, offering: ZoneOffering, first: set[str], rest: set[str]
) -> CheckResult:
    """Choose two zones; existing subnets override the configuration, which overrides the best.

    Args:
        planned: the configuration, and the subnets that exist.
        offering: the usable zones.
        first: types that the first zone must offer.
        rest: types that one of the two zones must offer.
    """
    configured = planned.config.availability_zones or ()
    fixed = {**dict(enumerate(configured)), **_existing_zones(planned)}
    zone = fixed.get(0) or offering.best(first, rest, without=fixed.get(1))
    missing = offering.missing.get(zone, frozenset()) & first
    if missing:
        finding = _unusable_first(planned, offering, zone, sorted(missing), is_fixed=0 in fixed)
        return CheckResult.of([finding])
    second = fixed.get(1) or offering.best(rest, first, without=zone)
    missing = offering.missing.get(second, frozenset()) & rest
    findings = []
    if missing:
        findings.append(
            warn(
                f"the zone {second} does not offer {', '.join(sorted(missing))}",
                f"node groups and auto-scaling groups with it can use {zone} only",
                "set other availability_zones or types if you want them in both zones",
            )
        )
    return CheckResult(tuple(findings), zones=(zone, second))


def _existing_zones(planned: PlannedResources) -> dict[int, str]:
    """Return the zones of existing subnets, by index."""
    found = planned.ctx.found
    return {
        index: str(found[step].facts["zone"])
        for index, steps in enumerate(SUBNETS)
        for step in steps
        if step in found and found[step].facts.get("zone")
    }


def _unusable_first(
    planned: PlannedResources,
    offering: ZoneOffering,
    zone: str,
    missing: list[str],
    *,
    is_fixed: bool,
) -> Finding:
    keys = [keys_of(planned.config, name, suffix="_instance_type") for name in missing]
    good = [name for name, lacks in offering.missing.items() if not lacks & set(missing)]
    hint = f"set other types ({', '.join(keys)})"
    if is_fixed and good:
        hint += f", or set the first of availability_zones to one of {', '.join(good)}"
    why = f"the VMs are launched in one subnet; {zone} does not offer {', '.join(missing)}"
    return refuse(
        "no zone offers every instance type"
        if not is_fixed
        else f"the zone {zone} does not offer every instance type",
        why,
        hint,
    )
