"""A benchmark writes its own table into its document, and nothing else; what tables share."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

processes = import_module("benchmarks.processes")  # a program, which mypy checks as such


NAMES = ["work", "makespan", "scale", "setting_up", "peers", "ssh_scale", "whisk"]


@pytest.mark.parametrize("name", NAMES)
def test_only_the_lines_between_its_two_comments_change(name: str, tmp_path: Path) -> None:
    benchmark = import_module(f"benchmarks.{name}")
    copy = tmp_path / "document.md"
    before = benchmark.DOCUMENT.read_text(encoding="utf-8")
    copy.write_text(before, encoding="utf-8")
    for _ in range(2):
        processes.write_block(copy, benchmark.BEGIN, benchmark.END, "| a new | table |")
    head, _, rest = before.partition(benchmark.BEGIN)
    _, end, tail = rest.partition(benchmark.END)
    expected = f"{head}{benchmark.BEGIN}\n| a new | table |\n{end}{tail}"
    assert copy.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("text", ["no comments", "<a> only", "<b> first <a>", "<a> <b> <a> <b>"])
def test_a_document_without_that_block_is_not_changed(text: str, tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text(text)
    with pytest.raises(ValueError, match="one block"):
        processes.write_block(document, "<a>", "<b>", "x")
    assert document.read_text() == text


def test_the_cost_of_one_more_is_the_slope_since_the_row_before() -> None:
    assert processes.each_more([(10, 50.0), (20, 80.0), (120, 80.0)]) == ["–", "3.00", "0.00"]
    assert processes.each_more([(10, 50.0)]) == ["–"]
    assert processes.each_more([]) == []


def test_each_table_says_with_what_it_was_measured() -> None:
    line = processes.conditions("benchmarks.work", 5, "moto")
    assert "`python -m benchmarks.work`: 5 runs, medians." in line
    for part in ("cores (", "Python 3.", "boto3 1.", "moto 5.", "Load of the computer at the end"):
        assert part in line
    for name in NAMES:
        source = Path(import_module(f"benchmarks.{name}").__file__ or "").read_text("utf-8")
        assert f'conditions("benchmarks.{name}"' in source, name


def test_the_benchmark_of_all_passes_the_number_of_runs() -> None:
    every = import_module("benchmarks.__main__")
    for name in every.BENCHMARKS:
        command = every.command(name, runs=3, write=True)
        assert command[-1] == "--write", name
        assert name == "makespan" or command[-3:-1] == ["--runs", "3"], "virtual time: one run"
