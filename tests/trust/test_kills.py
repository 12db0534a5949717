"""A world that is kept at a write of one run is the world after a run that was killed there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.trust import story
from tests.trust.cliffs import ENDS_RUN, Cliff
from tests.trust.groups import open_world
from tests.trust.story import Outcome, Undisturbed
from tests.trust.world import World


def _recover(_: Cliff, left: str) -> str:
    """Return an end without a recovery: the state that is left."""
    return f"left {left}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")
@pytest.mark.timeout(600)
def test_a_kept_world_is_as_after_a_kill(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with open_world() as world:

        def report(cliff: Cliff, end: Outcome, _: float) -> int:
            with kept.open("a") as file:
                file.write(f"{cliff} {end.state}\n")
            return 0

        story.advance(world, story.PHASES["create"])
        phase = story.PHASES["extend"]
        expected = story.undisturbed(world, phase)
        every = list(story.cliffs(phase.name, expected, seed=1))
        kills = [cliff for cliff in every if cliff.kind in ENDS_RUN]
        wanted = [kills[0], kills[len(kills) // 2], kills[-1]]
        story.attempt_kills(world, wanted, expected, known=_recover, report=report)
        found = [story.attempt(world, cliff, expected, lambda left: left) for cliff in wanted]
        leaks = _leaks(world, wanted[1], expected, tmp_path / "leaks")
    states = [end.state for end in found]
    assert len(set(states)) == len(states), "these kills leave different states"
    assert kept.read_text() == "".join(
        f"{cliff} {state}\n" for cliff, state in zip(wanted, states, strict=True)
    )
    assert leaks == ["canary-planted in", "canary-planted in"], "kept, and killed"


def _leaks(world: World, cliff: Cliff, expected: Undisturbed, ends: Path) -> list[str]:
    """Plant a secret in a log at one write until the next one; return what tries say of it."""
    log, number = world.folder / "infrastructure_json" / "lambda-fs.leak.log", 0

    def plant(name: str) -> None:
        nonlocal number
        log.unlink(missing_ok=True)
        number += name == cliff.write
        if name == cliff.write and number == cliff.number:
            log.write_text("password: canary-planted")

    def report(_: Cliff, end: Outcome, __: float) -> int:
        with ends.open("a") as file:
            file.write(end.failure)
        return 0

    world.tap.before_write = plant
    story.attempt_kills(world, [cliff], expected, known=_recover, report=report)
    number = 0
    killed = story.attempt(world, cliff, expected)
    world.tap.before_write = lambda _: None
    return [
        text[text.find("canary") :][: len("canary-planted in")]
        for text in (ends.read_text(), killed.failure)
    ]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")
@pytest.mark.timeout(600)
def test_equal_states_of_two_processes_are_equal() -> None:
    """Each has a world of its own: a folder, ports and keys that say nothing of the state."""
    states = []
    for _ in range(2):
        with open_world() as world:
            story.advance(world, story.PHASES["create"])
            states.append(story.state(world))
    assert states[0] == states[1]
