"""A sample of the cliffs of every command and every kind; `python -m tests.trust` tries all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.trust.cliffs import Kind
from tests.trust.groups import Plan, cliffs
from tests.trust.results import read, table

SAMPLE = {"create": 3, "extend": 6, "destroy": 1}
"""Command -> how many of its cliffs are tried here: the cheap one has one of each kind.

Those of configure and of the NameNodes are killed in tests/scripts/test_configure_crash.py and
tests/scripts/test_namenodes_interrupt.py.
"""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.timeout(600)
def test_a_sample_of_all_commands_survives(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.jsonl"
    plan = Plan(tuple(SAMPLE), tuple(SAMPLE), seed=3, sample=SAMPLE)
    assert cliffs(plan, results) == 0, capfd.readouterr().out
    tried = read(results)
    assert {item.row for item in tried} == set(SAMPLE)
    assert {item.column for item in tried} == set(Kind)
    reached = [item for item in tried if item.survived]
    assert len(reached) >= 0.8 * len(tried), table(tried)
