"""Two commands at once on one deployment: one of the serial ends comes out, or one is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

from tests.trust import snapshot, story
from tests.trust.snapshot import Snapshot
from tests.trust.story import ACTIONS, WHISK, Phase
from tests.trust.turns import Turns
from tests.trust.world import Failed, World

REFUSED = "another run is changing"
OTHERS = Phase(
    "other update", WHISK, ("--update", *ACTIONS[:2], "--memory", "10000", "-j", "namenode.jar")
)
PHASES = {**story.PHASES, OTHERS.name: OTHERS}


@dataclass(frozen=True)
class Pair:
    """Two commands, and after which command of the story they run."""

    after: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.first} and {self.second}, after {self.after or 'nothing'}"

    @property
    def phases(self) -> tuple[Phase, Phase]:
        """Both commands."""
        return PHASES[self.first], PHASES[self.second]


PAIRS = (
    Pair("", "create", "create"),
    Pair("", "create", "destroy"),
    Pair("create", "create", "destroy"),
    Pair("create", "configure", "configure"),
    Pair("create", "configure", "destroy"),
    Pair("configure", "register", "register"),
    Pair("register", "update", "update"),
    Pair("register", "update", "other update"),
    Pair("register", "update", "configure"),
    Pair("register", "update", "destroy"),
    Pair("register", "pause", "create"),
    Pair("register", "pause", "update"),
    Pair("register", "pause", "extend"),
    Pair("pause", "resume", "resume"),
    Pair("pause", "resume", "pause"),
    Pair("pause", "resume", "destroy"),
)


@dataclass(frozen=True)
class End:
    """How commands ended: exit codes, the world, and the world after a destroy.

    `refused` are the places of those that the run lock refused.
    """

    codes: tuple[int, ...]
    world: Snapshot
    destroyed: Snapshot
    refused: tuple[int, ...] = ()
    output: str = ""


@dataclass
class SerialEnds:
    """How the commands of a pair end one after the other, or alone; each is tried when needed."""

    world: World
    pair: Pair
    _known: dict[tuple[str, ...], End] = field(default_factory=dict)

    def of(self, order: Sequence[int]) -> End:
        """Return the end of an order of places, from a copy of the world."""
        phases = [self.pair.phases[place] for place in order]
        names = tuple(phase.name for phase in phases)
        if names not in self._known:
            self._known[names] = self.world.fork(lambda: self._run(phases))
        found = self._known[names]
        codes = dict(zip(order, found.codes, strict=True))
        return replace(found, codes=tuple(codes[place] for place in sorted(order)))

    def _run(self, phases: Sequence[Phase]) -> End:
        codes = tuple(story.act(self.world, phase) for phase in phases)
        found = story.take(self.world)
        story.advance(self.world, story.DESTROY)
        return End(codes, found, story.take(self.world, locks=True))


def attempt(world: World, pair: Pair, serial: SerialEnds, seed: int) -> str:
    """Run both at once in a copy of the world; return '' or what is wrong with the end."""
    try:
        end = world.fork(lambda: _at_once(world, pair, seed))
        why = _judge(end, serial)
        return f"{why}\n{end.output}" if why else ""
    except Failed as failure:
        return str(failure)


def _at_once(world: World, pair: Pair, seed: int) -> End:
    world.tap.arm(None)
    runs = [
        world.start(phase.script, *phase.words, name=f"run-{place}")
        for place, phase in enumerate(pair.phases)
    ]
    turns = Turns(world.tap, f"{pair} {seed}")
    codes = turns.play(runs)
    world.settle()
    ended = list(zip(runs, codes, strict=True))
    output = "\n".join(
        f"$ {run.name}: exit code {code}, {turns.switches} turns\n"
        f"{run.stdout[-1500:]}\n{run.stderr[-2500:]}"
        for run, code in ended
    )
    refused = tuple(
        place for place, (run, code) in enumerate(ended) if code == 2 and REFUSED in run.stderr
    )
    found = story.take(world)
    try:
        story.advance(world, story.DESTROY)
    except Failed as failure:
        raise Failed(f"{failure}\n{output}") from None
    return End(tuple(codes), found, story.take(world, locks=True), refused, output)


def _judge(end: End, serial: SerialEnds) -> str:
    """Return '' where the end is a serial one of the commands that were not refused."""
    worked = [place for place in range(len(end.codes)) if place not in end.refused]
    if not worked:
        return "each was refused because of the other"
    codes, texts = tuple(end.codes[place] for place in worked), []
    for order in permutations(worked):
        expected = serial.of(order)
        if expected.codes == codes:
            texts.append(snapshot.differences(expected.world, end.world))
            if not texts[-1]:
                left = snapshot.differences(expected.destroyed, end.destroyed)
                return f"destroyed: not empty\n{left}" if left else ""
    return min(texts, key=len) if texts else f"exit codes {end.codes}: no serial order has these"


def run_pairs(
    world: World, pairs: Sequence[Pair], seeds: Sequence[int], *, done: Collection[str] = ()
) -> Iterator[tuple[Pair, int, str]]:
    """Tell the story, and at each of its commands try the pairs that come after it.

    `done` names those of an earlier call: "PAIR, seed SEED".
    """
    left = {pair: [seed for seed in seeds if f"{pair}, seed {seed}" not in done] for pair in pairs}
    for name in ("", *story.PHASES):
        if name:
            story.advance(world, story.PHASES[name])
        for pair in [pair for pair in pairs if pair.after == name and left[pair]]:
            ends = SerialEnds(world, pair)
            for seed in left.pop(pair):
                yield pair, seed, attempt(world, pair, ends, seed)
        if not any(left.values()):
            return
