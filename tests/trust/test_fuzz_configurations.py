"""Configurations from the schema: accepted or refused with a fix, planned without a write."""

from __future__ import annotations

from pathlib import Path

from tests.trust.fuzz.runs import created, load, planned
from tests.trust.permissions import operator

EXAMPLES, PLANNED, CREATED = 100, 2, 1


def test_a_configuration_from_the_schema_is_accepted_or_refused_with_a_fix(tmp_path: Path) -> None:
    accepted, why = load(tmp_path, number=EXAMPLES, seed=1)
    assert why == ""
    assert len(accepted) >= EXAMPLES // 2, len(accepted)
    with operator() as user:
        user.cloud.settings.policies = []
        assert [why for made in accepted[-PLANNED:] if (why := planned(user, made))] == []
        assert [why for made in accepted[-CREATED:] if (why := created(user, made))] == []
