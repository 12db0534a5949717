"""How the story ends when it should not end well: leftovers, writes, failures, signals."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from aws_setup.rehearsal.demo import runner
from aws_setup.rehearsal.demo.options import DemoOptions
from aws_setup.rehearsal.demo.scenario import CREATE_SCRIPT, DemoStep
from tests.support.demo import started

pytestmark = pytest.mark.timeout(240)

PLANT = """
import boto3
boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")
"""
TIDY = """
import boto3
ec2 = boto3.client("ec2")
ec2.delete_vpc(VpcId=ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])
"""
PLAN = DemoStep("Plan", CREATE_SCRIPT, ("plan",), unchanged=True)


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def act(folder: Path, source: str, *, unchanged: bool = False) -> DemoStep:
    script = folder.parent / "act.py"
    script.write_text(source)
    return DemoStep("An act", str(script), ("act",), unchanged=unchanged)


def told(monkeypatch: pytest.MonkeyPatch, *acts: DemoStep) -> int:
    monkeypatch.setattr(runner, "ACTS", acts)
    return runner.run_demo(DemoOptions(speed=1000, imitate=True))


def test_a_leftover_turns_verdict_and_exit_code(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, act(tmp, PLANT)) == 1
    output = capsys.readouterr().out
    assert "left: ec2 vpc vpc-" in output
    assert "WRONG: 1 things are left" in output
    assert "All went as it should" not in output


def test_a_write_where_nothing_was_to_do_is_wrong(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, act(tmp, TIDY, unchanged=True)) == 1
    output = capsys.readouterr().out
    assert "it should change nothing and wrote (1 ec2.CreateVpc, 1 ec2.DeleteVpc)" in output
    assert "nothing is left" in output


def test_a_script_that_fails_is_named_and_ends_the_story(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = act(tmp, "print('its own words')\nraise SystemExit(1)")
    assert told(monkeypatch, failing, PLAN) == 1
    output = capfd.readouterr().out
    assert "its own words" in output
    assert f"WRONG: exit code 1 instead of 0: {failing.line}" in output
    assert "2 of 2" not in output
    assert list(tmp.iterdir()) == []


def test_what_it_says_when_all_is_well(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, PLAN) == 0
    output = capfd.readouterr().out
    assert "machines  imitated, without MySQL NDB (as you asked)" in output
    assert "All went as it should." in output


def test_the_folder_stays_when_asked(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "ACTS", (PLAN,))
    assert runner.run_demo(DemoOptions(speed=1000, imitate=True, keep=True)) == 0
    (kept,) = tmp.iterdir()
    assert f"kept: {kept}" in capfd.readouterr().out.splitlines()
    assert (kept / "config_aws.yaml").is_file()


linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")


@linux
@pytest.mark.parametrize(
    "moment", ["λFS in rehearsal", "zookeeper ensemble: lambdafs", "ebs csi role: created"]
)
def test_ctrl_c_leaves_nothing(tmp_path: Path, moment: str) -> None:
    with started(tmp_path / "tmp", "--speed", "200") as run:
        run.until(moment)
        run.press_ctrl_c()
        began = time.monotonic()
        assert run.rest() == 130, run.text
        assert time.monotonic() - began < 30
        assert run.gone(within=5), run.alive()
    assert run.lines[-1] == "stopped; nothing is left running"
    assert "Traceback" not in run.text


@linux
@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGTERM, "vpc: created"), (signal.SIGHUP, "1 of 12")]
)
def test_a_signal_to_the_story_alone_ends_the_script_too(
    tmp_path: Path, number: int, moment: str
) -> None:
    with started(tmp_path / "tmp", "--speed", "200", "--imitate-machines") as run:
        run.until(moment)
        os.kill(run.process.pid, number)
        assert run.rest() == 130, run.text
        assert run.gone(within=5), run.alive()
    assert "Traceback" not in run.text


@linux
def test_even_killed_it_leaves_nothing(tmp_path: Path) -> None:
    with started(tmp_path / "tmp", "--speed", "60") as run:
        run.until("ssh: created")
        folder = next(run.tmp.iterdir())
        assert (folder / "machines").is_dir()
        run.process.kill()
        run.rest()
        assert run.gone(within=60), run.alive()


@linux
def test_a_reader_that_goes_away_and_an_output_without_our_letters(tmp_path: Path) -> None:
    with started(
        tmp_path / "tmp", "--speed", "200", "--imitate-machines", PYTHONIOENCODING="ascii"
    ) as run:
        assert run.until("FS in rehearsal").startswith("?FS")
        run.until("1 of 12")
        assert run.process.stdout
        run.process.stdout.close()
        assert run.process.wait(60) != 0
        assert run.gone(within=5), run.alive()
