"""The prices that are kept for a day: what is used again, and what never is."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.price_store import Listed, PriceStore
from aws_setup.config import Config
from aws_setup.config.paths import prices_path

NAT = {"nat": Listed(0.045, "2026-11-01")}
NOW = datetime(2026, 11, 27, 7, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PriceStore:
    at(monkeypatch, NOW)
    return PriceStore(tmp_path / "new" / "x.prices")


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr("aws_setup.engine.wait.calendar_time", lambda: moment)


def test_a_price_is_used_for_a_day_in_its_region_only(
    store: PriceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.read("us-east-1", ["nat"]) == {}
    store.add("us-east-1", NAT)
    store.add("us-east-1", {"eks": Listed(0.1, "2026-11-01")})
    store.add("eu-west-1", {"nat": Listed(0.048, "2026-11-01")})
    assert store.read("us-east-1", ["nat", "ipv4"]) == NAT
    assert store.read("us-east-1", ["eks"])["eks"].usd == 0.1
    assert store.read("eu-west-1", ["nat"])["nat"].usd == 0.048
    for moment in (NOW + timedelta(days=1), NOW - timedelta(hours=1)):
        at(monkeypatch, moment)
        assert store.read("us-east-1", ["nat"]) == {}, "too old, or of the future"


def test_the_file_is_for_its_owner_and_no_receipt(store: PriceStore) -> None:
    store.add("us-east-1", NAT)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert [path.name for path in store.path.parent.iterdir()] == ["x.prices"]
    config = Config(ssh_keypair_name="k", ssh_key_path="/k", infrastructure_json_path="/r")
    assert prices_path(config).suffix != ".json", "every *.json of the folder is read as a receipt"


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {"usd": "x", "list": "", "asked": NOW.isoformat()},
        {"usd": float("nan"), "list": "", "asked": NOW.isoformat()},
        {"usd": -1, "list": "", "asked": NOW.isoformat()},
        {"usd": 1, "list": "", "asked": "2026-11-27T07:00:00"},
        {"usd": 1, "list": "", "asked": 7},
    ],
)
def test_a_damaged_entry_is_asked_for_again(store: PriceStore, entry: Any) -> None:
    store.path.parent.mkdir()
    store.path.write_text(json.dumps({"us-east-1": {"nat": entry}}), encoding="utf-8")
    assert store.read("us-east-1", ["nat"]) == {}
    store.add("us-east-1", NAT)
    assert store.read("us-east-1", ["nat"]) == NAT


def test_a_folder_that_cannot_be_written_only_costs_the_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    store = PriceStore(tmp_path / "file" / "x.prices")
    store.add("us-east-1", NAT)
    assert store.read("us-east-1", ["nat"]) == {}
