"""What a deployment costs: by AWS's price list, else by a small dated table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.price_store import Listed, PriceStore
from aws_setup.aws.session import Aws, pages
from aws_setup.aws.spot import PREFIX as SPOT
from aws_setup.aws.spot import SpotPrice, spot_prices
from aws_setup.engine.reads import Reads
from aws_setup.engine.step import CostItem

TABLE_DATE = "November 2026"
HOURS_A_MONTH = 730.0
"""Hours by which AWS divides a monthly price."""

TABLE: Mapping[str, float] = MappingProxyType(
    {
        "ec2:r5.large": 0.126,
        "ec2:r5.xlarge": 0.252,
        "ec2:r5.2xlarge": 0.504,
        "ec2:r5.4xlarge": 1.008,
        "ec2:r5.8xlarge": 2.016,
        "ec2:r5.12xlarge": 3.024,
        "ec2:m5.large": 0.096,
        "ec2:m5.xlarge": 0.192,
        "ec2:m5.2xlarge": 0.384,
        "ec2:m5.4xlarge": 0.768,
        "ec2:c5.large": 0.085,
        "ec2:c5.xlarge": 0.17,
        "ec2:c5.2xlarge": 0.34,
        "ec2:c5.4xlarge": 0.68,
        "ec2:t3.medium": 0.0416,
        "ec2:t3.large": 0.0832,
        "ec2:t3.xlarge": 0.1664,
        "nat": 0.045,
        "ipv4": 0.005,
        "gp2-gib": 0.10 / HOURS_A_MONTH,
        "gp3-gib": 0.08 / HOURS_A_MONTH,
        "io1-gib": 0.125 / HOURS_A_MONTH,
        "io2-gib": 0.125 / HOURS_A_MONTH,
        "gp3-iops": 0.005 / HOURS_A_MONTH,
        "gp3-mibps": 0.04 / HOURS_A_MONTH,
        "io1-iops": 0.065 / HOURS_A_MONTH,
        "io2-iops": 0.065 / HOURS_A_MONTH,
        "io2-iops-tier-2": 0.0455 / HOURS_A_MONTH,
        "io2-iops-tier-3": 0.03185 / HOURS_A_MONTH,
        "snapshot-gib": 0.05 / HOURS_A_MONTH,
        "eks": 0.10,
        "eks-extended": 0.50,
        "elb": 0.025,
        "alb": 0.0225,
        "nlb": 0.0225,
    }
)
"""US dollars an hour on demand in us-east-1, read in November 2026.

`eks-extended` is what extended support adds to `eks`: the price list has the two as usage types
that are billed side by side (https://aws.amazon.com/eks/pricing/ shows their sum, and
https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEKS/current/us-east-1/index.json has
the product AmazonEKS-Hours:extendedSupport).
https://aws.amazon.com/ec2/pricing/on-demand/, https://aws.amazon.com/ebs/pricing/ and
https://aws.amazon.com/elasticloadbalancing/pricing/"""

HOURS_OF_UNIT: Mapping[str, float] = MappingProxyType(
    {"GB-Mo": HOURS_A_MONTH, "IOPS-Mo": HOURS_A_MONTH, "GiBps-mo": 1024 * HOURS_A_MONTH}
)
"""Unit of the price list -> by what its price is divided; throughput is counted in MiB/s here."""

PRICE_LIST_REGION = "us-east-1"
"""The region whose endpoint serves AWS's price list, and the region of the table."""

EXTENDED_SUPPORT = TABLE["eks"] + TABLE["eks-extended"]
"""US dollars an hour of a cluster whose Kubernetes version is in extended support."""


@dataclass(frozen=True)
class Query:
    """How the price list names a product: service, filters, and the end of its usage type."""

    service: str
    usage: str
    filters: Mapping[str, str]


def _balancer(family: str) -> Query:
    return Query("AWSELB", "LoadBalancerUsage", {"productFamily": family})


def _volume(kind: str, usage: str) -> Query:
    """Return the query of a volume type's GiB, IOPS or throughput: all have its volumeApiName."""
    return Query("AmazonEC2", f"EBS:{usage}", {"volumeApiName": kind})


