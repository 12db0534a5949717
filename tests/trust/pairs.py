"""Two commands at once on one deployment: one of the serial ends comes out, or one is refused."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

from aws_setup.rehearsal.aws.parameters import Parameters
from tests.support.script_runs import Request, Run
from tests.trust import snapshot, story
from tests.trust.aws_state import LOCK
from tests.trust.groups import AGAIN
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
    """Two commands, and after which command of the story they run.

    With `elsewhere` the second one runs on another computer, with nothing but the configuration.
    """

    after: str
    first: str
    second: str
    elsewhere: bool = False

    def __str__(self) -> str:
        where = ", from two computers" if self.elsewhere else ""
        return f"{self.first} and {self.second}, after {self.after or 'nothing'}{where}"

    @property
    def phases(self) -> tuple[Phase, Phase]:
        """Both commands."""
        return PHASES[self.first], PHASES[self.second]


PAIRS = (
    Pair("", "create", "create"),
    Pair("", "create", "destroy"),
    Pair("create", "create", "destroy"),
    Pair("create", "pause", "create"),
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
    Pair("", "create", "create", elsewhere=True),
    Pair("create", "configure", "destroy", elsewhere=True),
    Pair("register", "pause", "create", elsewhere=True),
    Pair("pause", "resume", "destroy", elsewhere=True),
)

ELSEWHERE = """
import socket
from aws_setup.engine import processes
socket.gethostname = lambda: "another-computer"
processes._computer = lambda: "0123456789abcdef"
"""
"""Lets a run have another host name, and know nothing of the processes here."""


@dataclass(frozen=True)
class Left:
    """What commands left: the world, the world after a destroy, and the digest of its state."""

    state: str
    world: Snapshot
    destroyed: Snapshot


@dataclass(frozen=True)
class End:
    """How commands ended: exit codes, what they left, and the places of those that were refused."""

    codes: tuple[int, ...]
    left: Left
    refused: tuple[int, ...] = ()
    output: str = ""


@dataclass
class Ends:
    """How the commands of the pairs ended, so that no equal state is destroyed each time."""

    world: World
    _left: dict[str, Left] = field(default_factory=dict)
    _serial: dict[tuple[str, ...], End] = field(default_factory=dict)

    def serial(self, pair: Pair, order: Sequence[int]) -> End:
        """Return how the commands of a pair end one after the other, in a copy of the world."""
        phases = [pair.phases[place] for place in order]
        names = (pair.after, *(phase.name for phase in phases))
        if names not in self._serial:
            self._serial[names] = self.fork(lambda: self._run(phases))
        found = self._serial[names]
        codes = dict(zip(order, found.codes, strict=True))
        return replace(found, codes=tuple(codes[place] for place in sorted(order)))

    def _run(self, phases: Sequence[Phase]) -> End:
        codes = tuple(story.act(self.world, phase) for phase in phases)
        return End(codes, self.left(again=False))

    def fork(self, act: Callable[[], End]) -> End:
        """Return the end of what is done in a copy of the world."""
        end = self.world.fork(act)
        self._left[end.left.state] = end.left
        return end

    def left(self, *, again: bool) -> Left:
        """Return what is left in the world, and after a destroy.

        A later run sees no difference between equal states: such a state is destroyed only once,
        and when `again` is true.
        """
        state = story.state(self.world)
        if state in self._left and not again:
            return self._left[state]
        found = story.take(self.world)
        story.advance(self.world, story.DESTROY)
        return Left(state, found, story.take(self.world, locks=True))


def attempt(pair: Pair, ends: Ends, seed: int, *, first: str = "") -> str:
    """Run both at once in a copy of the world; return '' or what is wrong with the end.

    `first` is Python that both execute before, to show what is noticed.
    """
    try:
        end = ends.fork(lambda: _at_once(ends, pair, seed, first))
        why = _judge(end, pair, ends)
        return f"{why}\n{end.output}" if why else ""
    except Failed as failure:
        return str(failure)


class LockWatch:
    """Sees at each write of two runs that one run has the lock, and not both or none."""

    def __init__(self, world: World) -> None:
        """Watch the writes of a world from now on."""
        self._world = world
        self.unlocked: list[str] = []
        world.tap.before_write = self._see

    def _see(self, name: str) -> None:
        parameters = self._world.cloud.store_of(Parameters).items()
        locks = [json.loads(it.value) for (_, key), it in parameters if LOCK.search(key)]
        held = [lock["owner"] for lock in locks if lock["state"] == "held"]
        if len(held) != 1 and not name.startswith("aws ssm."):
            self.unlocked.append(f"{name}, where {len(held)} runs have the lock")

    def stop(self) -> str:
        """End, and return '' or what was written without the lock."""
        self._world.tap.before_write = lambda _: None
        return "; ".join(dict.fromkeys(self.unlocked[:5]))


def _at_once(ends: Ends, pair: Pair, seed: int, first: str) -> End:
    world = ends.world
    world.tap.arm()
    watch = LockWatch(world)
    runs = [
        _start(world, phase, f"run-{place}", first, elsewhere=pair.elsewhere and place == 1)
        for place, phase in enumerate(pair.phases)
    ]
    turns = Turns(world.tap, f"{pair} {seed}")
    codes = turns.play(runs)
    world.settle()
    if unlocked := watch.stop():
        raise Failed(f"written without the run lock: {unlocked}")
    ended = list(zip(runs, codes, strict=True))
    output = "\n".join(
        f"$ {run.name}: exit code {code}, {turns.switches} turns\n"
        f"{run.stdout[-1500:]}\n{run.stderr[-2500:]}"
        for run, code in ended
    )
    refused = tuple(
        place for place, (run, code) in enumerate(ended) if code == 2 and REFUSED in run.stderr
    )
    world.output = output
    world.check_secrets()
    for run in runs:
        for ending in ("out", "err"):
            (run.folder / f"{run.name}.{ending}").unlink()
    again = random.Random(f"{pair} {seed}").randrange(AGAIN) == 0
    try:
        return End(tuple(codes), ends.left(again=again), refused, output)
    except Failed as failure:
        raise Failed(f"{failure}\n{output}") from None


def _start(world: World, phase: Phase, name: str, first: str, *, elsewhere: bool) -> Run:
    """Start a command, here or on another computer: with its own home, folder and receipt."""
    if not elsewhere:
        return world.start(phase.script, *phase.words, name=name, first=first)
    folder = world.search.temporary / "another computer"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "home").mkdir(parents=True)
    text = (world.folder / "config_aws.yaml").read_text(encoding="utf-8")
    receipts = str(world.folder / "infrastructure_json")
    assert receipts in text
    text = text.replace(receipts, str(folder / "infrastructure_json"))
    (folder / "config_aws.yaml").write_text(text, encoding="utf-8")
    variables = {**world.variables, "HOME": str(folder / "home")}
    first = f"{ELSEWHERE}\n{first}"
    return world.zygote.start(
        Request(phase.script, phase.words, folder, variables, first), name=name
    )


def _compared(found: Snapshot, pair: Pair) -> Snapshot:
    """Return what is compared: files of the computer that did nothing are others."""
    if not pair.elsewhere:
        return found
    local = ("local ", "content ", "lambda-fs.wskprops ")
    return Counter({line: n for line, n in found.items() if not line.startswith(local)})


def _judge(end: End, pair: Pair, ends: Ends) -> str:
    """Return '' where the end is a serial one of the commands that were not refused."""
    worked = [place for place in range(len(end.codes)) if place not in end.refused]
    if not worked:
        return "each was refused because of the other"
    codes, texts = tuple(end.codes[place] for place in worked), []
    for order in permutations(worked):
        expected = ends.serial(pair, order)
        if expected.codes == codes:
            worlds = (_compared(it.left.world, pair) for it in (expected, end))
            texts.append(snapshot.differences(*worlds))
            if not texts[-1]:
                gone = (_compared(it.left.destroyed, pair) for it in (expected, end))
                left = snapshot.differences(*gone)
                return f"destroyed: not empty\n{left}" if left else ""
    return min(texts, key=len) if texts else f"exit codes {end.codes}: no serial order has these"


def run_pairs(
    world: World, pairs: Sequence[Pair], seeds: Sequence[int], *, done: Collection[str] = ()
) -> Iterator[tuple[Pair, int, str]]:
    """Tell the story, and at each of its commands try the pairs that come after it.

    `done` names those of an earlier call: "PAIR, seed SEED".
    """
    # Each copy of the world would make the clients of snapshots anew.
    story.take(world)
    ends = Ends(world)
    left = {pair: [seed for seed in seeds if f"{pair}, seed {seed}" not in done] for pair in pairs}
    for name in ("", *story.PHASES):
        if name:
            story.advance(world, story.PHASES[name])
        for pair in [pair for pair in pairs if pair.after == name and left[pair]]:
            for seed in left.pop(pair):
                yield pair, seed, attempt(pair, ends, seed)
        if not any(left.values()):
            return
