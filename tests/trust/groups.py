"""The groups of tries; each takes a plan, appends its results, and counts what went wrong."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.trust.cliffs import ENDS_RUN, LOCAL, Cliff, Kind
from tests.trust.results import Recoveries, Result, first_order, read, record

if TYPE_CHECKING:
    from tests.trust.story import Outcome, Undisturbed
    from tests.trust.world import World

T = TypeVar("T")

PHASES = ("create", "configure", "register", "update", "extend", "pause", "resume", "destroy")


@dataclass(frozen=True)
class Plan:
    """What a process tries: phases, kinds, its share, and how many."""

    phases: tuple[str, ...] = PHASES
    story: tuple[str, ...] = PHASES
    """The commands that are run, one after the other; those of `phases` are also disturbed."""
    kinds: tuple[str, ...] = tuple(Kind)
    shard: int = 0
    shards: int = 1
    sample: Mapping[str, int] = field(default_factory=dict)
    """Phase -> how many of its cliffs are tried; without an entry all are."""
    seed: int = 1
    seeds: int = 5
    """How many seeds each pair of commands is tried with."""
    examples: int = 2000
    """How many damaged inputs each reader gets."""
    every: bool = False
    """Whether to recover from each state, even when it is equal to an earlier one."""

    def select(
        self, every: Sequence[Cliff], done: set[str], *, order: Sequence[str] = ()
    ) -> list[Cliff]:
        """Return the cliffs of this process that have not been tried yet, in the seed's order.

        Args:
            every: all cliffs of a command.
            done: the names of those that have been tried.
            order: the writes of the command, one after the other. A process gets kills that follow
                each other: after one write and before the next the state is often the same.
        """
        # Parallel steps write in another order each time; the same seed means the same cliffs.
        wanted = sorted((cliff for cliff in every if cliff.kind in self.kinds), key=str)
        random.Random(self.seed).shuffle(wanted)
        if wanted and wanted[0].phase in self.sample:
            wanted = sample(wanted, self.sample[wanted[0].phase])
        place = {write: at for at, write in enumerate(numbered(order))}
        kills = [cliff for cliff in wanted if cliff.kind in ENDS_RUN]
        kills.sort(key=lambda cliff: place.get((cliff.write, cliff.number), len(place)))
        first, end = (len(kills) * share // self.shards for share in (self.shard, self.shard + 1))
        others = [cliff for cliff in wanted if cliff.kind not in ENDS_RUN]
        mine = [*kills[first:end], *self.share(others)]
        return [cliff for cliff in mine if str(cliff) not in done]

    def share(self, every: Sequence[T]) -> Sequence[T]:
        """Return what this process tries of all.

        By their names: the lists of two processes may differ, where runs call something or not.
        """
        return [it for it in every if zlib.crc32(str(it).encode()) % self.shards == self.shard]


def numbered(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield each name with how often it has come so far."""
    counts = Counter[str]()
    for name in names:
        counts[name] += 1
        yield name, counts[name]


def sample(cliffs: Sequence[Cliff], number: int) -> list[Cliff]:
    """Return so many cliffs, in turn one of each kind, and of those in turn of each system."""
    kinds: dict[Kind, dict[str, list[Cliff]]] = {}
    for cliff in cliffs:
        system = cliff.write.partition(" ")[0]
        kinds.setdefault(cliff.kind, {}).setdefault(system, []).append(cliff)
    found: list[Cliff] = []
    while len(found) < min(number, len(cliffs)):
        for systems in kinds.values():
            if systems:
                system, group = next(iter(systems.items()))
                del systems[system]
                found.append(group.pop())
                if group:
                    systems[system] = group
    return found[:number]


