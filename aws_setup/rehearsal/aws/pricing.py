"""The Price List API: the prices of λFS's resources, in us-east-1.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

SERVED_IN = ("us-east-1", "eu-central-1", "ap-south-1")
"""Regions in which the Price List API has an endpoint."""

PAGE = 100
"""Maximum number of products on a page."""

LONGEST = 1024
"""Maximum number of characters of a filter's value."""


@dataclass(frozen=True)
class Product:
    """One product with its on-demand price."""

    service: str
    family: str
    attributes: Mapping[str, str]
    unit: str
    usd: str

    def listed(self, number: int) -> str:
        """Return the product as a JSON string, like an item of PriceList."""
        sku = f"REHEARSAL{number:07d}"
        term, rate = f"{sku}.JRTCKXETXF", f"{sku}.JRTCKXETXF.6YS6EN2CT7"
        price = {
            "rateCode": rate,
            "unit": self.unit,
            "beginRange": "0",
            "endRange": "Inf",
            "description": f"${self.usd} per {self.unit}",
            "appliesTo": [],
            "pricePerUnit": {"USD": self.usd},
        }
        offer = {
            "sku": sku,
            "effectiveDate": "2026-11-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
            "priceDimensions": {rate: price},
        }
        product = {"productFamily": self.family, "attributes": dict(self._shown()), "sku": sku}
        item = {
            "product": product,
            "serviceCode": self.service,
            "terms": {"OnDemand": {term: offer}},
            "version": "20261101000000",
            "publicationDate": "2026-11-01T00:00:00Z",
        }
        return json.dumps(item)

    def _shown(self) -> Mapping[str, str]:
        location = {
            "servicecode": self.service,
            "location": "US East (N. Virginia)",
            "locationType": "AWS Region",
            "regionCode": "us-east-1",
        }
        return location | dict(self.attributes)

    def matches(self, field: str, values: Sequence[str]) -> bool:
        """Return whether a field has one of the values exactly; names ignore case."""
        attributes = {key.lower(): item for key, item in self._shown().items()}
        attributes |= {"productfamily": self.family, "servicecode": self.service}
        return attributes.get(field.lower()) in values


def _machine(kind: str, usd: str, vcpu: int, memory: str) -> Product:
    attributes = {
        "instanceType": kind,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "usagetype": f"BoxUsage:{kind}",
        "vcpu": str(vcpu),
        "memory": memory,
    }
    return Product("AmazonEC2", "Compute Instance", attributes, "Hrs", usd)


PRODUCTS = (
    _machine("r5.large", "0.1260000000", 2, "16 GiB"),
    _machine("r5.xlarge", "0.2520000000", 4, "32 GiB"),
    _machine("r5.2xlarge", "0.5040000000", 8, "64 GiB"),
    _machine("r5.4xlarge", "1.0080000000", 16, "128 GiB"),
    _machine("r5.8xlarge", "2.0160000000", 32, "256 GiB"),
    _machine("t3.medium", "0.0416000000", 2, "4 GiB"),
    _machine("t3.large", "0.0832000000", 2, "8 GiB"),
    _machine("t3.xlarge", "0.1664000000", 4, "16 GiB"),
    _machine("m5.large", "0.0960000000", 2, "8 GiB"),
    _machine("m5.xlarge", "0.1920000000", 4, "16 GiB"),
    Product(
        "AmazonEC2",
        "Storage",
        {
            "volumeApiName": "gp3",
            "volumeType": "General Purpose",
            "usagetype": "EBS:VolumeUsage.gp3",
        },
        "GB-Mo",
        "0.0800000000",
    ),
    Product(
        "AmazonEC2",
        "Storage",
        {
            "volumeApiName": "gp2",
            "volumeType": "General Purpose",
            "usagetype": "EBS:VolumeUsage.gp2",
        },
        "GB-Mo",
        "0.1000000000",
    ),
    *(
        Product("AmazonEC2", family, {"volumeApiName": kind, "usagetype": f"EBS:{usage}"}, *price)
        for kind, family, usage, *price in (
            ("gp3", "System Operation", "VolumeP-IOPS.gp3", "IOPS-Mo", "0.0050000000"),
            ("gp3", "Provisioned Throughput", "VolumeP-Throughput.gp3", "GiBps-mo", "40.96"),
            ("io1", "Storage", "VolumeUsage.piops", "GB-Mo", "0.1250000000"),
            ("io1", "System Operation", "VolumeP-IOPS.piops", "IOPS-Mo", "0.0650000000"),
            ("io2", "Storage", "VolumeUsage.io2", "GB-Mo", "0.1250000000"),
            ("io2", "System Operation", "VolumeP-IOPS.io2", "IOPS-Mo", "0.0650000000"),
            ("io2", "System Operation", "VolumeP-IOPS.io2.tier2", "IOPS-Mo", "0.0455000000"),
            ("io2", "System Operation", "VolumeP-IOPS.io2.tier3", "IOPS-Mo", "0.0318500000"),
        )
    ),
    Product(
        "AmazonEC2",
        "NAT Gateway",
        {"group": "NGW:NatGateway", "operation": "NatGateway", "usagetype": "NatGateway-Hours"},
        "Hrs",
        "0.0450000000",
    ),
    Product(
        "AmazonEC2",
        "NAT Gateway",
        {"group": "NGW:NatGateway", "operation": "NatGateway", "usagetype": "NatGateway-Bytes"},
        "GB",
        "0.0450000000",
    ),
    Product(
        "AmazonVPC",
        "VpcPublicIPv4Address",
        {"group": "VPCPublicIPv4Address", "usagetype": "PublicIPv4:InUseAddress"},
        "Hrs",
        "0.0050000000",
    ),
    Product(
        "AmazonVPC",
        "VpcPublicIPv4Address",
        {"group": "VPCPublicIPv4Address", "usagetype": "PublicIPv4:IdleAddress"},
        "Hrs",
        "0.0050000000",
    ),
    Product(
        "AmazonEKS",
        "Compute",
        {
            "tiertype": "HAStandard",
            "operation": "CreateOperation",
            "usagetype": "USE1-AmazonEKS-Hours:perCluster",
        },
        "Hours",
        "0.1000000000",
    ),
    Product(
        "AmazonEKS",
        "Compute",
        {
            "tiertype": "HAExtended",
            "operation": "ExtendedSupport",
            "usagetype": "USE1-AmazonEKS-Hours:extendedSupport",
        },
        "Hours",
        "0.5000000000",
    ),
    Product(
        "AWSELB",
        "Load Balancer",
        {"operation": "LoadBalancing", "usagetype": "LoadBalancerUsage"},
        "Hrs",
        "0.0250000000",
    ),
    *(
        Product(
            "AWSELB",
            f"Load Balancer-{kind}",
            {"operation": f"LoadBalancing:{kind}", "usagetype": "LoadBalancerUsage"},
            "Hrs",
            "0.0225000000",
        )
        for kind in ("Application", "Network")
    ),
)
"""Every product with a price."""


