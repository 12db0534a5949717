"""The complete demo with random faults: it still succeeds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.demo import started

pytestmark = pytest.mark.timeout(900)


def test_the_demo_succeeds_with_random_faults(tmp_path: Path) -> None:
    with started(tmp_path / "tmp", "--speed", "100", "--chaos", "7") as run:
        code = run.rest()
    assert code == 0, run.text
    summary = re.search(r"^random faults \(seed 7\): (\d+): (.*)$", run.text, re.MULTILINE)
    assert summary, run.text
    assert int(summary[1]) > 50
    for kind in ("throttled", "lost answers", "stale reads", "slow transitions"):
        assert kind in summary[2]
    assert "Traceback" not in run.text
    assert run.gone(), run.alive()
