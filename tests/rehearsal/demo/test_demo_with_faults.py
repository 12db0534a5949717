"""The complete demo with random faults: it still succeeds."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from aws_setup.rehearsal.cli import main
from aws_setup.rehearsal.demo import runner
from aws_setup.rehearsal.demo.scenario import CREATE_SCRIPT, DemoStep
from tests.support.demo import leaves_nothing
from tests.support.script_runs import run_script

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class ForkedScripts(runner.ScriptRunner):
    """Runs the scripts in processes that have imported; test_demo.py starts them as users do."""

    def run(self, step: DemoStep) -> int:
        """Run a step's command to its end and print its output; return its exit code."""
        done = run_script(
            step.script, *step.words, folder=self.cleanup.folder, environment=self.environment
        )
        sys.stderr.write(done.stderr)
        sys.stdout.write(done.stdout)
        return done.returncode


def test_the_demo_succeeds_with_random_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    # What starts the forks has a temporary folder too, of all tests of this process.
    run_script(CREATE_SCRIPT, "--help", folder=tmp_path, environment=os.environ)
    monkeypatch.setattr("tempfile.tempdir", str(tmp))
    monkeypatch.setattr(runner, "ScriptRunner", ForkedScripts)
    code = main(["--speed", "100", "--chaos", "7"])
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert code == 0, text
    summary = re.search(r"^random faults \(seed 7\): (\d+): (.*)$", captured.out, re.MULTILINE)
    assert summary, text
    assert int(summary[1]) > 50
    for kind in ("throttled", "lost answers", "stale reads", "slow transitions"):
        assert kind in summary[2]
    assert "Traceback" not in text
    assert leaves_nothing(tmp), text
