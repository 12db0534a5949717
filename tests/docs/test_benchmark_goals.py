"""The goals of benchmarks.work: in the table, and with a sentence where one is missed."""

from __future__ import annotations

from importlib import import_module

import pytest

work = import_module("benchmarks.work")  # a program, which mypy checks as such
processes = import_module("benchmarks.processes")


def test_each_goal_belongs_to_a_row_of_the_table() -> None:
    rows = {title for title, _, _ in work.PAIRS} | {work.WITH_SOFTWARE, work.HELP}
    assert set(work.GOALS) <= rows


@pytest.mark.parametrize(("processor", "sentences"), [(2.0, 0), (2.1, 1)])
def test_a_missed_ratio_has_a_sentence(processor: float, sentences: int) -> None:
    figure = processes.Figure
    pairs = [(figure(9, processor, 145, 45), figure(1, 1, 49, 45))]
    found = work.missed("fresh `create`", pairs)
    assert len(found) == sentences
    assert all("processor ≤ 2×: it is 2.10×" in line for line in found)
    assert work.row("fresh `create`", pairs).endswith("| processor ≤ 2×, writes ≤ 1× |")


def test_a_goal_in_seconds_is_no_ratio() -> None:
    figure = processes.Figure
    assert work.missed(work.HELP, [(figure(0.3, 0), figure(0.05, 0))]) == []
    (line,) = work.missed(work.HELP, [(figure(0.4, 0), figure(0.3, 0))])
    assert "wall ≤ 0.35 s: it is 0.40 s" in line