QUERIES: Mapping[str, Query] = MappingProxyType(
    {
        "nat": Query("AmazonEC2", "NatGateway-Hours", {"productFamily": "NAT Gateway"}),
        "ipv4": Query("AmazonVPC", "PublicIPv4:InUseAddress", {"group": "VPCPublicIPv4Address"}),
        "gp2-gib": _volume("gp2", "VolumeUsage.gp2"),
        "gp3-gib": _volume("gp3", "VolumeUsage.gp3"),
        "gp3-iops": _volume("gp3", "VolumeP-IOPS.gp3"),
        "gp3-mibps": _volume("gp3", "VolumeP-Throughput.gp3"),
        "io1-gib": _volume("io1", "VolumeUsage.piops"),
        "io1-iops": _volume("io1", "VolumeP-IOPS.piops"),
        "io2-gib": _volume("io2", "VolumeUsage.io2"),
        "io2-iops": _volume("io2", "VolumeP-IOPS.io2"),
        "io2-iops-tier-2": _volume("io2", "VolumeP-IOPS.io2.tier2"),
        "io2-iops-tier-3": _volume("io2", "VolumeP-IOPS.io2.tier3"),
        "snapshot-gib": Query(
            "AmazonEC2", "EBS:SnapshotUsage", {"productFamily": "Storage Snapshot"}
        ),
        "eks": Query("AmazonEKS", "AmazonEKS-Hours:perCluster", {}),
        "eks-extended": Query("AmazonEKS", "AmazonEKS-Hours:extendedSupport", {}),
        "elb": _balancer("Load Balancer"),
        "alb": _balancer("Load Balancer-Application"),
        "nlb": _balancer("Load Balancer-Network"),
    }
)
"""Key of a charge -> its query of the price list; instance types have a query of their own."""

INSTANCE_PREFIX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


@dataclass(frozen=True)
class Prices:
    """US dollars an hour by part of the deployment, and where the figures come from."""

    parts: Mapping[str, float]
    source: str
    unknown: tuple[str, ...] = ()
    each: Mapping[str, float] = field(default_factory=dict)
    spot: Mapping[str, SpotPrice] = field(default_factory=dict)
    savings: float = 0.0
    """US dollars an hour that Spot machines cost less than on demand."""

    @property
    def hourly(self) -> float:
        """US dollars an hour of everything whose price is known."""
        return sum(self.parts.values())

    @property
    def least(self) -> str:
        """What stands before a sum: 'at least ' where a price is unknown."""
        return "at least " if self.unknown else ""

    @property
    def daily(self) -> float:
        """US dollars a day."""
        return 24 * self.hourly

    def document(self) -> dict[str, Any]:
        """Return the prices as --json prints them."""
        return {
            "parts": {part: round(hourly, 4) for part, hourly in self.parts.items()},
            "hourly_usd": round(self.hourly, 4),
            "daily_usd": round(self.daily, 2),
            "source": self.source,
            "unknown": list(self.unknown),
            "on_demand_hourly_usd": round(self.hourly + self.savings, 4),
            "spot": {
                kind: {"usd": price.usd, "as_of": price.at.isoformat(timespec="seconds")}
                for kind, price in self.spot.items()
            },
        }

    def lines(self) -> list[str]:
        """Return the prices as text, the most expensive part first."""
        ordered = sorted(self.parts.items(), key=lambda item: -item[1])
        lines = [f"{part:<14} ${hourly:8.3f}/h" for part, hourly in ordered]
        lines.append(f"{'total':<14} ${self.hourly:8.3f}/h, {self.least}${self.daily:.2f} a day")
        lines += self.spot_lines()
        if self.unknown:
            lines.append(f"not included (price unknown): {', '.join(self.unknown)}")
        lines.append(f"(on demand, {self.source}; traffic and taxes are not included)")
        return lines

    def spot_lines(self) -> list[str]:
        """Return the prices of Spot machines as text: at present, on demand, and of which time."""
        lines = [
            f"Spot {kind}: ${price.usd:.3f}/h at {price.at:%Y-%m-%d %H:%M} UTC, "
            + (f"${each:.3f}/h on demand" if (each := self.each.get(f"ec2:{kind}")) else _UNKNOWN)
            for kind, price in self.spot.items()
        ]
        if self.spot and all(f"ec2:{kind}" in self.each for kind in self.spot):
            hourly = self.hourly + self.savings
            lines.append(f"all on demand: ${hourly:.3f}/h; Spot prices change at any time")
        return lines


_UNKNOWN = "its price on demand is not known"


def price(aws: Aws, charges: Sequence[CostItem]) -> Prices:
    """Return what some charges cost: by AWS's price list, else by the dated table.

    A Spot machine whose present price is unknown costs at most what it costs on demand.
    """
    types = sorted({it.key.removeprefix(SPOT) for it in charges if it.key.startswith(SPOT)})
    others = {charge.key for charge in charges if not charge.key.startswith(SPOT)}
    keys = sorted(others | {f"ec2:{kind}" for kind in types})
    listed, spot = _listed(aws, keys), spot_prices(aws, types)
    missing = [key for key in keys if key not in listed]
    each = {key: TABLE[key] for key in missing if key in TABLE}
    each |= {key: value.usd for key, value in listed.items()}
    each |= {f"{SPOT}{it}": each[f"ec2:{it}"] for it in types if f"ec2:{it}" in each}
    each |= {f"{SPOT}{kind}": price.usd for kind, price in spot.items()}
    parts: dict[str, float] = {}
    for charge in charges:
        if charge.key in each:
            parts[charge.part] = parts.get(charge.part, 0.0) + charge.count * each[charge.key]
    unknown = tuple(
        key.removeprefix("ec2:")
        for key in keys
        if key not in each and f"{SPOT}{key.removeprefix('ec2:')}" not in each
    )
    saved = sum(
        charge.count * (each[charge.key.replace(SPOT, "ec2:")] - each[charge.key])
        for charge in charges
        if charge.key.startswith(SPOT) and charge.key.replace(SPOT, "ec2:") in each
    )
    source = _source(aws.region, missing, listed)
    if set(types) - spot.keys():
        source += "; Spot prices are not known and counted as on demand"
    return Prices(parts, source, unknown, each, spot, saved)


