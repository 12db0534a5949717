"""`python -m aws_setup.rehearsal serve`, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.engine.flag import Flag
from aws_setup.rehearsal import cli
from aws_setup.rehearsal.cli import main
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.demo.workspace import Workspace
from tests.support.aws import client, refused

SERVE = [sys.executable, "-m", "aws_setup.rehearsal", "serve"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def server(state: Path) -> Iterator[subprocess.Popen[str]]:
    fault = {"fault": "fail", "action": "DescribeVpcs", "code": "InternalError", "times": 1}
    (state / "faults.json").write_text(json.dumps([fault]))
    command = [*SERVE, "--speed", "0", "--state-dir", str(state)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `serve` end at once, as after a Ctrl-C."""
    flag = Flag()
    flag.set()
    monkeypatch.setattr(cli, "stop_flag", lambda: nullcontext(flag))


def test_serves_on_loopback_until_ctrl_c(
    server: subprocess.Popen[str],
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert server.stdout
    lines: list[str] = []
    while not lines or not lines[-1].startswith("$env:AWS_SETUP_PACE"):
        lines.append(server.stdout.readline().rstrip())
    assert "export AWS_SETUP_PACE=0" in lines
    assert "set -gx AWS_REGION us-east-1" in lines
    exports = [line.removeprefix("export ") for line in lines if line.startswith("export AWS_")]
    for name, value in (line.split("=", 1) for line in exports):
        monkeypatch.setenv(name, value)
    ec2 = client("ec2")
    assert refused(ec2.describe_vpcs) == "InternalError"
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    port = int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2])
    assert f"http://127.0.0.1:{port}" in lines[0]
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))  # in use if the server listened on every address
    assert main(["serve", "--port", str(port)]) == 2
    taken = capsys.readouterr()
    assert taken.err.count("\n") == 1
    assert str(port) in taken.err
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=240) == 0
    calls = json.loads((state / "calls.json").read_text())
    assert [call["action"] for call in calls] == ["DescribeVpcs", "CreateVpc"]
    left = json.loads((state / "snapshot.json").read_text())
    assert [resource["kind"] for resource in left] == ["vpc", "key-pair"]


@pytest.mark.parametrize(
    ("name", "content", "output"),
    [
        ("faults.json", '[{"fault": "explode"}]', "explode"),
        ("faults.json", "[{", "faults.json"),
        ("faults.json", '"x"', "faults"),
        ("settings.json", '{"quotas": {"vcpu": 1}}', "vcpu"),
        ("settings.json", "[]", "settings.json"),
        ("settings.json", '{"speed": 0.0001}', "speed"),
        ("settings.json", '{"latencies": {"nat": 1}}', "nat"),
    ],
)
def test_bad_state_file(
    state: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, output: str
) -> None:
    (state / name).write_text(content)
    code, end = main(["serve", "--state-dir", str(state)]), capsys.readouterr()
    assert (code, end.err.count("\n")) == (2, 1)
    assert output in end.err
    assert not end.out


def test_bad_port_and_speed() -> None:
    assert main(["serve", "--port", "70000"]) == 2
    assert main(["serve", "--speed", "-1"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--speed", "fast"])


def test_machines_that_the_user_wants_imitated_have_that_as_their_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "reason_for_inprocess_vms", lambda: "")
    machines = SimpleNamespace(ssh_config=tmp_path / "ssh_config")
    cloud = SimpleNamespace(url="http://127.0.0.1:1", settings=Settings())
    running: Any = SimpleNamespace(cloud=cloud, imitated=True, machines=machines)
    helm = tmp_path / "bin" / "helm"
    text = cli.connection_instructions(running, Workspace(tmp_path, helm))
    assert "The machines are imitated: --imitate-machines.\n" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_state_that_cannot_be_written_at_the_end_is_named(
    state: Path, stopped: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "calls.json").symlink_to("/dev/full")
    words = ["serve", "--speed", "0", "--imitate-machines", "--state-dir", str(state)]
    assert main(words) == 2
    assert f"error: {state / 'calls.json'}: No space left on device" in capsys.readouterr().err


def test_a_reader_that_has_read_enough_does_not_stop_the_cloud(
    stopped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        assert main(["serve", "--speed", "0", "--imitate-machines"]) == 0
