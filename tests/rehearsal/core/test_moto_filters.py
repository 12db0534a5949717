"""Filters of EC2: wildcards, and the names that contain one."""

from __future__ import annotations

import pytest

from aws_setup.aws.filters import literal
from aws_setup.rehearsal.core.moto_filters import matches

NAMES = ["mine", "mi*", "mi?e", "mi", "a\\b", "[a]"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("mi*", ["mine", "mi*", "mi?e", "mi"]),
        ("mi?", ["mi*", "mi"]),
        (r"mi\*", ["mi*"]),
        (r"mi\?e", ["mi?e"]),
        (r"a\\b", ["a\\b"]),
        ("[a]", ["[a]"]),
    ],
)
def test_wildcards_are_those_of_ec2(pattern: str, found: list[str]) -> None:
    assert [name for name in NAMES if matches(name, pattern)] == found


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_taken_literally_matches_itself_alone(name: str) -> None:
    assert [other for other in NAMES if matches(other, literal(name))] == [name]
