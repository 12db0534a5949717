"""Python and the packages of requirements.txt: are they there, and new enough?

This module needs nothing but Python's own library, because the others may be missing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"

OLDEST_PYTHON = (3, 11)

INSTALL = "pip install --require-hashes -r requirements.lock, in a virtual environment"
"""The fix of everything here but Python itself."""

INSTALL_FIX = f"activate the virtual environment (source .venv/bin/activate), or {INSTALL}"
"""The fix of missing packages: they may be there for another Python."""

WHAT = "python and packages"
"""The title of these problems."""

_LINE = re.compile(r"^([A-Za-z0-9._-]+)\s*((?:[<>=]=?\s*[\d.]+\s*,?\s*)*)")
_BOUND = re.compile(r"([<>=]=?)\s*([\d.]+)")

_HOLDS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": lambda has, bound: has >= bound,
    "<=": lambda has, bound: has <= bound,
    "==": lambda has, bound: has == bound,
    ">": lambda has, bound: has > bound,
    "<": lambda has, bound: has < bound,
}


def python_problem(version: tuple[int, ...]) -> str:
    """Return what is wrong with a version of Python, '' for nothing."""
    if version[:2] >= OLDEST_PYTHON:
        return ""
    has, wants = ".".join(map(str, version[:2])), ".".join(map(str, OLDEST_PYTHON))
    return f"this is Python {has}, and {wants} or newer is needed"


@contextmanager
def required(command: str, *, at_once: bool = False) -> Iterator[None]:
    """End the run with cause and fix where what is inside needs a newer Python, or a package.

    It is the first that a script does: a new terminal often has another Python than the one of
    the virtual environment. Packages are looked for when one cannot be imported, or `at_once`.
    Ctrl-C ends it without a traceback.
    """
    if problem := python_problem(sys.version_info[:3]):
        _refuse(command, problem, "use a newer Python")
    if at_once and (missing := missing_packages()):
        _refuse(command, not_installed(missing), INSTALL_FIX)
    try:
        yield
    except ImportError:
        if missing := missing_packages():
            _refuse(command, not_installed(missing), INSTALL_FIX)
        raise
    except KeyboardInterrupt:  # before the run has begun to handle it
        sys.exit(130)


def not_installed(names: Sequence[str]) -> str:
    """Return the sentence for missing packages."""
    return f"{', '.join(names)}: not installed"


def _refuse(command: str, problem: str, fix: str) -> NoReturn:
    """Say what Python or its packages lack, with --json as the document, and end the process.

    Exit code 2, a refusal: nothing was written; of `doctor`, whose checks fail, 1.
    """
    end, code = ("failed", 1) if command == "doctor" else ("refused", 2)
    import json  # 3 ms, which --help does not need

    if "--json" in sys.argv[1:]:
        problems = [{"what": WHAT, "why": problem, "hint": fix}]
        document = {"command": command, "result": end, "problems": problems}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stderr.write(f"error: {WHAT}: {problem}\n  Fix: {fix}\n")
    sys.exit(code)


def missing_packages(requirements: Path = REQUIREMENTS) -> list[str]:
    """Return the names of the required packages that are not installed."""
    return [name for name, _ in _required(requirements) if not _version(name)]


def package_problems(requirements: Path = REQUIREMENTS) -> list[str]:
    """Return each package that is missing or of another version than requirements.txt allows."""
    problems = []
    for name, bounds in _required(requirements):
        has = _version(name)
        if not has:
            problems.append(f"{name} is not installed")
        elif not all(_HOLDS[sign](*_same_length(has, bound)) for sign, bound in bounds):
            wants = ",".join(f"{sign}{bound}" for sign, bound in bounds)
            problems.append(f"{name} is {has}, and {wants} is needed")
    return problems


def _required(requirements: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each package of the file with the bounds of its version."""
    for line in requirements.read_text(encoding="utf-8").splitlines():
        match = _LINE.match(line)
        if match:
            yield match[1], _BOUND.findall(match[2])


def _version(name: str) -> str:
    """Return a package's version, '' when it is not installed."""
    from importlib import metadata  # 10 ms, which --help does not need

    try:
        return metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        return ""


def _same_length(one: str, other: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return two versions as numbers, the shorter one continued with zeros: 2.0 is 2."""
    first, second = ([int(part) for part in re.findall(r"\d+", text)[:4]] for text in (one, other))
    length = max(len(first), len(second))
    return (
        tuple(first + [0] * (length - len(first))),
        tuple(second + [0] * (length - len(second))),
    )
