"""The story of a deployment, and what must hold after a cliff in any of its phases."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tests.support import disturbed
from tests.trust import snapshot, unlisted
from tests.trust.cliffs import LOCAL, LOCAL_KINDS, PERSISTENT, Cliff, Kind
from tests.trust.kills import KeptWorlds
from tests.trust.snapshot import Snapshot
from tests.trust.world import Failed, World

CREATE, CONFIGURE, WHISK = "create_aws_infrastructure", "configure_eks_cluster", "whisk_helper"
ACTIONS = ("-n", "2", "--memory", "20000", "-c", "4", "--timeout", "5")


@dataclass(frozen=True)
class Phase:
    """One command of the story."""

    name: str
    script: str
    words: tuple[str, ...]


STORY = (
    Phase("create", CREATE, ("create", "--yes")),
    Phase("configure", CONFIGURE, ("configure", "--yes")),
    Phase("register", WHISK, ("--create", *ACTIONS, "-j", "namenode.jar")),
    Phase("update", WHISK, ("--update", *ACTIONS, "-j", "second.jar")),
    Phase("extend", CREATE, ("extend", "6h", "--yes")),
    Phase("pause", CREATE, ("pause", "--deep", "--yes")),
    Phase("resume", CREATE, ("resume", "--yes")),
    Phase("destroy", CREATE, ("destroy", "--yes")),
)
PHASES = {phase.name: phase for phase in STORY}
DESTROY = PHASES["destroy"]

ONCE = {"AWS_MAX_ATTEMPTS": "1"}
"""botocore makes one attempt: the fault lasts longer than its retries, which take real seconds."""


@dataclass(frozen=True)
class Undisturbed:
    """What the phase makes when nothing goes wrong, and the names of its writes."""

    before: Snapshot
    after: Snapshot
    destroyed: Snapshot
    destroyed_before: Snapshot
    """What is left where the phase has not run: files of the user, such as ~/.kube/config."""
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    files: tuple[str, ...]
    """The names of the operator's files that were written, one after the other."""


def act(world: World, phase: Phase, *cliffs: Cliff) -> int:
    """Run a phase, with cliffs or undisturbed, and return its exit code."""
    if cliffs and cliffs[0].write.startswith(LOCAL):
        return _act_on_file(world, phase, *cliffs)
    world.tap.arm(*cliffs)
    once = any(cliff.kind in PERSISTENT for cliff in cliffs)
    code = world.run(phase.script, *phase.words, **(ONCE if once else {}))
    world.settle()
    return code


def _act_on_file(world: World, phase: Phase, cliff: Cliff) -> int:
    """Run a phase in which a file on the operator's computer cannot be written."""
    world.tap.arm()
    where = f"{cliff.write.removeprefix(LOCAL)}|{cliff.number}|{cliff.kind}"
    code = world.run(phase.script, *phase.words, **{disturbed.LOCAL: where})
    world.settle()
    if (world.folder / disturbed.REACHED).exists():
        world.tap.reached.add(cliff)
    _written(world)
    return code


def _written(world: World) -> tuple[str, ...]:
    """Return the files that the last run has written, and forget them."""
    log = world.folder / disturbed.WRITTEN
    names = tuple(log.read_text().splitlines()) if log.exists() else ()
    log.unlink(missing_ok=True)
    (world.folder / disturbed.REACHED).unlink(missing_ok=True)
    return names


def undisturbed(world: World, phase: Phase, *, last: Undisturbed | None = None) -> Undisturbed:
    """Run a phase in a copy of the world and return what it makes.

    Args:
        world: the world before the phase.
        phase: the command that is run.
        last: what the phase before it makes, where that one is known.
    """

    def destroyed_before(before: Snapshot) -> Snapshot:
        if phase is DESTROY:
            return before
        return last.destroyed if last else world.fork(lambda: _destroyed(world))

    def attempt() -> Undisturbed:
        before = take(world)
        destroyed = destroyed_before(before)
        world.tap.arm()
        code = world.run(phase.script, *phase.words, **{disturbed.LOCAL: "|0|"})
        world.settle()
        files = _written(world)
        if code != 0:
            raise Failed(f"{phase.name}, undisturbed: exit code {code}\n{world.output}")
        writes, reads = tuple(world.tap.names), tuple(world.tap.reads)
        after = take(world, locks=phase is DESTROY)
        return Undisturbed(before, after, _destroyed(world), destroyed, writes, reads, files)

    # What is made of the texts of this state is known to all copies, whose own is lost.
    state(world)
    return world.fork(attempt)


def _destroyed(world: World) -> Snapshot:
    """Return what is left after destroy: what is not the deployment's."""
    advance(world, DESTROY)
    return take(world, locks=True)


def advance(world: World, phase: Phase) -> None:
    """Run a phase in this world."""
    if code := act(world, phase):
        raise Failed(f"{phase.name}: exit code {code}\n{world.output}")
    unlisted.remember(world.environment)


def take(world: World, *, locks: bool = False) -> Snapshot:
    """Return the state of the world; `locks` is True after a destroy."""
    return snapshot.take(world.environment, world.folder, locks=locks)


SAMPLED_READS = 4
"""So many reads of each command are drawn, by their names."""


