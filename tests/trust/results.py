"""The results of all tries: a file with a line for each, and the table that is made of it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

from tests.trust.cliffs import Kind

RESULTS = Path("build/trust.jsonl")
NOT_REACHED = "not reached"

SHOWN = {
    "cliffs": "writes, killed or failing at each",
    "pairs": "two commands at once, by seed",
    "others": "other people's resources",
    "hostile": "hostile environments",
    "permissions": "permissions, one missing",
    "fuzz": "damaged inputs",
}
"""Group of tries -> what it is in the table of all."""


@dataclass(frozen=True)
class Result:
    """One try: what was tried, how long it took, and '' or why it was not survived."""

    group: str
    case: str
    row: str
    """The row of its table, such as the command; `column` is the kind."""
    column: str
    seconds: float
    seed: int = 0
    failure: str = ""
    tries: int = 1
    state: str = ""
    """A digest of the state that a cliff left."""
    recovered: bool = False
    """Whether that state was recovered from; otherwise the end is that of an equal state."""
    of: int = 0
    """How many cliffs the command has, tried or not; 0 where all tries are a given list."""
    commit: str = ""
    ended: float = 0.0
    """When, in seconds since 1970."""

    @property
    def survived(self) -> bool:
        """Whether it ended as it must."""
        return not self.failure

    @property
    def reached(self) -> bool:
        """Whether the run came to the place where something was to happen."""
        return self.failure != NOT_REACHED


def record(path: Path, result: Result) -> int:
    """Append a result and show it; return 1 for one that was not survived."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = asdict(replace(result, commit=commit(), ended=round(time.time(), 1)))
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(kept) + "\n")
    bad = result.reached and not result.survived
    word = "survived" if result.survived else "FAILED" if bad else NOT_REACHED
    print(f"{word:11} {result.seconds:5.1f} s  {result.case}", flush=True)
    if bad:
        print(result.failure, flush=True)
    return int(bad)


@cache
def commit() -> str:
    """Return the commit of these sources, with a + where files differ from it; '' without git."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()


def read(path: Path) -> list[Result]:
    """Return the results that were written so far, the last one of each case."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return list({item["case"]: Result(**item) for item in map(json.loads, lines)}.values())


@dataclass
class Recoveries:
    """From which states runs have recovered so far; reads what any process has written since."""

    path: Path
    _ends: dict[tuple[str, str], str] = field(default_factory=dict)
    _read: int = 0
    """Bytes of the file that have been read."""

    def end(self, command: str, state: str) -> str | None:
        """Return '' or why the recovery from a state of a command failed; None: not tried yet."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]
            self._read += len(whole) + bool(whole)
            for item in map(json.loads, whole.splitlines()):
                if item["recovered"]:
                    why = item["failure"] and f"as after {item['case']}: {item['failure']}"
                    self._ends.setdefault((item["row"], item["state"]), why)
        return self._ends.get((command, state))


def first_order(results: Path, command: str, writes: Sequence[str]) -> tuple[str, ...]:
    """Return the order of a command's writes in the run of the process that came here first."""
    kept = results.with_name(f"{results.name}.{command}")
    own = kept.with_name(f"{kept.name}.{os.getpid()}")
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("\n".join(writes), encoding="utf-8")
    with suppress(FileExistsError):
        kept.hardlink_to(own)
    own.unlink()
    return tuple(kept.read_text(encoding="utf-8").splitlines())


def table(results: Sequence[Result]) -> str:
    """Return all results as Markdown: of all groups, and of the writes by command and kind."""
    parts = [where(results), summary(results)]
    cliffs = [result for result in results if result.group == "cliffs"]
    if cliffs:
        parts.append(_states(cliffs))
        parts.append(_matrix("command", [*Kind], cliffs))
    pairs = [result for result in results if result.group == "pairs"]
    if pairs:
        parts.append(_matrix("commands at once", ["survived"], pairs))
    return "\n\n".join(parts)


