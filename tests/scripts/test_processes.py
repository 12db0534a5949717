"""The script as a separate process: two at once, Ctrl-C, another folder, no terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from tests.support.clock import advance_by_calls
from tests.support.scripts import prepare

SCRIPT = Path(__file__).resolve().parents[2] / "create_aws_infrastructure.py"


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the script in a folder, as a shell would."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kinds(cloud: RehearsalCloud) -> Counter[tuple[str, str]]:
    """Return how many resources of each kind and step exist."""
    resources = cloud.snapshot()
    return Counter((found.kind, found.tags.get("lambda-fs:step", "")) for found in resources)


@pytest.mark.parametrize("round_", range(3))
def test_two_concurrent_runs_create_each_resource_once(
    cloud: RehearsalCloud, tmp_path: Path, round_: int
) -> None:
    first, second = prepare(tmp_path / "a"), prepare(tmp_path / "b")
    alone = start(first, "--yes", "--quiet")
    assert alone.wait(240) == 0
    expected = kinds(cloud)
    assert start(first, "destroy", "--yes", "--quiet").wait(240) == 0
    both = [start(folder, "--yes", "--json") for folder in (first, second)]
    ended = [process.communicate(timeout=240) for process in both]
    again = start(first, "--yes", "--json")
    out, err = again.communicate(timeout=240)
    assert again.returncode == 0, (out, err, ended)
    assert kinds(cloud) == expected, ended


def test_ctrl_c_ends_at_once_and_the_next_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(Settings(speed=0)) as cloud:
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
        monkeypatch.setenv("AWS_SETUP_PACE", "0.03")
        asked = hold_gateways(cloud, monkeypatch)
        folder = prepare(tmp_path / "work")
        process = start(folder, "--yes", "--json")
        assert asked.wait(240)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 130, err
        assert json.loads(out)["result"] == "interrupted"
        assert "Traceback" not in err
        receipt = json.loads((folder / "receipts" / "lambda-fs.json").read_text())
        assert "vpc" in receipt["steps"]
        advance_by_calls(cloud, 30)
        again = start(folder, "--yes", "--json", "--no-wait")
        out, err = again.communicate(timeout=240)
        assert again.returncode == 0, (out, err)
        assert kinds(cloud)["vpc", "vpc"] == 1
        assert sum(count for (_, step), count in kinds(cloud).items() if step == "nat gateway") == 1


def hold_gateways(cloud: RehearsalCloud, patch: pytest.MonkeyPatch) -> threading.Event:
    """Let time stop at the request for a NAT gateway, which stays pending; return that event."""
    plain, asked = cloud.handle, threading.Event()

    def handle(request: HttpRequest) -> HttpAnswer:
        if b"Action=CreateNatGateway" in request.body:
            advance_by_calls(cloud, 0)
        answer = plain(request)
        if b"Action=CreateNatGateway" in request.body:
            asked.set()
        return answer

    patch.setattr(cloud, "handle", handle)
    return asked


def test_from_another_folder_with_a_relative_configuration(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work")
    process = start(tmp_path, "plan", "-y", str(Path("work") / "config_aws.yaml"))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "create  vpc" in out
    assert folder.exists()


def test_without_a_terminal_it_refuses_to_guess(cloud: RehearsalCloud, tmp_path: Path) -> None:
    process = start(prepare(tmp_path / "work"))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert "--yes" in err
    assert "\x1b[" not in out + err, "no colours without a terminal"
