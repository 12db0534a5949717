"""Tries every cliff, or a sample: `python -m tests.trust --help`."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.trust.cliffs import Cliff, Kind
from tests.trust.zygote import zygote

RESULTS = Path("build/trust.jsonl")


@dataclass(frozen=True)
class Plan:
    """What a process tries: phases, kinds, its share, and how many."""

    phases: tuple[str, ...]
    kinds: tuple[str, ...]
    shard: int = 0
    shards: int = 1
    sample: Mapping[str, int] = field(default_factory=dict)
    """Phase -> how many of its cliffs are tried; without an entry all are."""
    seed: int = 1

    def select(self, every: Sequence[Cliff], done: set[str]) -> list[Cliff]:
        """Return the cliffs of this process that have not been tried yet, in the seed's order."""
        # Parallel steps write in another order each time; the same seed means the same cliffs.
        wanted = sorted((cliff for cliff in every if cliff.kind in self.kinds), key=str)
        order = random.Random(self.seed)
        order.shuffle(wanted)
        if wanted and wanted[0].phase in self.sample:
            wanted = sample(wanted, self.sample[wanted[0].phase])
        mine = wanted[self.shard :: self.shards]
        return [cliff for cliff in mine if str(cliff) not in done]


def sample(cliffs: Sequence[Cliff], number: int) -> list[Cliff]:
    """Return so many cliffs, in turn one of each kind, and of each kind of system."""
    groups: dict[tuple[str, str], list[Cliff]] = {}
    for cliff in cliffs:
        groups.setdefault((cliff.write.partition(" ")[0], cliff.kind), []).append(cliff)
    found: list[Cliff] = []
    while len(found) < min(number, len(cliffs)):
        found += [group.pop() for group in groups.values() if group]
    return found[:number]


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="trust-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(plan: Plan, results: Path) -> int:
    """Try the cliffs of a plan and append each result; return how many were not survived."""
    done = {str(item["cliff"]) for item in read(results)}
    failures = 0
    with _folder() as folder, zygote(folder) as runs:
        from tests.trust import story
        from tests.trust.world import world

        with world(runs, folder / "work") as made:
            for phase in story.STORY:
                if phase.name in plan.phases:
                    expected = story.undisturbed(made, phase)
                    every = list(story.cliffs(phase.name, expected.writes))
                    for cliff in plan.select(every, done):
                        began = time.monotonic()
                        failure = story.attempt(made, cliff, expected)
                        seconds = time.monotonic() - began
                        failures += _record(results, cliff, failure, seconds, plan.seed)
                if not set(plan.phases) & {p.name for p in story.STORY[_after(phase.name) :]}:
                    break
                story.advance(made, phase)
    return failures


def _after(name: str) -> int:
    from tests.trust import story

    return [phase.name for phase in story.STORY].index(name) + 1


