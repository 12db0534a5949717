"""--help of every program that argparse parses: its command, a description, and 80 columns."""

from __future__ import annotations

import runpy
import sys

import pytest

PROGRAMS = (
    "aws_setup.rehearsal",
    "aws_setup.rehearsal.openwhisk",
    "benchmarks",
    "benchmarks.makespan",
    "benchmarks.peers",
    "benchmarks.scale",
    "benchmarks.setting_up",
    "benchmarks.ssh_scale",
    "benchmarks.whisk",
    "benchmarks.work",
    "tests.regenerate_docs",
    "tests.trust",
)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("program", PROGRAMS)
def test_help_fits_80_columns(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(program, run_name="__main__")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m {program} ")
    assert max(map(len, text.splitlines())) <= 80
    _, description, *_ = text.split("\n\n")
    assert not description.startswith("options:")
