"""What the demo prints itself, between the output of the scripts."""

from __future__ import annotations

import pytest

from aws_setup.rehearsal.demo.output import Output


def test_no_line_ends_with_blanks_and_long_values_continue_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    output = Output()
    output.introduction([("cloud", "http://127.0.0.1:1"), ("machines", "OpenSSH servers, " * 6)])
    output.line("Critical path: " + ", ".join(["core-nodes"] * 12), wrap=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "cloud     http://127.0.0.1:1"
    assert lines[3].startswith("          OpenSSH")
    assert [line for line in lines if line != line.rstrip()] == []
    assert all(len(line) <= 60 for line in lines[1:])
