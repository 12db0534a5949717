"""Python and the packages of requirements.txt: are they there, and new enough?

This module needs nothing but Python's own library, because the others may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"

OLDEST_PYTHON = (3, 11)

INSTALL = "pip install --require-hashes -r requirements.lock, in a virtual environment"
"""The fix of everything here but Python itself."""

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