def _check_region(call: Call) -> None:
    if call.region not in SERVED_IN:
        message = f"The Price List API has no endpoint in {call.region}: use one of {SERVED_IN}"
        raise AwsError("NotFoundException", message)


def _values_of(name_filter: Mapping[str, str]) -> Sequence[str]:
    """Return the values that a filter accepts.

    Values of ANY_OF are separated by commas, without spaces (awslabs/mcp, PricingFilter in
    aws-pricing-mcp-server/models.py; the API's page does not say); with other types a comma is a
    part of the value.
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_Filter.html
    """
    kind, value = name_filter["Type"], name_filter["Value"]
    if len(value) > LONGEST:
        raise AwsError("InvalidParameterException", f"Value is longer than {LONGEST} characters")
    if kind in {"TERM_MATCH", "EQUALS"}:
        return (value,)
    if kind == "ANY_OF":
        return value.split(",")
    message = "not covered" if kind in {"CONTAINS", "NONE_OF"} else "not one of the filter types"
    raise AwsError("InvalidParameterException", f"filter type {kind}: {message}")


def get_products(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetProducts: all filters must match; without a match the list is empty."""
    _check_region(call)
    params = call.params
    known = [item for item in PRODUCTS if item.service == params["ServiceCode"]]
    for name_filter in params.get("Filters") or []:
        values = _values_of(name_filter)
        known = [product for product in known if product.matches(name_filter["Field"], values)]
    start = int(params.get("NextToken") or 0)
    end = start + min(int(params.get("MaxResults") or PAGE), PAGE)
    shown = [item.listed(PRODUCTS.index(item)) for item in known[start:end]]
    more = {"NextToken": str(end)} if end < len(known) else {}
    return {"FormatVersion": "aws_v1", "PriceList": shown} | more


SPOT_SHARE = {"a": 0.36, "b": 0.40, "c": 0.38}
"""Letter of a zone -> its Spot prices as a share of on demand; other zones have 0.42."""

FAMILY_SHARE = {"r5a": 0.9, "r5n": 1.18, "r6i": 1.0, "r6a": 0.9, "m5a": 0.9, "m6i": 1.0}
"""Family -> its on-demand price as a share of r5's or m5's."""


def spot_price_history(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeSpotPriceHistory with the price in force in each zone, and no older ones.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    zones = cloud.call("ec2", "DescribeAvailabilityZones", region=call.region)["AvailabilityZones"]
    descriptions = call.params.get("ProductDescriptions") or ["Linux/UNIX"]
    types = call.params.get("InstanceTypes") or []
    if call.region != "us-east-1" or "Linux/UNIX" not in descriptions:
        return {"SpotPriceHistory": []}
    return {
        "SpotPriceHistory": [
            {
                "AvailabilityZone": zone["ZoneName"],
                "InstanceType": kind,
                "ProductDescription": "Linux/UNIX",
                "SpotPrice": f"{usd * SPOT_SHARE.get(zone['ZoneName'][-1], 0.42):.6f}",
                "Timestamp": cloud.clock.today().replace(minute=0, second=0, microsecond=0),
            }
            for kind in types
            if (usd := _on_demand(kind))
            for zone in zones
        ]
    }


def _on_demand(kind: str) -> float:
    """Return the on-demand price of a type or of its relative; 0 for an unknown one."""
    family, _, size = kind.partition(".")
    names = {kind, f"{family[0]}5.{size}"}
    listed = [item for item in PRODUCTS if item.attributes.get("instanceType") in names]
    return max((float(item.usd) for item in listed), default=0.0) * FAMILY_SHARE.get(family, 1.0)


ANSWERS = {
    ("pricing", "GetProducts"): get_products,
    ("ec2", "DescribeSpotPriceHistory"): spot_price_history,
}