def cliffs(phase: str, requests: Undisturbed, *, seed: int) -> Iterator[Cliff]:
    """Yield every cliff of a phase: at each write, and at some reads that a seed draws.

    A kind that lasts to the run's end begins at the first or at the last write of a name: one
    that begins between them leaves what the others leave, and a killed run leaves it too.
    """
    counts = Counter(requests.writes)
    for name in counts:
        for number in range(1, counts[name] + 1):
            for kind in Kind:
                if kind not in PERSISTENT or number in (1, counts[name]):
                    yield Cliff(phase, name, number, kind)
    for name, number in Counter(requests.files).items():
        for each in range(1, number + 1):
            yield from (Cliff(phase, f"{LOCAL}{name}", each, kind) for kind in LOCAL_KINDS)
    names = sorted(set(requests.reads))
    for name in random.Random(f"{seed} {phase}").sample(names, min(SAMPLED_READS, len(names))):
        for kind in (Kind.LOST, *PERSISTENT):
            yield Cliff(phase, name, 1, kind)


@dataclass(frozen=True)
class Outcome:
    """How a cliff ended: '' or how it was not survived, and the state that it left.

    `recovered` is False where an equal state was recovered from before: the end is that one's.
    """

    failure: str
    state: str = ""
    recovered: bool = False


NOT_REACHED = Outcome("not reached")


def state(world: World) -> str:
    """Return a digest of all that a later run can read, without what is drawn."""
    lines = sorted(snapshot.take_strictly(world.environment, world.folder).elements())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


Known = Callable[[str], str | None]
"""Returns how the recovery from a state ended before, or None: recover from it."""


def attempt(
    world: World, cliff: Cliff, expected: Undisturbed, known: Known = lambda _: None
) -> Outcome:
    """Try one cliff in a copy of the world.

    Args:
        world: the world before the command.
        cliff: what happens at which write of it.
        expected: what the command makes when it is not disturbed.
        known: whether its state was recovered from before.
    """

    def fall() -> Outcome:
        act(world, PHASES[cliff.phase], cliff)
        if not world.tap.reached:
            return NOT_REACHED
        world.tap.arm()
        return _recovered(world, cliff, expected, known)

    try:
        return world.fork(fall)
    except Failed as failure:
        return Outcome(str(failure))


def attempt_together(
    world: World, cliffs: Sequence[Cliff], expected: Undisturbed, known: Known
) -> Mapping[Cliff, Outcome]:
    """Try cliffs of one command in one run; return how those that it came to ended.

    Where that run is not survived, each must be tried alone, and nothing is returned.
    """

    def fall() -> Mapping[Cliff, Outcome]:
        act(world, PHASES[cliffs[0].phase], *cliffs)
        reached = [cliff for cliff in cliffs if cliff in world.tap.reached]
        if not reached:
            return {}
        world.tap.arm()
        end = _recovered(world, reached[0], expected, known)
        if end.failure:
            return {}
        return {
            cliff: replace(end, recovered=end.recovered and cliff == reached[0])
            for cliff in reached
        }

    try:
        return world.fork(fall)
    except Failed:
        return {}


Report = Callable[[Cliff, Outcome, float], int]
"""Takes a cliff, how it ended, and its seconds; returns how many went wrong."""


def attempt_kills(
    world: World,
    wanted: Sequence[Cliff],
    expected: Undisturbed,
    *,
    known: Callable[[Cliff, str], str | None],
    report: Report,
) -> int:
    """Try many kills of one command, of which one run is made; return how many went wrong."""
    phase = PHASES[wanted[0].phase]

    def recover(cliff: Cliff) -> Outcome:
        return _recovered(world, cliff, expected, partial(known, cliff))

    def play() -> int:
        worlds = KeptWorlds(world, wanted, recover)
        world.tap.arm(phase=phase.name)
        with worlds.kept():
            code = world.run(phase.script, *phase.words)
        if code:
            raise Failed(f"{phase.name}, observed: exit code {code}\n{world.output}")
        failures = 0
        for cliff in wanted:
            began = time.monotonic()
            end = NOT_REACHED
            if cliff in worlds.moments:
                try:
                    end = worlds.go_on(cliff)
                except Failed as failure:
                    end = Outcome(str(failure))
            failures += report(cliff, end, time.monotonic() - began)
        return failures

    return world.fork(play)


def _recovered(world: World, cliff: Cliff, expected: Undisturbed, known: Known) -> Outcome:
    """Recover from the state that a disturbed run has left, in two ways, and return the end."""
    phase = PHASES[cliff.phase]

    def forward() -> None:
        code = act(world, phase)
        if code:
            raise Failed(f"run again: exit code {code}\n{world.output}")
        if text := snapshot.differences(expected.after, take(world, locks=phase is DESTROY)):
            raise Failed(f"run again: not the same\n{text}")

    def backward() -> None:
        code = act(world, DESTROY)
        if code:
            raise Failed(f"destroyed: exit code {code}\n{world.output}")
        left = take(world, locks=True)
        if text := snapshot.outside(expected.destroyed_before, expected.destroyed, left):
            raise Failed(f"destroyed: not empty\n{text}")

    disturbed, left = world.output, state(world)
    before = known(left)
    if before is not None:
        return Outcome(before, left)
    try:
        world.fork(forward)
        if phase is not DESTROY:
            backward()
    except Failed as failure:
        why = f"{failure}\nthe disturbed run:\n{disturbed[-2500:]}"
        return Outcome(why, left, recovered=True)
    return Outcome("", left, recovered=True)