def _source(region: str, missing: Sequence[str], listed: Mapping[str, Listed]) -> str:
    known = [key for key in missing if key in TABLE]
    table = f"{PRICE_LIST_REGION} prices of {TABLE_DATE}"
    if missing and not listed:
        return f"{table}, because AWS's price list did not answer"
    date = max((price.date for price in listed.values()), default="")
    source = f"AWS's price list for {region}{f' of {date}' if date else ''}"
    return f"{source}; for {', '.join(known)} {table}" if known else source


def _listed(aws: Aws, keys: Sequence[str]) -> dict[str, Listed]:
    """Return the listed price of each key that has one: those of today, else asked in parallel."""
    store: PriceStore | None = aws.shared.get(PriceStore)
    known = store.read(aws.region, keys) if store else {}
    asked = {key: query for key in keys if key not in known and (query := query_of(key))}
    if not asked:
        return known
    groups: dict[tuple[str, ...], dict[str, Query]] = {}
    for key, query in asked.items():
        groups.setdefault((query.service, *sorted(query.filters)), {})[key] = query
    with Reads("price") as reads:
        answers = reads.each(partial(_ask_together, aws), groups.values())
    found = {key: price for answer in answers for key, price in answer.items()}
    if store:
        store.add(aws.region, found)
    return known | found


def query_of(key: str) -> Query | None:
    """Return the query of a charge; None where the price list is not asked for it."""
    if not key.startswith("ec2:"):
        return QUERIES.get(key)
    kind = key.removeprefix("ec2:")
    return Query("AmazonEC2", f"BoxUsage:{kind}", {**INSTANCE_PREFIX, "instanceType": kind})


def _ask_together(aws: Aws, queries: Mapping[str, Query]) -> dict[str, Listed]:
    """Return the prices of charges whose queries differ in the values of their filters alone.

    One request for all of them. AWS documents ANY_OF, but not how its values are written: where
    nothing is found for several charges, each is asked for alone.
    """
    found = _ask(aws, queries)
    if found is None or found or len(queries) == 1:
        return found or {}
    return {
        key: price
        for key, query in queries.items()
        for price in (_ask(aws, {key: query}) or {}).values()
    }


def _ask(aws: Aws, queries: Mapping[str, Query]) -> dict[str, Listed] | None:
    """Return the prices that the price list has; None when it did not answer."""

    def inspect() -> dict[str, Listed] | None:
        client = aws.brief("pricing", region=PRICE_LIST_REGION)
        request = request_of(tuple(queries.values()), aws.region)
        products = pages(client, "get_products", "PriceList", **request)
        listed = {key: listed_price(products, query) for key, query in queries.items()}
        return {key: price for key, price in listed.items() if price}

    return advice(inspect, lambda _: None)


def request_of(queries: Sequence[Query], region: str) -> dict[str, Any]:
    """Return the request for the products of queries with the same service and fields.

    ANY_OF accepts any of several values
    (https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_Filter.html);
    that a comma separates them is how AWS's own program writes it (awslabs/mcp,
    src/aws-pricing-mcp-server/awslabs/aws_pricing_mcp_server/models.py, PricingFilter).
    """
    values = {name: sorted({it.filters[name] for it in queries}) for name in queries[0].filters}
    return {
        "ServiceCode": queries[0].service,
        "Filters": [
            {
                "Type": "TERM_MATCH" if len(wanted) == 1 else "ANY_OF",
                "Field": name,
                "Value": ",".join(wanted),
            }
            for name, wanted in {**values, "regionCode": [region]}.items()
        ],
    }


def listed_price(products: Iterable[str], query: Query) -> Listed | None:
    """Return the price of the product with a query's usage type, from the list's documents.

    Usage types begin with the region's short name, except in us-east-1. Those of all load
    balancers are the same: only the family says of which kind they are.
    """
    for text in products:
        product = json.loads(text)
        kind = str(product["product"]["attributes"].get("usagetype", ""))
        family = product["product"].get("productFamily", "")
        if family not in ("", query.filters.get("productFamily", family)):
            continue
        if kind != query.usage and not kind.endswith(f"-{query.usage}"):
            continue
        for term in product["terms"].get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                found = _dollars_an_hour(dimension)
                if found:
                    return Listed(found, str(product.get("publicationDate", ""))[:10])
    return None


def _dollars_an_hour(dimension: Mapping[str, Any]) -> float:
    dollars = float(dimension.get("pricePerUnit", {}).get("USD", 0))
    return dollars / HOURS_OF_UNIT.get(str(dimension.get("unit")), 1.0)
