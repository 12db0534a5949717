"""The table of --list in a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from aws_setup.namenodes.action import CurrentAction
from aws_setup.namenodes.selection import Selection
from aws_setup.report import Report, Style
from aws_setup.report.namenodes import print_list
from aws_setup.report.verification import print_checks
from aws_setup.verify.check import CheckOutcome, CheckStatus, Verification
from tests.report.test_console import Terminal


@pytest.mark.parametrize("columns", [60, 80])
def test_nothing_is_cut_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    found = CurrentAction("namenode-of-the-paper-12", "0.0.12", "java", 20_000, 4, 0.0, web=True)
    print_list(Report(Style(no_color=True)), Selection("namenode-of-the-paper-"), [found], [])
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns


def test_in_40_columns_no_word_is_cut_by_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal wraps whole lines; the columns were five letters wide."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    found = CurrentAction("namenode-of-the-paper-12", "0.0.12", "java", 20_000, 4, 0.0, web=True)
    print_list(Report(Style(no_color=True)), Selection("namenode-of-the-paper-"), [found], [])
    ended = CheckOutcome("client to NDB manager", CheckStatus.SKIPPED, "no connection accepted")
    print_checks(Report(Style(no_color=True)), Verification([ended]))
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    for words in ("concurrency", found.name, "client to NDB manager", "no connection accepted"):
        assert words in text


@pytest.mark.parametrize(
    ("jars", "said"),
    [
        ("", "0 actions."),
        ("a", "1 action."),
        ("aa", "2 actions, all with the same jar."),
        ("aab", "3 actions with 2 different jars."),
    ],
)
def test_the_jars_of_the_listed_actions_are_counted(
    capsys: pytest.CaptureFixture[str], jars: str, said: str
) -> None:
    action = CurrentAction("n0", "0.0.1", "java", 300, 4, 0.0, web=True)
    found = [replace(action, name=f"n{i}", sha256=jar) for i, jar in enumerate(jars)]
    print_list(Report(Style(no_color=True)), Selection("n"), found, [])
    assert said in capsys.readouterr().out.splitlines()
