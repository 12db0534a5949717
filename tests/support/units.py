"""The order of the tests, and which of them run on one worker: what shares a fixture, small files.

pytest-xdist's own groups are not used: they are written into the ids of the tests, which pytest
9.2 does not read any more, and so each worker made each shared deployment
(https://github.com/pytest-dev/pytest-xdist/issues/1386).
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]

SECONDS = ROOT / "tests" / "seconds.json"
"""How long the tests of each file take, of files above one second; written by --record-seconds."""

SPREAD = 15
"""Seconds of a file above which any worker takes its next test, if they share no fixture."""


SHARED_SCOPE = re.compile(r"fixture\(.*scope=('(module|class)'|SHARED)")


def file_of(nodeid: str) -> str:
    """Return the file of a test, relative to the project."""
    return nodeid.partition("::")[0]


@functools.cache
def shared_fixtures(file: str) -> frozenset[str]:
    """Return the fixtures that are made once for a whole file: its own and those it imports."""
    names: set[str] = set()
    for node in ast.parse((ROOT / file).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and any(map(is_shared, node.decorator_list)):
            names.add(node.name)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            source = f"{str(node.module).replace('.', '/')}.py"
            imported = {name.name: name.asname or name.name for name in node.names}
            if (ROOT / source).is_file():
                names |= {imported[name] for name in shared_fixtures(source) & imported.keys()}
    return frozenset(names)


def is_shared(decorator: ast.expr) -> bool:
    """Return whether a decorator makes a fixture whose scope is a file or a class."""
    return bool(SHARED_SCOPE.search(ast.unparse(decorator)))


def shares(file: str) -> bool:
    """Return whether tests of a file share a fixture, which is made once for a whole file."""
    return bool(shared_fixtures(file))


@functools.cache
def known_seconds() -> dict[str, float]:
    """Return the recorded seconds of the files."""
    return {str(file): float(took) for file, took in json.loads(SECONDS.read_text()).items()}


def unit(nodeid: str) -> str:
    """Return what one worker runs in one go: the test's file, or only the test."""
    file = file_of(nodeid)
    spread = known_seconds().get(file, 0) > SPREAD and not shares(file)
    return nodeid if spread else file


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by the seconds of their unit."""
    tests: dict[str, int] = defaultdict(int)
    for item in items:
        tests[file_of(item.nodeid)] += 1

    def seconds(item: pytest.Item) -> float:
        file = file_of(item.nodeid)
        whole = known_seconds().get(file, 0.1 * tests[file])
        return whole if unit(item.nodeid) == file else whole / tests[file]

    items.sort(key=lambda item: -seconds(item))


def shared_worlds_last(items: list[pytest.Item]) -> None:
    """Put the tests of each file that share one of its fixtures after its other tests.

    moto has one state in a process: a cloud of a test's own would replace that of the file.
    """
    files: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[file_of(item.nodeid)].append(item)
    ordered = {file: iter(sorted(tests, key=shares_fixture)) for file, tests in files.items()}
    items[:] = [next(ordered[file_of(item.nodeid)]) for item in items]


def shares_fixture(item: pytest.Item) -> bool:
    """Return whether a fixture of a test is made once for its file, as pytest knows it."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs.values() if info else ()
    return any(fixture[-1].scope in {"module", "class"} for fixture in found if fixture)


def by_unit(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that gives each worker the next unit when it starts its last test."""
    scheduler: Any = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit
    return scheduler
