"""How the demo ends with remaining resources, unexpected writes, failed scripts and signals."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.flag import Flag
from aws_setup.rehearsal.core.cleanup import Cleanup
from aws_setup.rehearsal.demo import runner
from aws_setup.rehearsal.demo.scenario import CREATE_SCRIPT, DemoOptions, DemoStep
from tests.support.demo import started

pytestmark = pytest.mark.timeout(240)

CREATE_VPC = """
import boto3
boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")
"""
CREATE_AND_DELETE_VPC = """
import boto3
ec2 = boto3.client("ec2")
tags = [{"Key": "lambda-fs:deployment", "Value": "lambda-fs"}]
of_vpc = [{"ResourceType": "vpc", "Tags": tags}]
made = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=of_vpc)
ec2.delete_vpc(VpcId=made["Vpc"]["VpcId"])
"""
PLAN = DemoStep("Plan", CREATE_SCRIPT, ("plan",), unchanged=True)


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def step(folder: Path, source: str, *, unchanged: bool = False) -> DemoStep:
    script = folder.parent / "step.py"
    script.write_text(source)
    return DemoStep("A step", str(script), ("step",), unchanged=unchanged)


def run_steps(monkeypatch: pytest.MonkeyPatch, *steps: DemoStep) -> int:
    monkeypatch.setattr(runner, "DEMO_STEPS", steps)
    return runner.run_demo(DemoOptions(speed=1000, imitate=True))


def test_a_remaining_resource_is_a_failure(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_steps(monkeypatch, step(tmp, CREATE_VPC)) == 1
    output = capsys.readouterr().out
    assert "remaining: ec2 vpc vpc-" in output
    assert "FAILED: resources remain: 1" in output
    assert "All steps succeeded" not in output


def test_an_unexpected_write_is_a_failure(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_steps(monkeypatch, step(tmp, CREATE_AND_DELETE_VPC, unchanged=True)) == 1
    output = capsys.readouterr().out
    assert "expected no writes, but got 1 ec2.CreateVpc, 1 ec2.DeleteVpc" in output
    assert "nothing remains" in output


def test_a_failed_script_is_named_and_ends_the_demo(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = step(tmp, "print('output of the script')\nraise SystemExit(1)")
    assert run_steps(monkeypatch, failing, PLAN) == 1
    output = capfd.readouterr().out
    assert "output of the script" in output
    assert f"FAILED: exit code 1 instead of 0: {failing.command_line}" in output
    assert "2 of 2" not in output
    assert list(tmp.iterdir()) == []


def test_a_script_that_ctrl_c_ends_before_the_demo_asks_once_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(subprocess.Popen[bytes]):
        """A script that has ended when the demo asks for the first time."""

        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            self.wait()

    stop = Flag()
    stop.set()
    with Cleanup() as cleanup:
        monkeypatch.setattr("subprocess.Popen", Ended)
        scripts = runner.ScriptRunner(cleanup, os.environ, stop)
        killed = step(tmp_path / "step", "import os; os.kill(os.getpid(), 2)")
        with pytest.raises(runner.DemoStopped):
            scripts.run(killed)


def test_the_verdict_of_a_successful_demo(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_steps(monkeypatch, PLAN) == 0
    output = capfd.readouterr().out
    assert "machines  imitated (--imitate-machines); without MySQL NDB" in output
    assert "All steps succeeded." in output


def test_keep_does_not_delete_the_folder(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "DEMO_STEPS", (PLAN,))
    assert runner.run_demo(DemoOptions(speed=1000, imitate=True, keep=True)) == 0
    (kept,) = tmp.iterdir()
    assert f"kept: {kept}" in capfd.readouterr().out.splitlines()
    assert (kept / "config_aws.yaml").is_file()


linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")


@linux
@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("λFS rehearsal", ()),
        ("zookeeper ensemble: lambdafs", ()),
        # With the second script helm runs; the machines do nothing.
        ("ebs csi role: created", ("--imitate-machines",)),
    ],
)
def test_ctrl_c_leaves_no_process_and_no_folder(
    tmp_path: Path, moment: str, words: tuple[str, ...]
) -> None:
    with started(tmp_path / "tmp", "--speed", "200", *words) as run:
        run.until(moment)
        run.press_ctrl_c()
        assert run.rest() == 130, run.text
        assert run.gone(), run.alive()
    assert run.lines[-1] == "stopped; all processes have ended"
    assert "Traceback" not in run.text


@linux
@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGTERM, "vpc: created"), (signal.SIGHUP, "1 of 12")]
)
def test_a_signal_to_the_demo_ends_the_script_too(tmp_path: Path, number: int, moment: str) -> None:
    with started(tmp_path / "tmp", "--speed", "200", "--imitate-machines") as run:
        run.until(moment)
        os.kill(run.process.pid, number)
        assert run.rest() == 130, run.text
        assert run.gone(), run.alive()
    assert "Traceback" not in run.text


@linux
@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["process", "process group"])
def test_kill_9_leaves_no_process_and_no_folder(
    tmp_path: Path, kill: Callable[[int, int], None]
) -> None:
    with started(tmp_path / "tmp", "--speed", "200") as run:
        run.until("ssh: created")
        folder = next(run.tmp.iterdir())
        assert (folder / "machines").is_dir()
        kill(run.process.pid, signal.SIGKILL)
        run.rest()
        assert run.gone(within=60), run.alive()


@linux
def test_a_closed_pipe_and_an_ascii_output(tmp_path: Path) -> None:
    with started(
        tmp_path / "tmp", "--speed", "200", "--imitate-machines", PYTHONIOENCODING="ascii"
    ) as run:
        assert run.until("FS rehearsal").startswith("lambdaFS")
        run.until("1 of 12")
        assert run.process.stdout
        run.process.stdout.close()
        assert run.process.wait(240) != 0
        assert run.gone(), run.alive()
