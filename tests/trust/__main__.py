"""Tries everything that a run may meet, or a part of it; docs/trust.md explains it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.trust.cliffs import Kind
from tests.trust.groups import GROUPS, PHASES, Plan
from tests.trust.results import RESULTS, line, read, table, write_documents

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Parse the command line; with several jobs start a process for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    for name, group in GROUPS.items():
        parser.add_argument(f"--{name}", action="store_true", help=f"only: {group.__doc__}")
    phases, kinds = f"only the writes of {', '.join(PHASES)}", f"only {', '.join(Kind)}"
    parser.add_argument("--phase", action="append", metavar="COMMAND", help=phases)
    parser.add_argument("--kind", action="append", choices=[*Kind], metavar="KIND", help=kinds)
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="N of each command")
    parser.add_argument("--seed", type=int, default=1, help="the order, and what is sampled")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="for each pair")
    parser.add_argument("--examples", type=int, default=2000, metavar="N", help="for each reader")
    parser.add_argument("--every", action="store_true", help="recover from equal states, too")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="only this share")
    parser.add_argument("--results", type=Path, default=RESULTS, help="resumed when it exists")
    parser.add_argument("--table", action="store_true", help="only print the tables of the results")
    parser.add_argument("--write", action="store_true", help="write them into README and docs")
    options = parser.parse_args()
    chosen = [name for name in GROUPS if getattr(options, name)]
    if not chosen:
        chosen = ["cliffs"] if options.phase or options.kind else list(GROUPS)
    code = 0
    if options.jobs > 1:
        code = _processes(options.jobs, sys.argv[1:])
    elif not (options.table or options.write):
        plan = _plan(options)
        code = int(sum(GROUPS[name](plan, options.results) for name in chosen) > 0)
    results = read(options.results)
    if options.jobs > 1 or options.table:
        print(table(results))
    if options.write:
        documents = {ROOT / "README.md": line(results)}
        write_documents({**documents, ROOT / "docs" / "trust.md": table(results)})
    return code


def _plan(options: argparse.Namespace) -> Plan:
    shard, _, shards = options.shard.partition("/")
    return Plan(
        phases=tuple(options.phase or PHASES),
        kinds=tuple(options.kind or Kind),
        shard=int(shard),
        shards=int(shards),
        sample=dict.fromkeys(PHASES, options.sample) if options.sample else {},
        seed=options.seed,
        seeds=options.seeds,
        examples=options.examples,
        every=options.every,
    )


def _processes(jobs: int, words: Sequence[str]) -> int:
    kept = [word for word in words if word not in ("--write", "--table")]
    command = [sys.executable, "-m", "tests.trust", *kept, "--jobs", "1"]
    running = [subprocess.Popen([*command, "--shard", f"{i}/{jobs}"]) for i in range(jobs)]
    return max(process.wait() for process in running)


if __name__ == "__main__":
    sys.exit(main())
