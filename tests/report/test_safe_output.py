"""No text of another party reaches a terminal, a page or a log with its control characters."""

from __future__ import annotations

import io
import json
import logging
import re
import unicodedata
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from aws_setup.cli.debug_log import SafeFormatter
from aws_setup.engine.history import EventLog, RunStarted, read_events
from aws_setup.engine.plan import Row
from aws_setup.engine.receipt import write_receipt
from aws_setup.engine.result import Result
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action, Drift, Found
from aws_setup.errors import Problem
from aws_setup.report import Report, Style
from aws_setup.report.page import page
from tests.report.test_console import Disk, Terminal

CANARY = "\x1b]0;x\x07\u202e\r\nfake line[bold red]\x9b2J\u200b"

pytestmark = pytest.mark.kind("C5")


def leaks(text: str) -> list[str]:
    """Return the invisible characters of a text, but for line feeds."""
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [c for c in text if c != "\n" and unicodedata.category(c) in bad]


def show_everything(report: Report) -> None:
    """Call every method that prints, each with the canary in each of its texts."""
    found = Found(CANARY, CANARY, {"notes": [CANARY]}, (Drift(CANARY, CANARY, CANARY, CANARY),))
    rows = [Row(Disk(CANARY), Action.CONFLICT, found), Row(Disk(CANARY), Action.CREATE)]
    rows.append(Row(Disk(CANARY), Action.UNKNOWN, error=ValueError(CANARY)))
    report.message(CANARY)
    report.result(CANARY)
    report.plan(rows)
    report.plan(rows, states=True)
    report.plan(rows, deleting=True)
    report.problems([Problem(CANARY, CANARY, CANARY)])
    report.problems([Problem(CANARY, CANARY, CANARY)], warning=True)
    table = Table(box=None)
    table.add_column(CANARY)
    table.add_row(Text(CANARY))
    report.table(table)
    for shown in (report.progress({CANARY: ()}), report.upload_progress(1, 100)):
        with shown as progress:
            for kind in EventKind:
                progress(StepEvent(1.0, kind, CANARY, Action.CREATE, CANARY, CANARY))


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_printed_has_control_characters(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    streams = [Terminal() if terminal else io.StringIO() for _ in range(2)]
    monkeypatch.setattr("sys.stdout", streams[0])
    monkeypatch.setattr("sys.stderr", streams[1])
    monkeypatch.setenv("NO_COLOR", "1")
    show_everything(Report(Style()))
    for stream in streams:
        assert stream.getvalue()
        assert not leaks(re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()))


def test_a_live_terminal_gets_the_escape_sequences_of_rich_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = [Terminal(), Terminal()]
    monkeypatch.setattr("sys.stdout", streams[0])
    monkeypatch.setattr("sys.stderr", streams[1])
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    show_everything(Report(Style()))
    text = streams[0].getvalue() + streams[1].getvalue()
    assert "\x1b[" in text
    assert not set("\x07\u202e\x9b\u200b") & set(text)
    assert "\x1b]" not in text


@pytest.mark.kind("B10")
def test_a_problem_is_one_line_and_its_fix_another(capsys: pytest.CaptureFixture[str]) -> None:
    Report(Style()).problems(
        [Problem("OpenWhisk rejected a", "first\nsecond\r\n third", "fix\nit")]
    )
    assert capsys.readouterr().err.splitlines() == [
        "error: OpenWhisk rejected a: first second  third",
        "  Fix: fix it",
    ]


def test_markup_of_another_party_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(Style())
    report.message("[bold]a[/bold] [link=x]b[/]")
    assert capsys.readouterr().err == "[bold]a[/bold] [link=x]b[/]\n"


def test_json_for_a_terminal_keeps_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result("create", problems=[Problem(CANARY, CANARY, CANARY)])
    Report(Style(json=True)).document(result)
    text = capsys.readouterr().out
    assert not leaks(text)
    assert json.loads(text)["problems"][0]["what"] == CANARY


def test_log_receipt_and_page_have_no_control_characters(tmp_path: Path) -> None:
    log, path = EventLog(script="s", command=CANARY), tmp_path / "x.events.jsonl"
    log.begin(
        RunStarted(CANARY, CANARY, CANARY, CANARY, needs={CANARY: (CANARY,)}), now=0, path=path
    )
    for at, kind in enumerate((EventKind.START, EventKind.NOTE, EventKind.FAILED)):
        log.tell(StepEvent(at * 5, kind, CANARY, Action.CREATE, CANARY, CANARY))
    log.finish(now=20, result="failed", api_calls=1, problems=[Problem(CANARY, CANARY, CANARY)])
    write_receipt(tmp_path / "x.json", {"deployment": CANARY}, {CANARY: Found(CANARY, CANARY)})
    for file in (path, tmp_path / "x.json"):
        assert not leaks(file.read_text(encoding="utf-8"))
    (record,) = read_events(path)
    assert not leaks(page([record], facts=[CANARY]))


def test_a_log_record_is_one_line() -> None:
    formatter = SafeFormatter("%(message)s")
    record = logging.LogRecord("x", logging.INFO, "f", 1, "got %s", (CANARY,), None)
    assert "\n" not in formatter.format(record)
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    assert not leaks(formatter.format(record))
