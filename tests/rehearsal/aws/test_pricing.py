"""Service Quotas and the Price List API of the rehearsal cloud.

Pages: Service Quotas API reference (API_GetServiceQuota, API_GetAWSDefaultServiceQuota); Billing
API reference (API_pricing_GetProducts); price-list service endpoints.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, refused


def products(service: str, **filters: str) -> list[dict[str, Any]]:
    asked = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in filters.items()]
    answer = client("pricing").get_products(ServiceCode=service, Filters=asked)
    return [json.loads(product) for product in answer["PriceList"]]


def price(product: dict[str, Any]) -> float:
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    return float(dimension["pricePerUnit"]["USD"])


BALANCER = {"usagetype": "LoadBalancerUsage"}
MACHINE = {
    "regionCode": "us-east-1",
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


@pytest.mark.parametrize(
    ("service", "filters", "usd"),
    [
        ("AmazonEC2", MACHINE | {"instanceType": "r5.4xlarge"}, 1.008),
        ("AmazonEC2", MACHINE | {"instanceType": "r5.xlarge"}, 0.252),
        ("AmazonEC2", {"volumeApiName": "gp3", "productFamily": "Storage"}, 0.08),
        ("AmazonEC2", {"usagetype": "NatGateway-Hours"}, 0.045),
        ("AmazonVPC", {"usagetype": "PublicIPv4:InUseAddress"}, 0.005),
        ("AmazonEKS", {"usagetype": "USE1-AmazonEKS-Hours:perCluster"}, 0.1),
        ("AWSELB", BALANCER | {"productFamily": "Load Balancer"}, 0.025),
        ("AWSELB", BALANCER | {"productFamily": "Load Balancer-Application"}, 0.0225),
        ("AWSELB", BALANCER | {"productFamily": "Load Balancer-Network"}, 0.0225),
    ],
)
def test_each_price_has_one_product(
    cloud: RehearsalCloud, service: str, filters: dict[str, str], usd: float
) -> None:
    """API_pricing_GetProducts: all filters must match; PriceList items are JSON strings."""
    (found,) = products(service, **filters)
    assert price(found) == usd
    assert found["product"]["attributes"]["regionCode"] == "us-east-1"


def test_no_product_is_an_empty_list(cloud: RehearsalCloud) -> None:
    """API_pricing_GetProducts: what matches nothing is no error."""
    assert products("AmazonEC2", instanceType="r5.4xlarge", regionCode="eu-west-1") == []
    assert products("AmazonEC2", instanceType="z9.huge") == []


def test_any_of_accepts_each_of_its_values(cloud: RehearsalCloud) -> None:
    """API_pricing_Filter: ANY_OF, EQUALS, TERM_MATCH; Value has at most 1,024 characters."""
    pricing = client("pricing")

    def of(kind: str, value: str) -> list[float]:
        asked = {"Type": kind, "Field": "instanceType", "Value": value}
        answer = pricing.get_products(ServiceCode="AmazonEC2", Filters=[asked])
        return sorted(price(json.loads(product)) for product in answer["PriceList"])

    assert of("ANY_OF", "r5.large,m5.large,z9.huge") == [0.096, 0.126]
    assert of("ANY_OF", "r5.large") == of("EQUALS", "r5.large") == [0.126]
    assert of("ANY_OF", "r5.large, m5.large") == [0.126], "a space is part of a value"
    assert of("TERM_MATCH", "r5.large,m5.large") == of("EQUALS", "r5.large,m5.large") == []
    for kind, value in (("ANY", "r5.large"), ("any_of", "r5.large"), ("ANY_OF", "x" * 1025)):
        asked = {"Type": kind, "Field": "instanceType", "Value": value}
        code = refused(pricing.get_products, ServiceCode="AmazonEC2", Filters=[asked])
        assert code == "InvalidParameterException"


def test_prices_are_paginated(cloud: RehearsalCloud) -> None:
    """API_pricing_GetProducts: MaxResults and NextToken."""
    pages = client("pricing").get_paginator("get_products")
    found = [
        product
        for answer in pages.paginate(ServiceCode="AmazonEC2", PaginationConfig={"PageSize": 2})
        for product in answer["PriceList"]
    ]
    assert len(found) == len(set(found)) == len(products("AmazonEC2"))


def test_prices_are_served_in_three_regions(cloud: RehearsalCloud) -> None:
    """Price list service endpoints: us-east-1, eu-central-1, ap-south-1."""
    pricing = client("pricing", "eu-central-1")
    assert pricing.get_products(ServiceCode="AmazonEKS", Filters=[])["PriceList"]
    assert refused(client("pricing", "us-west-2").get_products, ServiceCode="AmazonEKS")


def test_quotas_are_the_enforced_values(cloud: RehearsalCloud) -> None:
    """API_GetServiceQuota: applied values; the default where none was applied."""
    quotas = client("service-quotas")
    vcpu = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
    assert quotas.get_service_quota(**vcpu)["Quota"]["Value"] == cloud.settings.quotas.vcpus
    assert quotas.get_aws_default_service_quota(**vcpu)["Quota"]["Value"] == 5
    vpcs = {"ServiceCode": "vpc", "QuotaCode": "L-F678F1CE"}
    assert refused(quotas.get_service_quota, **vpcs) == "NoSuchResourceException"
    assert quotas.get_aws_default_service_quota(**vpcs)["Quota"]["Value"] == 5
    cloud.settings.quotas.vpcs = 7
    assert quotas.get_service_quota(**vpcs)["Quota"]["Value"] == 7
    listed = quotas.list_service_quotas(ServiceCode="vpc")["Quotas"]
    assert [item["QuotaCode"] for item in listed] == ["L-F678F1CE"], "the others have none"
    listed = quotas.list_aws_default_service_quotas(ServiceCode="vpc")["Quotas"]
    assert {item["QuotaCode"]: item["Value"] for item in listed}["L-F678F1CE"] == 5
    assert len(listed) == 4
    unknown = {"ServiceCode": "vpc", "QuotaCode": "L-00000000"}
    assert refused(quotas.get_service_quota, **unknown) == "NoSuchResourceException"
