"""Ctrl-C and SIGTERM on the third script as a separate process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from tests.support.openwhisk import make_jar, openwhisk

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


def wait_for_puts(whisk: OpenWhiskServer, count: int) -> None:
    ends = time.monotonic() + 30
    while len(whisk.puts) < count:
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_its_uploads_exits_130_and_resumes_later(
    tmp_path: Path, sign: signal.Signals
) -> None:
    jar = make_jar(tmp_path / "nn.jar", size=50_000)
    with openwhisk() as whisk:
        whisk.faults.seconds = 0.15
        process = begin(whisk, jar, "--json")
        wait_for_puts(whisk, 2)
        process.send_signal(sign)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        document = json.loads(out)
        assert document["result"] == "interrupted"
        done = [step["name"] for step in document["steps"] if step["end"].startswith("created")]
        left = [step["name"] for step in document["steps"] if step["end"] == "not started"]
        assert sorted(done) == sorted(whisk.store.actions)
        assert len(left) >= 2
        assert len(done) + len(left) == 18
        whisk.faults.seconds = 0
        again = begin(whisk, jar)
        again.communicate(timeout=30)
        assert again.returncode == 0
        assert len(whisk.puts) == 18
