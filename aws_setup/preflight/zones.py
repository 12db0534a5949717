"""The two zones: chosen by what EKS supports and by where every instance type is offered.

Zone names differ from account to account, so EKS's exceptions are compared by zone id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.session import pages
from aws_setup.preflight.planned import PlannedResources, keys_of
from aws_setup.preflight.results import CheckResult, Finding, refuse, warn

NOT_FOR_EKS = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})
"""Zone ids in which EKS makes no control plane.
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html"""

SUBNETS = (("public subnet 1", "private subnet 1"), ("public subnet 2", "private subnet 2"))
"""The steps that stand in the first zone, and in the second."""


@dataclass(frozen=True)
class ZoneOffering:
    """The usable zones by name, and the instance types that each lacks."""

    lacks: Mapping[str, frozenset[str]]


def choose(needs: PlannedResources) -> CheckResult:
    """Choose the zones that subnets, machines and cluster of this run need, or refuse."""
    if not (needs.launches or needs.later or needs.makes("public subnet", "private subnet")):
        return CheckResult()
    zones, findings = _usable(needs)
    if findings:
        return CheckResult.of(findings)
    first, rest = _types(needs)
    offer = ZoneOffering(_lacking(needs, zones, first | rest))
    nowhere = [name for name in first | rest if all(name in has for has in offer.lacks.values())]
    if nowhere:
        return CheckResult.of(_not_offered(needs, sorted(nowhere)))
    return _chosen(needs, offer, first, rest)


def guess(needs: PlannedResources) -> tuple[str, str]:
    """Return zone names for a caller who may not list zones: every region has these two."""
    region = needs.ctx.aws.region
    found = _standing(needs)
    return (found.get(0, f"{region}a"), found.get(1, f"{region}b"))


def _types(needs: PlannedResources) -> tuple[set[str], set[str]]:
    """Return the types that the first zone must offer, and those that any of the two must."""
    first = {launch.instance_type for launch in needs.launches if launch.here}
    rest = {launch.instance_type for launch in needs.launches if not launch.here}
    return first, (rest | needs.later.keys()) - first


def _usable(needs: PlannedResources) -> tuple[list[str], list[Finding]]:
    """Return the names of the region's zones that EKS can use, in order."""
    filters: Any = [{"Name": "zone-type", "Values": ["availability-zone"]}]
    answer: Any = needs.ctx.aws.ec2.describe_availability_zones(Filters=filters)
    up = [zone for zone in answer["AvailabilityZones"] if zone["State"] == "available"]
    barred = NOT_FOR_EKS if needs.config.create_eks_cluster else frozenset()
    names = sorted(zone["ZoneName"] for zone in up if zone.get("ZoneId") not in barred)
    every = {zone["ZoneName"]: zone.get("ZoneId") for zone in up}
    findings = []
    for name in needs.config.availability_zones or ():
        if name not in names:
            why = (
                f"EKS does not support {every[name]}" if name in every else "there is no such zone"
            )
            hint = f"choose two of {', '.join(names)}, or leave availability_zones out"
            findings.append(refuse(f"availability_zones: {name} cannot be used", why, hint))
    if len(names) < 2:
        why = f"{needs.ctx.aws.region} offers this account {', '.join(names) or 'none'}"
        findings.append(refuse("two zones are needed", why, "use another aws_region"))
    return names, findings


def _lacking(
    needs: PlannedResources, zones: Iterable[str], types: Iterable[str]
) -> Mapping[str, frozenset[str]]:
    """Ask which of the types each zone does not offer."""
    wanted = sorted(types)
    if not wanted:
        return {zone: frozenset() for zone in zones}
    offers = pages(
        needs.ctx.aws.ec2,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": wanted}],
    )
    there = {(offer["Location"], offer["InstanceType"]) for offer in offers}
    return {zone: frozenset(t for t in wanted if (zone, t) not in there) for zone in zones}


def _not_offered(needs: PlannedResources, types: list[str]) -> list[Finding]:
    region = needs.ctx.aws.region
    return [
        refuse(
            f"no usable zone of {region} offers {name}",
            "the type does not exist, or not in this region",
            f"set {keys_of(needs.config, name, suffix='_instance_type')} to another type",
        )
        for name in types
    ]


def _chosen(
    needs: PlannedResources, offer: ZoneOffering, first: set[str], rest: set[str]
) -> CheckResult:
    wanted = needs.config.availability_zones or ()
    fixed = {**dict(enumerate(wanted)), **_standing(needs)}
    one = fixed.get(0) or _best(offer, first, rest, without=fixed.get(1))
    lacking = offer.lacks.get(one, frozenset()) & first
    if lacking:
        return CheckResult.of([_no_first(needs, offer, one, sorted(lacking), is_fixed=0 in fixed)])
    other = fixed.get(1) or _best(offer, rest, first, without=one)
    short = offer.lacks.get(other, frozenset()) & rest
    findings = []
    if short:
        findings.append(
            warn(
                f"the zone {other} does not offer {', '.join(sorted(short))}",
                f"node groups and auto-scaling groups can use {one} only",
                "nothing needs to be done; other availability_zones or types avoid it",
            )
        )
    return CheckResult(tuple(findings), zones=(one, other))


def _standing(needs: PlannedResources) -> dict[int, str]:
    """Return the zones in which subnets stand already, by their index."""
    found = needs.ctx.found
    return {
        index: str(found[step].facts["zone"])
        for index, steps in enumerate(SUBNETS)
        for step in steps
        if step in found and found[step].facts.get("zone")
    }


def _best(offer: ZoneOffering, must: set[str], may: set[str], *, without: str | None) -> str:
    """Return the zone that lacks least of what must, then of what may, be there."""

    def lacks(zone: str) -> tuple[int, int, str]:
        missing = offer.lacks[zone]
        return (len(missing & must), len(missing & may), zone)

    return min((zone for zone in offer.lacks if zone != without), key=lacks)


def _no_first(
    needs: PlannedResources, offer: ZoneOffering, zone: str, lacking: list[str], *, is_fixed: bool
) -> Finding:
    keys = [keys_of(needs.config, name, suffix="_instance_type") for name in lacking]
    good = [name for name, lacks in offer.lacks.items() if not lacks & set(lacking)]
    hint = f"set other types ({', '.join(keys)})"
    if is_fixed and good:
        hint += f", or begin availability_zones with one of {', '.join(good)}"
    why = f"the machines stand in one subnet; {zone} lacks {', '.join(lacking)}"
    return refuse(
        "no zone offers every instance type"
        if not is_fixed
        else f"the zone {zone} does not offer every instance type",
        why,
        hint,
    )