def where(results: Sequence[Result]) -> str:
    """Return on what commits and on what computer the results were got, and in what time."""
    commits = sorted({result.commit for result in results} - {""})
    computer = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return f"{_minutes(results):.0f} minutes on {computer}; commit {', '.join(commits)}."


def _minutes(results: Iterable[Result]) -> float:
    """Return in how many minutes something was tried: tries at the same time count once."""
    spans = sorted((result.ended - result.seconds, result.ended) for result in results)
    total, reached = 0.0, 0.0
    for began, ended in spans:
        total += max(0.0, ended - max(began, reached))
        reached = max(reached, ended)
    return total / 60


def _states(cliffs: Sequence[Result]) -> str:
    """Return how many states the disturbed runs left, and how often they were recovered from."""
    left = [result for result in cliffs if result.reached and result.state]
    states = {(result.row, result.state) for result in left}
    recoveries = [result for result in left if result.recovered]
    again = len(recoveries) - len({(result.row, result.state) for result in recoveries})
    return (
        f"The {len(left):,} disturbances left {len(states):,} different states. Recoveries: "
        f"{len(recoveries):,}, of them {again:,} from a state that is equal to an earlier one."
    )


def summary(results: Sequence[Result]) -> str:
    """Return one row for each group: how many were tried and survived, and in what time."""
    rows = ["| tried | survived | seeds | minutes |", "|---|---:|---:|---:|"]
    for group, shown in SHOWN.items():
        mine = [result for result in results if result.group == group and result.reached]
        if mine:
            seeds = len({result.seed for result in mine})
            minutes = _minutes(mine)
            rows.append(f"| {shown} | {_share(mine)} | {seeds} | {minutes:.0f} |")
    return "\n".join(rows)


def line(results: Sequence[Result]) -> str:
    """Return all results in a sentence and a table, for the README."""
    tried = [result for result in results if result.reached and result.group != "fuzz"]
    head = (
        f"In tests a deployment recovered from {_share(tried)} disturbances on the emulated cloud: "
        "the same command\ncompleted it, or the error named the cause ([how](docs/trust.md))"
    )
    rest = "Not all writes of all commands were tried: [of how many](docs/trust.md#results)."
    partial = any(len(rows) < rows[0].of for rows in _by_command(results))
    shown = f"{head}:\n\n{summary(results)}"
    return f"{shown}\n\n{rest}" if partial else shown


def _by_command(results: Sequence[Result]) -> list[list[Result]]:
    mine = [result for result in results if result.of]
    return [[r for r in mine if r.row == row] for row in {result.row for result in mine}]


def _matrix(head: str, columns: Sequence[str], results: Sequence[Result]) -> str:
    partial = any(result.of for result in results)
    heads = [head, *(["tried"] if partial else []), *columns]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in dict.fromkeys(result.row for result in results):
        mine = [result for result in results if result.row == name and result.reached]
        tried = f" {len(mine):,} of {max((result.of for result in mine), default=0):,} |"
        cells = (
            _share(it for it in mine if len(columns) == 1 or it.column == kind) for kind in columns
        )
        rows.append(f"| {name} |{tried if partial else ''} " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _share(results: Iterable[Result]) -> str:
    found = list(results)
    tries = sum(result.tries for result in found)
    survived = sum(result.tries for result in found if result.survived)
    return f"{survived:,} of {tries:,}" if tries else ""


def replaced(text: str, mark: str, part: str) -> str:
    """Return a document with `part` between its two comments of a mark."""
    begin, end = f"<!--{mark}-->", f"<!--/{mark}-->"
    block = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    assert block.search(text), f"the document has no {begin}"
    return block.sub(lambda _: f"{begin}\n{part}\n{end}", text)


def write_documents(documents: Mapping[Path, str]) -> None:
    """Write the tables into the documents; `documents` says what goes into each."""
    for path, part in documents.items():
        path.write_text(replaced(path.read_text("utf-8"), "results", part), encoding="utf-8")
