"""Prices of a plan: the price list, the dated table, and what neither knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws_setup.aws.pricing import HOURS_A_MONTH, TABLE, Listed, Prices, listed_price, price
from aws_setup.aws.session import Aws
from aws_setup.engine.step import CostItem


def product(usage: str, dollars: float, unit: str = "Hrs") -> str:
    """Return a product as AWS's price list has it."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": str(dollars)}}
    terms = {"OnDemand": {"term": {"priceDimensions": {"rate": dimension}}}}
    attributes = {"attributes": {"usagetype": usage}}
    dated = {"publicationDate": "2026-11-01T00:00:00Z"}
    return json.dumps({"product": attributes, "terms": terms} | dated)


@pytest.mark.parametrize(
    ("products", "hourly"),
    [
        ([product("NatGateway-Hours", 0.045)], 0.045),
        ([product("EUW1-NatGateway-Hours", 0.048)], 0.048),
        ([product("NatGateway-Bytes", 0.045)], None),
        ([product("NatGateway-Hours", 0.0), product("NatGateway-Hours", 0.045)], 0.045),
        ([product("NatGateway-Hours", 7.3, "GB-Mo")], 7.3 / HOURS_A_MONTH),
        ([], None),
    ],
)
def test_the_price_of_a_usage_type(products: list[str], hourly: float | None) -> None:
    expected = None if hourly is None else Listed(hourly, "2026-11-01")
    assert listed_price(products, "NatGateway-Hours") == expected


class PriceList:
    """An AWS session whose price list answers for NAT gateways only."""

    region = "us-east-1"

    def brief(self, service: str, *, region: str) -> PriceList:
        """Return the price list's client."""
        assert (service, region) == ("pricing", "us-east-1")
        return self

    def get_products(self, *, ServiceCode: str, Filters: Any) -> dict[str, Any]:
        """Return the products of a query."""
        nat = any(item["Value"] == "NAT Gateway" for item in Filters)
        return {"PriceList": [product("NatGateway-Hours", 0.05)] if nat else []}


def priced(*charges: CostItem) -> Prices:
    session: Any = PriceList()
    aws: Aws = session
    return price(aws, charges)


def test_a_plans_parts_are_summed_and_the_price_list_overrides_the_table() -> None:
    prices = priced(
        CostItem("network", "nat"),
        CostItem("machines", "ec2:r5.large", 3),
        CostItem("machines", "ipv4", 3),
        CostItem("machines", "ec2:x9.huge", 1),
    )
    machines = 3 * (TABLE["ec2:r5.large"] + TABLE["ipv4"])
    assert prices.parts == {"network": pytest.approx(0.05), "machines": pytest.approx(machines)}
    assert prices.hourly == pytest.approx(0.05 + machines)
    assert prices.daily == pytest.approx(24 * prices.hourly)
    assert prices.unknown == ("x9.huge",)
    text = "\n".join(prices.lines())
    assert text.index("machines") < text.index("network") < text.index("total")
    assert "not included (price unknown): x9.huge" in text


def test_the_source_names_the_price_list_the_table_or_both() -> None:
    assert (
        priced(CostItem("network", "nat")).source == "AWS's price list for us-east-1 of 2026-11-01"
    )
    assert "did not answer" in priced(CostItem("eks", "eks")).source
    assert (
        "for eks us-east-1 prices of" in priced(CostItem("a", "nat"), CostItem("a", "eks")).source
    )
    assert priced().hourly == 0


def test_a_price_that_nothing_knows_is_not_said_to_be_in_the_table() -> None:
    source = priced(CostItem("a", "nat"), CostItem("a", "ec2:x9.huge")).source
    assert source == "AWS's price list for us-east-1 of 2026-11-01"
