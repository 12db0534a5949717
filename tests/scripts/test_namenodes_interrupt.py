"""Ctrl-C and SIGTERM on the third script as a separate process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aws_setup.rehearsal.openwhisk.faults import Fault
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from tests.support.openwhisk import make_jar, openwhisk
from tests.support.signals import deliver

SCRIPT = Path(__file__).resolve().parents[2] / "whisk_helper.py"


def begin(whisk: OpenWhiskServer, jar: Path, *arguments: str) -> subprocess.Popen[str]:
    command = ["-n", "18", "--create", "--memory", "20000", "--jobs", "2", "-j", str(jar)]
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *command, *arguments],
        env=os.environ | {"WHISK_APIHOST": whisk.url, "WHISK_AUTH": AUTH},
        cwd=jar.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Gate:
    """Lets some requests pass, and holds the next ones until it is opened."""

    def __init__(self, whisk: OpenWhiskServer, passes: int, patch: pytest.MonkeyPatch) -> None:
        self.whisk, self.left, self.plain = whisk, passes, whisk.faults.next_fault
        self.lock = threading.Lock()
        self.reached, self.opened = threading.Event(), threading.Event()
        patch.setattr(whisk.faults, "next_fault", self.pass_or_hold)

    def pass_or_hold(self, method: str, name: str) -> Fault | None:
        if method == "PUT":
            with self.lock:
                self.left -= 1
                holds = self.left < 0
            if holds:
                self.reached.set()
                self.opened.wait(240)
        return self.plain(method, name)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_its_uploads_exits_130_and_resumes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals
) -> None:
    jar = make_jar(tmp_path / "nn.jar", size=50_000)
    with openwhisk() as whisk:
        gate = Gate(whisk, 2, monkeypatch)
        process = begin(whisk, jar, "--json")
        assert gate.reached.wait(240)
        deliver(process, sign)
        gate.opened.set()
        out, err = process.communicate(timeout=240)
        assert process.returncode == 130, err
        document = json.loads(out)
        assert document["result"] == "interrupted"
        done = [step["name"] for step in document["steps"] if step["end"].startswith("created")]
        left = [step["name"] for step in document["steps"] if step["end"] == "not started"]
        assert sorted(done) == sorted(whisk.store.actions)
        assert len(left) >= 14, "at most two of --jobs 2 ran beside the two that had passed"
        assert len(done) + len(left) == 18
        again = begin(whisk, jar)
        again.communicate(timeout=240)
        assert again.returncode == 0
        assert len(whisk.puts) == 18
