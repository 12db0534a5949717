"""Damaged inputs of every reader, the same in each run; `python -m tests.trust --fuzz` has more."""

from __future__ import annotations

import pytest

from tests.trust.fuzz.readers import READERS
from tests.trust.fuzz.search import search

EXAMPLES = 40

pytestmark = pytest.mark.kind("C5", "C7")


@pytest.mark.parametrize("name", READERS)
def test_damaged_input_is_a_value_or_an_error_with_a_fix(name: str) -> None:
    assert [f"{data!r}: {why}" for data, why in search(name, number=EXAMPLES, seed=1)] == []
