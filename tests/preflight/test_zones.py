"""The choice of two zones, without any cloud."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, Severity
from aws_setup.preflight.zones import ZoneOffering, choose, choose_by_offering


def planned(
    zones: tuple[str, str] | None = None, existing: dict[str, str] | None = None
) -> PlannedResources:
    """Return a plan with configured zones, and with subnets that exist (name -> zone)."""
    keys = {"ssh_keypair_name": "k", "ssh_key_path": "k.pem", "availability_zones": zones}
    found = {name: Found(name, facts={"zone": zone}) for name, zone in (existing or {}).items()}
    ctx: Any = SimpleNamespace(
        config=Config.model_validate(keys), found=found, aws=SimpleNamespace(region="r-1")
    )
    return PlannedResources(ctx, frozenset())


def offering(**missing: str) -> ZoneOffering:
    """Return zones by the types that each does not offer, as in a="r5 m5"."""
    return ZoneOffering({zone: frozenset(types.split()) for zone, types in missing.items()})


EVERYWHERE = offering(a="", b="", c="")


@pytest.mark.parametrize(
    ("zones", "chosen"),
    [
        (EVERYWHERE, ("a", "b")),
        (offering(a="r5", b="", c=""), ("b", "c")),
        (offering(a="m5", b="", c=""), ("b", "c")),
        (offering(a="m5", b="r5", c="r5"), ("a", "b")),
        (offering(a="m5", b="", c="r5"), ("b", "c")),
    ],
    ids=["everywhere", "first lacks", "rest lacks", "one zone for first", "second may lack first"],
)
def test_the_best_zones_are_chosen(zones: ZoneOffering, chosen: tuple[str, str]) -> None:
    result = choose_by_offering(planned(), zones, {"r5"}, {"m5"})
    assert result.zones == chosen
    assert result.findings == ()


def test_a_second_zone_that_lacks_types_is_a_warning() -> None:
    result = choose_by_offering(planned(), offering(a="", b="m5", c="m5"), {"r5"}, {"m5"})
    assert result.zones == ("a", "b")
    (finding,) = result.findings
    assert finding.severity is Severity.WARN
    assert finding.what == "the zone b does not offer m5"


def test_existing_subnets_override_the_configuration_which_overrides_the_best() -> None:
    configured = planned(("c", "b"))
    assert choose_by_offering(configured, EVERYWHERE, {"r5"}, set()).zones == ("c", "b")
    both = planned(("c", "b"), {"private subnet 1": "a"})
    assert choose_by_offering(both, EVERYWHERE, {"r5"}, set()).zones == ("a", "b")
    second = planned(existing={"public subnet 2": "a"})
    assert choose_by_offering(second, EVERYWHERE, {"r5"}, set()).zones == ("b", "a")


def test_a_fixed_first_zone_that_lacks_a_type_is_refused_and_names_the_good_ones() -> None:
    result = choose_by_offering(planned(("a", "b")), offering(a="r5", b="", c=""), {"r5"}, set())
    (finding,) = result.findings
    assert finding.severity is Severity.REFUSE
    assert finding.what == "the zone a does not offer every instance type"
    assert "one of b, c" in finding.hint
    assert result.zones == ()


def test_types_that_no_single_zone_offers_are_refused() -> None:
    zones = offering(a="r5", b="m5", c="r5 m5")
    (finding,) = choose_by_offering(planned(), zones, {"r5", "m5"}, set()).findings
    assert finding.what == "no zone offers every instance type"
    assert "availability_zones" not in finding.hint


def test_without_subnets_to_be_made_no_zone_is_asked_for() -> None:
    existing = {"public subnet 1": "r-1a", "public subnet 2": "r-1c"}
    assert choose(planned(existing=existing)) == CheckResult(zones=("r-1a", "r-1c"))
    assert choose(planned(("r-1c", "r-1b"))) == CheckResult(zones=("r-1c", "r-1b"))
    assert choose(planned()) == CheckResult()