@contextmanager
def open_world() -> Iterator[World]:
    """Yield a world in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="trust-"))
    try:
        from tests.support.script_runs import Zygote
        from tests.trust.world import world

        with world(Zygote(), folder / "work") as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _done(results: Path) -> set[str]:
    """Return what need not be tried again: what failed is."""
    return {it.case for it in read(results) if it.survived or not it.reached}


AGAIN = 20
"""One of so many states that are equal to an earlier one is recovered from all the same."""


def cliffs(plan: Plan, results: Path) -> int:
    """Try what can happen at each write of each command."""
    done, failures = _done(results), 0
    with open_world() as made:
        from tests.trust import story

        expected: Undisturbed | None = None
        phases = [phase for phase in story.STORY if phase.name in plan.story]
        names = [phase.name for phase in phases]
        for at, phase in enumerate(phases):
            if phase.name not in plan.phases:
                expected = None
            else:
                expected = story.undisturbed(made, phase, last=expected)
                every = list(story.cliffs(phase.name, expected, seed=plan.seed))
                order = first_order(results, phase.name, expected.writes)
                wanted = plan.select(every, done, order=order)
                tries = Tries(plan, results, len(every), Recoveries(results))
                failures += _try(made, wanted, expected, tries)
            if not set(plan.phases) & set(names[at + 1 :]):
                break
            story.advance(made, phase)
    return failures


REAL = 20
"""One of so many kills is a SIGKILL of a run of its own; for the others one run is observed."""


@dataclass(frozen=True)
class Tries:
    """What the cliffs of one command share: the plan, where results go, and how many there are."""

    plan: Plan
    results: Path
    number: int
    recoveries: Recoveries

    def known(self, cliff: Cliff, state: str) -> str | None:
        """Return how the recovery from an equal state ended, of any process, or None."""
        again = random.Random(f"{self.plan.seed} {cliff}").randrange(AGAIN) == 0
        return None if self.plan.every or again else self.recoveries.end(cliff.phase, state)

    def report(self, cliff: Cliff, end: Outcome, seconds: float) -> int:
        """Record how a cliff ended; return 1 where it was not survived."""
        shown = (str(cliff), cliff.phase, cliff.kind.value, round(seconds, 1), self.plan.seed)
        result = Result("cliffs", *shown, end.failure, state=end.state)
        return record(self.results, replace(result, recovered=end.recovered, of=self.number))

    def is_observed(self, cliff: Cliff) -> bool:
        """Whether the kill is one of those that share an observed run."""
        drawn = random.Random(f"{self.plan.seed} killed {cliff}").randrange(REAL)
        local = cliff.write.startswith(LOCAL)
        return cliff.kind in ENDS_RUN and drawn > 0 and not local


def _try(made: World, wanted: Sequence[Cliff], expected: Undisturbed, tries: Tries) -> int:
    from tests.trust.kills import MOST
    from tests.trust.story import attempt, attempt_kills, attempt_together

    failures = 0
    observed = [cliff for cliff in wanted if tries.is_observed(cliff)]
    for first in range(0, len(observed), MOST):
        failures += attempt_kills(
            made,
            observed[first : first + MOST],
            expected,
            known=tries.known,
            report=tries.report,
        )
    alone = [cliff for cliff in wanted if not tries.is_observed(cliff)]
    for together in batches([cliff for cliff in alone if cliff.kind is Kind.LOST]):
        began = time.monotonic()
        known = partial(tries.known, together[0])
        ends = attempt_together(made, together, expected, known)
        for cliff, end in ends.items():
            failures += tries.report(cliff, end, (time.monotonic() - began) / len(ends))
            alone.remove(cliff)
    for cliff in alone:
        began = time.monotonic()
        end = attempt(made, cliff, expected, partial(tries.known, cliff))
        failures += tries.report(cliff, end, time.monotonic() - began)
    return failures


TOGETHER = 4
"""So many writes of one run lose their answers: the run goes on after each."""

TOGETHER_IN_HELM = 2
"""At most so many of them are helm's: helm ends at each, and is started anew a few times."""


def batches(cliffs: Sequence[Cliff]) -> list[list[Cliff]]:
    """Return lost answers as they share runs, in one never two of the same name.

    A call whose answer is lost is sent again, as the next one of its name.
    """
    made: list[list[Cliff]] = []
    for cliff in cliffs:
        for batch in made:
            helm = [it for it in (*batch, cliff) if it.write.startswith("helm")]
            names = {it.write for it in batch}
            if len(batch) < TOGETHER and len(helm) <= TOGETHER_IN_HELM and cliff.write not in names:
                batch.append(cliff)
                break
        else:
            made.append([cliff])
    return made


def pairs(plan: Plan, results: Path) -> int:
    """Run pairs of commands at once, each with several seeds."""
    done, failures = _done(results), 0
    with open_world() as made:
        from tests.trust.pairs import PAIRS, run_pairs

        wanted = range(plan.seed, plan.seed + plan.seeds)
        began = time.monotonic()
        for pair, seed, failure in run_pairs(made, plan.share(PAIRS), wanted, done=done):
            seconds = round(time.monotonic() - began, 1)
            shown = (f"{pair}, seed {seed}", str(pair), "survived", seconds, seed)
            failures += record(results, Result("pairs", *shown, failure))
            began = time.monotonic()
    return failures


