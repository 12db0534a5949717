"""The third script's lines in the deployment's event log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from aws_setup.engine.history import RunRecord, read_events
from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from aws_setup.report.timeline import SpanOutcome, spans
from tests.support.openwhisk import make_jar, openwhisk
from whisk_helper import main


@pytest.fixture
def whisk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OpenWhiskServer]:
    with openwhisk() as running:
        monkeypatch.setenv("WHISK_APIHOST", running.url)
        monkeypatch.setenv("WHISK_AUTH", AUTH)
        monkeypatch.setenv("AWS_SETUP_PACE", "0")
        monkeypatch.chdir(tmp_path)
        make_jar(tmp_path / "nn.jar", size=20_000)
        text = "ssh_keypair_name: k\nssh_key_path: k.pem\ninfrastructure_json_path: receipts\n"
        (tmp_path / "config_aws.yaml").write_text(text)
        yield running


def exit_code(*arguments: str) -> int:
    return CliRunner().invoke(main, [*arguments, "-j", "nn.jar"]).exit_code


def log() -> list[RunRecord]:
    return read_events(Path("receipts") / "lambda-fs.events.jsonl")


def test_each_action_is_a_step_of_the_run(whisk: OpenWhiskServer) -> None:
    assert exit_code("-n", "5", "--create") == 0
    [record] = log()
    assert record.head.command == "whisk create"
    assert record.head.deployment == "lambda-fs"
    assert list(record.head.needs) == [f"namenode{index}" for index in range(5)]
    found = {span.step: span for span in spans(record)}
    assert {span.outcome for span in found.values()} == {SpanOutcome.CREATED}
    assert found["namenode3"].id.startswith("version ")
    assert record.end
    assert (record.end.result, record.end.api_calls > 5) == ("ok", True)
    assert AUTH.split(":")[1] not in Path("receipts/lambda-fs.events.jsonl").read_text()


def test_read_only_runs_and_runs_without_changes_leave_no_line(whisk: OpenWhiskServer) -> None:
    assert exit_code("-n", "2", "--create") == 0
    for arguments in (["--create"], ["--sync", "--plan"], ["--verify"]):
        assert exit_code("-n", "2", *arguments) == 0
    assert len(log()) == 1


def test_what_failed_and_what_did_not_start(whisk: OpenWhiskServer) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, status=403, times=1000))
    assert exit_code("-n", "9", "--create", "--jobs", "1") == 1
    [record] = log()
    outcomes = [span.outcome for span in spans(record)]
    assert outcomes.count(SpanOutcome.FAILED) == 1
    assert outcomes.count(SpanOutcome.BLOCKED) == 8
    assert record.end
    assert record.end.result == "failed"


def test_without_a_configuration_there_is_no_log(whisk: OpenWhiskServer) -> None:
    Path("config_aws.yaml").unlink()
    assert exit_code("-n", "2", "--create") == 0
    assert not list(Path().rglob("*.jsonl"))
