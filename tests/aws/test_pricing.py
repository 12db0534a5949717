"""Prices of a plan: the price list, the dated table, and what neither knows."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.price_store import Listed, PriceStore
from aws_setup.aws.pricing import HOURS_A_MONTH, TABLE, Prices, Query, listed_price, price
from aws_setup.aws.session import Aws
from aws_setup.engine.step import CostItem
from aws_setup.rehearsal.core.server import RehearsalCloud


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
    query = Query("AmazonEC2", "NatGateway-Hours", {})
    assert listed_price(products, query) == expected


class PriceList:
    """An AWS session whose price list answers for NAT gateways only."""

    region = "us-east-1"

    def __init__(self) -> None:
        self.shared: dict[type, Any] = {}
        self.asked = 0

    def brief(self, service: str, *, region: str) -> PriceList:
        """Return the price list's client."""
        assert (service, region) == ("pricing", "us-east-1")
        return self

    def get_paginator(self, operation: str) -> PriceList:
        """Return what reads the pages of a list."""
        assert operation in ("get_products", "describe_spot_price_history")
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        """Return the products of a query."""
        self.asked += 1
        nat = any(item["Value"] == "NAT Gateway" for item in request["Filters"])
        return [{"PriceList": [product("NatGateway-Hours", 0.05)] if nat else []}]


class SpotMarket(PriceList):
    """An AWS session that also knows Spot prices of r5.large."""

    def __init__(self, *prices: str) -> None:
        super().__init__()
        self.ec2, self._prices = self, prices

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        """Return the price of each zone."""
        if "InstanceTypes" not in request:
            return super().paginate(**request)
        at = datetime(2026, 11, 27, 7, tzinfo=UTC)
        history = [
            {"InstanceType": "r5.large", "SpotPrice": price, "Timestamp": at}
            for price in self._prices
        ]
        return [{"SpotPriceHistory": history}]


def spot_priced(*prices: str) -> Prices:
    session: Any = SpotMarket(*prices)
    charges = [CostItem("eks", "spot:r5.large", 2), CostItem("eks", "ec2:r5.large", 1)]
    return price(session, charges)


def test_spot_is_shown_at_the_present_price_and_on_demand() -> None:
    prices = spot_priced("0.050", "0.060")
    assert prices.hourly == pytest.approx(2 * 0.06 + 0.126), "the highest of the zones"
    shown = "\n".join(prices.lines())
    assert "Spot r5.large: $0.060/h at 2026-11-27 07:00 UTC, $0.126/h on demand" in shown
    assert "all on demand: $0.378/h" in shown
    document = prices.document()
    assert document["on_demand_hourly_usd"] == pytest.approx(0.378)
    assert document["spot"] == {"r5.large": {"usd": 0.06, "as_of": "2026-11-27T07:00:00+00:00"}}


def test_an_unknown_spot_price_counts_as_on_demand_and_says_so() -> None:
    prices = spot_priced()
    assert prices.hourly == pytest.approx(3 * 0.126)
    assert "Spot prices are not known and counted as on demand" in prices.source
    assert prices.document()["spot"] == {}


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


def test_prices_of_today_are_not_asked_for_again(tmp_path: Path) -> None:
    session: Any = PriceList()
    session.shared[PriceStore] = PriceStore(tmp_path / "x.prices")
    charges = [CostItem("network", "nat"), CostItem("eks", "eks")]
    first = price(session, charges)
    assert session.asked == 2
    assert price(session, charges) == first
    assert session.asked == 3, "only the one that the list did not have"


INSTANCES = ("ec2:r5.large", "ec2:r5.xlarge", "ec2:t3.xlarge", "ec2:m5.large")


def asked_of(cloud: RehearsalCloud) -> list[Any]:
    """Return the requests for products so far."""
    return [call for call in cloud.calls if call.action == "GetProducts"]


def test_charges_with_the_same_fields_are_asked_for_in_one_call(cloud: RehearsalCloud) -> None:
    others = ["gp2-gib", "gp3-gib", "eks", "eks-extended", "nat", "ipv4"]
    others += ["gp3-iops", "gp3-mibps", "io1-gib", "io1-iops", "io2-gib", "io2-iops"]
    others += ["io2-iops-tier-2", "io2-iops-tier-3"]
    keys = (*INSTANCES, *others, *("elb", "alb", "nlb"))
    with closing(Aws(region="us-east-1")) as aws:
        prices = price(aws, [CostItem("all", key) for key in keys])
    assert prices.each == pytest.approx({key: TABLE[key] for key in keys})
    assert prices.source == "AWS's price list for us-east-1 of 2026-11-01"
    assert len(asked_of(cloud)) == 6, "types, disks, clusters, and one for each of the others"


def test_all_pages_of_an_answer_are_read(
    cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.rehearsal.aws.pricing.PAGE", 3)
    with closing(Aws(region="us-east-1")) as aws:
        prices = price(aws, [CostItem("all", key) for key in INSTANCES])
    assert prices.each == pytest.approx({key: TABLE[key] for key in INSTANCES})
    assert len(asked_of(cloud)) == 2


class OnlyOneValue(PriceList):
    """A price list that takes several values for one."""

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        """Return the product of a type."""
        self.asked += 1
        (kind,) = (it["Value"] for it in request["Filters"] if it["Field"] == "instanceType")
        return [{"PriceList": [] if "," in kind else [product(f"BoxUsage:{kind}", 0.3)]}]


def test_each_is_asked_for_alone_where_together_nothing_is_found() -> None:
    session: Any = OnlyOneValue()
    prices = price(session, [CostItem("all", key) for key in INSTANCES])
    assert prices.each == dict.fromkeys(INSTANCES, 0.3)
    assert session.asked == 1 + len(INSTANCES)


def test_a_price_list_that_does_not_answer_is_not_asked_again(cloud: RehearsalCloud) -> None:
    cloud.faults.add({"fault": "foreign-answer", "action": "pricing.GetProducts"})
    with closing(Aws(region="us-east-1")) as aws:
        prices = price(aws, [CostItem("all", key) for key in INSTANCES])
    assert "did not answer" in prices.source
    assert len(asked_of(cloud)) == 1