def others(plan: Plan, results: Path) -> int:
    """Tell the story among other people's resources, and destroy in another account or region."""
    if plan.shard != plan.shards - 1:
        return 0
    done, failures = _done(results), 0
    with open_world() as made:
        from tests.trust.others import destroy_elsewhere, run_story

        began = time.monotonic()
        for name, failure in chain(run_story(made), destroy_elsewhere(made)):
            seconds = round(time.monotonic() - began, 1)
            case = f"among others: {name}"
            if case not in done:
                failures += record(results, Result("others", case, name, "", seconds, 0, failure))
            began = time.monotonic()
    return failures


def hostile(plan: Plan, results: Path) -> int:
    """Run commands in hostile environments: a full disk, a wrong clock, no home, and so on."""
    done, failures = _done(results), 0
    with open_world() as made:
        from tests.trust.hostile import CASES, run_cases

        mine = [case for case in plan.share(CASES) if str(case) not in done]
        began = time.monotonic()
        for case, failure in run_cases(made, mine):
            seconds = round(time.monotonic() - began, 1)
            result = Result("hostile", str(case), case.name, "", seconds, 0, failure)
            failures += record(results, result)
            began = time.monotonic()
    return failures


def fuzz(plan: Plan, results: Path) -> int:
    """Damage the input of every reader; load, plan and create generated configurations."""
    from tests.trust.fuzz.coverage import guided, installed
    from tests.trust.fuzz.readers import READERS
    from tests.trust.fuzz.runs import outcomes
    from tests.trust.fuzz.search import search

    done, folder = _done(results), results.parent / f"fuzz-{plan.seed}"
    if not installed():
        print("atheris is not installed: inputs are drawn, not guided by coverage", flush=True)

    def tried(row: str, column: str, seconds: float, why: str, *, tries: int) -> int:
        shown = (f"{row}, {column}, seed {plan.seed}", row, column, seconds, plan.seed, why)
        return record(results, Result("fuzz", *shown, tries=tries))

    failures = 0
    # What is drawn is shortened where it fails; what is guided finds more.
    number = plan.examples // 10 if installed() else plan.examples
    for name in plan.share(list(READERS)):
        if f"{name}, drawn, seed {plan.seed}" not in done:
            began = time.process_time()
            why = search(*READERS[name], number=number, seed=f"{name} {plan.seed}")
            failures += tried(name, "drawn", _seconds(began), why, tries=number)
    names = [n for n in READERS if f"{n}, guided, seed {plan.seed}" not in done]
    if installed() and (mine := plan.share(names)):
        for name, seconds, why in guided(mine, number=plan.examples, seed=plan.seed, folder=folder):
            failures += tried(name, "guided", seconds, why, tries=plan.examples)
    if plan.shard == plan.shards - 1 and f"configurations, drawn, seed {plan.seed}" not in done:
        began = time.process_time()
        number, why = outcomes(number=plan.examples // 2, seed=plan.seed)
        failures += tried("configurations", "drawn", _seconds(began), why, tries=number)
    return failures


def _seconds(began: float) -> float:
    return round(time.process_time() - began, 1)


def permissions(plan: Plan, results: Path) -> int:
    """Take out each action that a command calls."""
    from tests.trust import permissions

    kinds: dict[str, tuple[Sequence[str], Callable[[str], str]]] = {
        "simulated": (permissions.SIMULATED, permissions.simulated_failure),
        "denied": (permissions.called(), permissions.real_failure),
    }
    done, failures = _done(results), 0

    def tried(action: str, kind: str, began: float, why: str) -> int:
        seconds, case = round(time.monotonic() - began, 1), f"without {action}, {kind}"
        return record(results, Result("permissions", case, action, kind, seconds, 0, why))

    for kind, (actions, attempt) in kinds.items():
        for action in plan.share(actions):
            began = time.monotonic()
            if f"without {action}, {kind}" not in done:
                failures += tried(action, kind, began, attempt(action))
    with open_world() as made:
        began = time.monotonic()
        for command, action, why in permissions.in_story(made, plan.share):
            failures += tried(action, f"denied to {command}", began, why)
            began = time.monotonic()
    return failures


GROUPS: Mapping[str, Callable[[Plan, Path], int]] = {
    "cliffs": cliffs,
    "pairs": pairs,
    "others": others,
    "hostile": hostile,
    "permissions": permissions,
    "fuzz": fuzz,
}
"""Name -> the group, in the order in which they are tried."""
