"""A sample of hostile worlds; `python -m tests.trust --hostile` tries all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.script_runs import Zygote
from tests.trust.hostile import CASES, run_cases
from tests.trust.world import world

SAMPLE = ("disk full, create", "terminal closed, create")

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.timeout(600)
def test_a_run_in_a_hostile_world_ends_well_or_says_why_not(tmp_path: Path) -> None:
    cases = [case for case in CASES if str(case) in SAMPLE]
    assert len(cases) == len(SAMPLE)
    with world(Zygote(), tmp_path / "work") as made:
        ended = list(run_cases(made, cases))
    assert [(str(case), why) for case, why in ended if why] == []
    assert len(ended) == len(cases)
