"""The table of the kinds of faults that users met names every case, and tests of it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "rehearsal.md").read_text(encoding="utf-8")
SECTION = TEXT.split("\n## Kinds of faults that users met\n")[1].split("\n## ")[0]
CASES = [
    f"{letter}{number}"
    for letter, count in (("A", 12), ("B", 10), ("C", 14), ("D", 6))
    for number in range(1, count + 1)
]


def rows() -> dict[str, list[str]]:
    """Return case -> the other cells of its row."""
    lines = [line for line in SECTION.splitlines() if re.match(r"\| [A-D]\d+ \|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: others for first, *others in cells}


def marked() -> dict[str, set[str]]:
    """Return case -> the test files in which a test carries its marker."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for arguments in re.findall(r"pytest\.mark\.kind\(([^)]*)\)", text):
            for case in re.findall(r'"([A-D]\d+)"', arguments):
                found.setdefault(case, set()).add(path.relative_to(ROOT / "tests").as_posix())
    return found


def test_every_case_has_a_row_and_a_test() -> None:
    assert list(rows()) == CASES
    assert sorted(marked()) == sorted(CASES)


def test_a_row_names_tests_that_carry_its_marker_and_modules_that_exist() -> None:
    found = marked()
    for case, (_, handled, tests) in rows().items():
        named = set(re.findall(r"`([^`]+)`", tests))
        assert named, case
        assert named <= found[case], case
        for name in re.findall(r"`([^`]+)`", handled):
            places = (ROOT / "aws_setup" / name, ROOT / name)
            assert any(place.exists() for place in places), f"{case}: {name}"
