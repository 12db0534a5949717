"""Two commands at once, of each script; `python -m tests.trust --pairs` has more of both."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.kube import tool
from tests.support.script_runs import Zygote
from tests.trust.pairs import PAIRS, Ends, Pair, attempt, run_pairs
from tests.trust.world import world

SAMPLE = (
    Pair("", "create", "create", elsewhere=True),
    Pair("", "create", "destroy"),
    Pair("create", "pause", "create"),
    Pair("register", "update", "other update"),
)

NO_LOCK = """
from aws_setup.aws.run_lock import RunLock
RunLock.acquire = RunLock.check = RunLock.observe = lambda self: None
"""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.timeout(600)
def test_of_two_commands_at_once_one_deployment_comes_out_or_one_is_refused(
    tmp_path: Path,
) -> None:
    tool("helm")
    assert set(SAMPLE) <= set(PAIRS)
    with world(Zygote(), tmp_path / "work") as made:
        unlocked = attempt(Pair("", "create", "create"), Ends(made), 2, first=NO_LOCK)
        assert "written without the run lock" in unlocked
        ended = list(run_pairs(made, SAMPLE, [2]))
    assert [f"{pair}, seed {seed}: {why}" for pair, seed, why in ended if why] == []
    assert len(ended) == len(SAMPLE)
