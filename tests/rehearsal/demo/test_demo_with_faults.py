"""The whole story under chaos: it still ends well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.demo import started

pytestmark = pytest.mark.timeout(420)


def test_in_chaos_it_still_ends_well(tmp_path: Path) -> None:
    with started(tmp_path / "tmp", "--speed", "100", "--chaos", "7") as run:
        code = run.rest()
    assert code == 0, run.text
    summary = re.search(r"^chaos \(seed 7\): (\d+) faults: (.*)$", run.text, re.MULTILINE)
    assert summary, run.text
    assert int(summary[1]) > 50
    for kind in ("throttled", "lost answers", "stale reads", "slow transitions"):
        assert kind in summary[2]
    assert "Traceback" not in run.text
    assert run.gone(within=5), run.alive()
