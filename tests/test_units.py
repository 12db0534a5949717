"""What one worker runs in one go: no shared fixture is made by two workers."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.support import units
from tests.support.units import (
    file_of,
    longest_first,
    shared_worlds_last,
    shares_fixture,
    unit,
)

LONG = ("one.py", "two.py", "five.py", "six.py")
"""Files that take longer than one worker's turn."""


def test_tests_that_share_a_fixture_are_one_unit(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        if shares_fixture(item):
            assert unit(item.nodeid) == file_of(item.nodeid)


def test_only_long_files_without_shared_fixtures_are_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.py").write_text('@pytest.fixture(scope="module")\ndef world(): ...\n')
    (tmp_path / "two.py").write_text("def test_a(): ...\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "four.py").write_text((tmp_path / "one.py").read_text("utf-8"))
    (tmp_path / "five.py").write_text("from tests.four import world\n")
    (tmp_path / "six.py").write_text("from tests.four import other\n")
    monkeypatch.setattr(units, "ROOT", tmp_path)
    monkeypatch.setattr(units, "known_seconds", lambda: dict.fromkeys(LONG, 60.0))
    units.shared_fixtures.cache_clear()
    assert unit("one.py::test_a[x::y]") == "one.py"
    assert unit("two.py::test_a[x::y]") == "two.py::test_a[x::y]"
    assert unit("three.py::test_a") == "three.py"
    assert unit("five.py::test_a") == "five.py", "the fixture of another file is imported"
    assert unit("six.py::test_a") == "six.py::test_a"


def test_the_order_keeps_every_test(request: pytest.FixtureRequest) -> None:
    before = list(request.session.items)
    after = before.copy()
    longest_first(after)
    shared_worlds_last(after)
    assert Counter(map(id, after)) == Counter(map(id, before))


def test_a_file_s_world_is_made_after_the_clouds_of_single_tests(
    request: pytest.FixtureRequest,
) -> None:
    drawn = list(request.session.items)
    random.Random(1).shuffle(drawn)
    shared_worlds_last(drawn)
    for items in (drawn, request.session.items):
        begun = set()
        for item in items:
            if shares_fixture(item):
                begun.add(item.path)
            else:
                assert item.path not in begun, f"{item.nodeid} replaces the cloud of its file"
