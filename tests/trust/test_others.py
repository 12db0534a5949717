"""Create and destroy among other people's resources; `python -m tests.trust --others` has more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.script_runs import Zygote
from tests.trust import story
from tests.trust.others import changed, destroy_elsewhere, ids, named, run_story, state
from tests.trust.world import world

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.timeout(600)
@pytest.mark.kind("A7")
def test_what_others_have_stays_as_it_is(tmp_path: Path) -> None:
    phases = [story.PHASES["create"], story.DESTROY]
    with world(Zygote(), tmp_path / "work") as made:
        assert [(name, why) for name, why in run_story(made, phases) if why] == []
        before = state(made.environment)
        assert ids(before), "the neighbour's network is there"
        assert any("ndb-manager-node" in text for text in before.values()), "others are there"
        name = next(key for key in before if key.startswith("describe_volumes"))
        assert changed(before, {**before, name: before[name] + " "}).startswith(f"changed: {name}")
        elsewhere = list(destroy_elsewhere(made))
        shown = named(made, ("status",), ids(state(made.environment)))
    assert shown.startswith("it names "), "status does show ids"
    assert [(name, why) for name, why in elsewhere if why] == []
    assert len(elsewhere) == 2
