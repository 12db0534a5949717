"""The event log: its lines, what it never contains, its size, and a full disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aws_setup.cli.debug_log import redact
from aws_setup.engine import history
from aws_setup.engine.history import (
    EventLog,
    PlannedStep,
    RunEnded,
    RunRecord,
    RunStarted,
    parse,
    read_events,
)
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.errors import Problem
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

HEAD = RunStarted(
    command="create",
    script="create_aws_infrastructure.py",
    deployment="lambda-fs",
    region="us-east-1",
    started="2026-11-23T12:00:00+00:00",
    needs={"vpc": (), "subnet": ("vpc",)},
    hourly_usd=0.5,
    parts={"network": 0.5},
    plan={"vpc": PlannedStep("create"), "subnet": PlannedStep("exists", "subnet-1", "available")},
)


def written(path: Path | None, *happened: StepEvent, head: RunStarted = HEAD) -> EventLog:
    """Return the log of a run that started at 100 s of its clock and ended 9 s later."""
    log = EventLog(script=head.script, command=head.command, redact=redact)
    log.begin(head, now=100.0, path=path)
    for event in happened:
        log.tell(event)
    log.finish(now=109.0, result="ok", api_calls=7, problems=[Problem("a", "b", "c")])
    return log


def at(
    seconds: float, kind: EventKind, text: str = "", id: str = "", step: str = "vpc"
) -> StepEvent:
    return StepEvent(100 + seconds, kind, step, Action.CREATE, text, id)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "made" / "events.jsonl"
    done = [
        at(0, EventKind.START),
        at(1.5, EventKind.NOTE, "pending"),
        at(2, EventKind.DONE, id="vpc-1"),
    ]
    log = written(path, *done)
    [record] = read_events(path)
    assert record == log.record()
    assert record.head == HEAD
    assert [event.at for event in record.events] == [0, 1.5, 2]
    assert record.end
    assert (record.end.seconds, record.end.api_calls) == (9, 7)
    assert path.stat().st_mode & 0o077 == 0


def test_the_lines_are_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sent = StepEvent(101, EventKind.PROGRESS, "vpc", bytes=7)
    written(path, sent, at(2, EventKind.DONE, id="vpc-1"))
    first, event, end = [json.loads(line) for line in path.read_text().splitlines()]
    assert {first["kind"], event["kind"], end["kind"]} == {"run", "done", "end"}
    assert len({first["run"], event["run"], end["run"]}) == 1
    assert {"command", "script", "deployment", "region", "started", "hourly_usd"} <= first.keys()
    assert first["needs"] == {"vpc": [], "subnet": ["vpc"]}
    assert event.items() >= {"at": 2, "step": "vpc", "action": "create", "id": "vpc-1"}.items()
    assert end.items() >= {"result": "ok", "seconds": 9, "api_calls": 7}.items()


def test_the_documentation_names_every_field_and_kind() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "report.md").read_text("utf-8")
    table = text.split("| kind |")[1].split("\n\n")[0]
    lines = (RunStarted, StepEvent, RunEnded, PlannedStep, Problem)
    fields = {name for line in lines for name in line.__dataclass_fields__}
    live_only = {"bytes", EventKind.PROGRESS, EventKind.AGAIN}
    for word in (fields | set(EventKind) | {"run", "end"}) - live_only:
        assert f"`{word}`" in table or word == "kind", word


def test_interleaved_and_incomplete_runs_are_separated(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    one = EventLog(script="a", command="create", redact=redact)
    two = EventLog(script="b", command="configure", redact=redact)
    for log in (one, two):
        log.begin(HEAD, now=0.0, path=path)
    one.tell(at(1, EventKind.START))
    two.tell(at(2, EventKind.START))
    two.finish(now=3.0, result="failed", api_calls=0)
    with path.open("a") as file:
        file.write('{"kind": "done", "ru')
    written(path)
    records = read_events(path)
    assert [len(record.events) for record in records] == [1, 1, 0]
    assert [record.end.result if record.end else None for record in records] == [
        None,
        "failed",
        "ok",
    ]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("arn:aws:iam::123456789012:role/eks is not there", "123456789012"),
        ("602401143452.dkr.ecr.us-east-1.amazonaws.com/eks", "602401143452"),
        ("bucket lambda-fs-123456789012", "123456789012"),
        ("key AKIAIOSFODNN7EXAMPLE is not valid", "AKIAIOSFODNN7EXAMPLE"),
        ("https://sts/?X-Amz-Signature=5f2a&x=1", "5f2a"),
        ("token k8s-aws-v1.aHR0cHM6Ly9zdHM", "aHR0cHM6Ly9zdHM"),
        ("mysql --password=hunter2 failed", "hunter2"),
        ("Authorization: Basic MjNiYzQ2YjE=", "MjNiYzQ2YjE="),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END", "MIIE"),
    ],
)
def test_secrets_and_accounts_are_left_out(text: str, secret: str, tmp_path: Path) -> None:
    assert secret not in redact(text)
    path = tmp_path / "events.jsonl"
    log = EventLog(script="s", command="create", redact=redact)
    log.begin(HEAD, now=0.0, path=path)
    log.tell(at(1, EventKind.FAILED, text, id=text))
    log.finish(now=1.0, result="failed", api_calls=0, problems=[Problem(text, text, text)])
    assert secret not in path.read_text()
    assert secret not in repr(log.record())


def test_ids_are_kept() -> None:
    for identifier in ("i-0123456789abcdef0", "eipalloc-0a12345678901234b", "10.0.0.0/16"):
        assert redact(identifier) == identifier


def test_an_unwritable_folder_is_one_warning(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    log = written(blocked / "events.jsonl", at(0, EventKind.START), at(1, EventKind.DONE))
    assert log.warning
    assert str(blocked) in log.warning.why
    assert len(log.record().events) == 2, "the record continues in memory"


def test_a_full_disk_is_one_warning(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        full = tmp_path  # a folder cannot be written either
    log = EventLog(script="s", command="create", redact=redact)
    log.begin(HEAD, now=0.0, path=full)
    assert log.warning
    assert "the run continued" in log.warning.why


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT_BYTES", 20_000)
    path = tmp_path / "events.jsonl"
    noisy = [at(n, EventKind.NOTE, "x" * 2000) for n in range(200)]
    for number in range(6):
        written(path, *noisy, head=RunStarted("create", "s", started=str(number)))
        records = read_events(path)
        assert records[-1].head.started == str(number)
        assert all(len(record.events) == history.NOTES for record in records), "runs stay complete"
    longest = history.NOTES * (history.TEXT + 200)
    assert path.stat().st_size < 20_000 + longest
    assert path.stat().st_mode & 0o077 == 0


def test_a_line_separator_in_a_text_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    written(path, at(1, EventKind.NOTE, "one\u2028two\nthree"))
    [record] = read_events(path)
    assert record.events[0].text == "one two three"


def test_unknown_lines_are_skipped() -> None:
    assert (
        parse(["", "[]", "{}", "null", '{"kind": "done", "run": "x", "at": 1, "step": "s"}']) == []
    )


def test_runs_of_the_script_are_logged(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work")
    assert run(SCRIPT, folder, "plan").exit_code == 0
    path = folder / "receipts" / "lambda-fs.events.jsonl"
    assert not path.exists(), "plan leaves no line"
    assert run(SCRIPT, folder, "create", "--yes").exit_code == 0
    assert run(SCRIPT, folder, "create", "--yes").exit_code == 0
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    made, again, gone = read_events(path)
    assert [one.head.command for one in (made, again, gone)] == ["create", "create", "destroy"]
    assert all(one.end and one.end.result == "ok" and one.end.api_calls for one in (made, again))
    assert made.head.hourly_usd
    assert kinds(made) == dict.fromkeys(made.head.needs, ("done", "create"))
    assert kinds(again) == dict.fromkeys(again.head.needs, ("done", "exists"))
    assert kinds(gone) == dict.fromkeys(gone.head.needs, ("done", "delete"))
    assert "vpc" in made.head.needs["internet gateway"]
    assert gone.head.needs["vpc"], "of a removal: what must be gone first"
    text = path.read_text()
    assert ACCOUNT not in text
    assert str(folder / "key.pem") not in text


def kinds(record: RunRecord) -> dict[str, tuple[str, str]]:
    """Return how each step ended."""
    ends = {event.step: event for event in record.events if event.kind is not EventKind.START}
    return {step: (event.kind, event.action) for step, event in ends.items()}


def test_a_run_continues_without_its_log(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work")
    run(SCRIPT, folder, "create", "--yes", "--only", "vpc")
    log = folder / "receipts" / "lambda-fs.events.jsonl"
    log.unlink()
    log.mkdir()
    ended = run(SCRIPT, folder, "destroy", "--yes")
    assert ended.exit_code == 0
    assert ended.stderr.count("the event log could not be written") == 1


def test_a_failed_run_says_so_in_the_log(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work")
    cloud.faults.add({"fault": "fail", "action": "CreateNatGateway", "code": "Bad", "status": 400})
    assert run(SCRIPT, folder, "create", "--yes").exit_code == 1
    [record] = read_events(folder / "receipts" / "lambda-fs.events.jsonl")
    assert record.end
    assert record.end.result == "failed"
    assert any("nat gateway" in problem.what for problem in record.end.problems)
    ended = {event.step: event.kind for event in record.events}
    assert ended["nat gateway"] is EventKind.FAILED
    assert ended["private route"] is EventKind.BLOCKED