def _record(results: Path, cliff: Cliff, failure: str, seconds: float, seed: int) -> int:
    """Append a result and show it; return 1 for a cliff that was not survived."""
    reached = failure != "not reached"
    bad = bool(failure) and reached
    line = {
        "cliff": str(cliff),
        "phase": cliff.phase,
        "kind": cliff.kind.value,
        "result": "failed" if bad else "survived" if reached else "not reached",
        "seconds": round(seconds, 1),
        "seed": seed,
        "failure": failure if bad else "",
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{line['result']:11} {seconds:5.1f} s  {cliff}", flush=True)
    if bad:
        print(failure, flush=True)
    return int(bad)


def read(results: Path) -> list[dict[str, object]]:
    """Return the results that were written so far, the last one of each cliff."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    items = {item["cliff"]: item for item in map(json.loads, lines)}
    return list(items.values())


def table(items: Sequence[Mapping[str, object]]) -> str:
    """Return the results as a Markdown table: phases, and for each kind survived of tried."""
    phases = list(dict.fromkeys(str(item["phase"]) for item in items))
    rows = ["| command | " + " | ".join(Kind) + " |", "|---" * (len(Kind) + 1) + "|"]
    for phase in phases:
        cells = []
        for kind in Kind:
            mine = [item for item in items if item["phase"] == phase and item["kind"] == kind]
            counts = Counter(str(item["result"]) for item in mine)
            tried = counts["survived"] + counts["failed"]
            cells.append(f"{counts['survived']} of {tried}")
        rows.append(f"| {phase} | " + " | ".join(cells) + " |")
    reached = [item for item in items if item["result"] != "not reached"]
    survived = sum(item["result"] == "survived" for item in reached)
    seconds = sum(float(str(item["seconds"])) for item in items)
    total = f"{survived} of {len(reached)} survived, in {seconds / 60:.0f} minutes of one core."
    rows += ["", total]
    return "\n".join(rows)


def fuzz(examples: int, seed: int) -> int:
    """Damage the input of every reader and show what it does not stand; return 1 if anything."""
    from tests.trust.fuzz.readers import READERS
    from tests.trust.fuzz.search import search

    failures = 0
    for name in READERS:
        began = time.process_time()
        found = search(name, number=examples, seed=seed)
        failures += len(found)
        seconds = time.process_time() - began
        print(f"{name:20} {examples} inputs, {len(found)} failures, {seconds:.1f} s", flush=True)
        for data, why in found:
            print(f"  {data[:200]!r}\n{why}", flush=True)
    return int(failures > 0)


def permissions() -> int:
    """Take out each action that create and destroy need; return 1 if one is not named."""
    from tests.trust.permissions import SIMULATED, called, real_failure, simulated_failure

    tries = [("simulated", action, simulated_failure) for action in SIMULATED]
    tries += [("denied", action, real_failure) for action in called()]
    failures = 0
    for kind, action, attempt in tries:
        why = attempt(action)
        failures += bool(why)
        print(f"{kind:10} {action}: {why or 'named'}", flush=True)
    print(f"{len(tries) - failures} of {len(tries)} actions are named where they are missing")
    return int(failures > 0)


def main() -> int:
    """Parse the command line; with several jobs start a process for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("--phase", action="append", help="only this command of the story")
    parser.add_argument("--kind", action="append", choices=[*Kind], help="only this kind")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="N of each command")
    parser.add_argument("--seed", type=int, default=1, help="the order, and what is sampled")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="only this share")
    parser.add_argument("--results", type=Path, default=RESULTS, help="resumed when it exists")
    parser.add_argument("--table", action="store_true", help="only print the table of the results")
    parser.add_argument("--fuzz", action="store_true", help="damage the input of every reader")
    parser.add_argument("--examples", type=int, default=2000, metavar="N", help="for each reader")
    parser.add_argument("--permissions", action="store_true", help="each action of the policy less")
    options = parser.parse_args()
    if options.permissions:
        return permissions()
    if options.fuzz:
        return fuzz(options.examples, options.seed)
    if options.table:
        print(table(read(options.results)))
        return 0
    if options.jobs > 1:
        code = _processes(options.jobs, sys.argv[1:])
        print(table(read(options.results)))
        return code
    shard, _, shards = options.shard.partition("/")
    names = ("create", "configure", "register", "update", "pause", "resume", "destroy")
    plan = Plan(
        tuple(options.phase or names),
        tuple(options.kind or Kind),
        int(shard),
        int(shards),
        dict.fromkeys(names, options.sample) if options.sample else {},
        options.seed,
    )
    return 1 if run(plan, options.results) else 0


def _processes(jobs: int, words: Sequence[str]) -> int:
    command = [sys.executable, "-m", "tests.trust", *words, "--jobs", "1"]
    running = [subprocess.Popen([*command, "--shard", f"{i}/{jobs}"]) for i in range(jobs)]
    return max(process.wait() for process in running)


if __name__ == "__main__":
    sys.exit(main())
