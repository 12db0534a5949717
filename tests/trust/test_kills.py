"""A world that is kept at a write of one run is the world after a run that was killed there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.trust.cliffs import ENDS_RUN, Cliff
from tests.trust.groups import open_world


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")
@pytest.mark.timeout(600)
def test_a_kept_world_is_as_after_a_kill(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with open_world() as world:
        from tests.trust import story

        def not_again(_: Cliff, left: str) -> str:
            return f"left {left}"

        def report(cliff: Cliff, end: story.Outcome, _: float) -> int:
            with kept.open("a") as file:
                file.write(f"{cliff} {end.state}\n")
            return 0

        story.advance(world, story.PHASES["create"])
        phase = story.PHASES["extend"]
        expected = story.undisturbed(world, phase)
        every = list(story.cliffs(phase.name, expected, seed=1))
        kills = [cliff for cliff in every if cliff.kind in ENDS_RUN]
        wanted = [kills[0], kills[len(kills) // 2], kills[-1]]
        story.attempt_kills(world, wanted, expected, known=not_again, report=report)
        found = [story.attempt(world, cliff, expected, lambda left: left) for cliff in wanted]
    states = [end.state for end in found]
    assert len(set(states)) == len(states), "these kills leave different states"
    assert kept.read_text() == "".join(
        f"{cliff} {state}\n" for cliff, state in zip(wanted, states, strict=True)
    )
