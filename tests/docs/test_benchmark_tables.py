"""A benchmark writes its own table into docs/performance.md, and nothing else."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
processes = import_module("benchmarks.processes")  # a program, which mypy checks as such


@pytest.mark.parametrize("name", ["work", "makespan", "scale", "setting_up", "peers"])
def test_only_the_lines_between_its_two_comments_change(name: str, tmp_path: Path) -> None:
    benchmark = import_module(f"benchmarks.{name}")
    copy = tmp_path / "performance.md"
    before = DOCUMENT.read_text(encoding="utf-8")
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
