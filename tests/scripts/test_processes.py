"""The script as a separate process: two at once, Ctrl-C, another folder, no terminal."""

from __future__ import annotations

import json
import os
import re
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
from create_aws_infrastructure import SCRIPT as STORY
from tests.support.clock import advance_by_calls
from tests.support.script_runs import Request, Zygote
from tests.support.scripts import prepare, run

SCRIPT = Path(__file__).resolve().parents[2] / "create_aws_infrastructure.py"

ROUNDS = 3
"""How often two runs start at once: each time they meet at other calls."""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its runs")


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


def request(folder: Path, *words: str) -> Request:
    """Return a run of the script in a folder, with this process's environment."""
    return Request(SCRIPT.stem, words, folder, dict(os.environ))


@linux_only
def test_two_concurrent_runs_create_each_resource_once(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    first, second = prepare(tmp_path / "a"), prepare(tmp_path / "b")
    runs = Zygote()
    assert run(STORY, first, "--yes", "--quiet").exit_code == 0
    expected = kinds(cloud)
    for _ in range(ROUNDS):
        assert run(STORY, first, "destroy", "--yes", "--quiet").exit_code == 0
        at_once(runs, first, second)
        again = run(STORY, first, "--yes", "--json")
        assert again.exit_code == 0, (again.stdout, again.stderr, printed(first, second))
        assert kinds(cloud) == expected, printed(first, second)


def at_once(runs: Zygote, *folders: Path) -> None:
    """Run the script in separate processes at once, to their ends."""
    started = [runs.start(request(folder, "--yes", "--json")) for folder in folders]
    for process in started:
        process.wait()


def printed(*folders: Path) -> list[str]:
    """Return what the runs of the folders have printed."""
    return [(folder / f"run.{name}").read_text() for folder in folders for name in ("out", "err")]


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
        again = run(STORY, folder, "--yes", "--json", "--no-wait")
        assert again.exit_code == 0, (again.stdout, again.stderr)
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
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It also imports nothing that only destroy, the other scripts or software need."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    folder = prepare(tmp_path / "work")
    process = start(tmp_path, "--yes", "-y", str(Path("work") / "config_aws.yaml"))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "create  vpc" in out
    assert folder.exists()
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", err, flags=re.MULTILINE))
    assert "aws_setup.tables.infrastructure" in imported, "the list is complete"
    unused = {
        "tables.teardown",
        "infrastructure.leftovers",
        "namenodes.action",
        "software.machines",
    }
    unused = {f"aws_setup.{name}" for name in unused} | {"kubernetes", "rich._emoji_codes"}
    assert imported & unused == set()


def test_without_a_terminal_it_refuses_to_guess(cloud: RehearsalCloud, tmp_path: Path) -> None:
    process = start(prepare(tmp_path / "work"))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert "--yes" in err
    assert "\x1b[" not in out + err, "no colours without a terminal"
