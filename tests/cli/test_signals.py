"""What ends a run: a signal that a library loses, one at a question, and threads still at work."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.engine import write_guard
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted
from aws_setup.ssh.pool import MachinePool
from tests.support.signals import deliver

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import json, os, signal, sys, time, weakref
from pathlib import Path
from aws_setup.cli.main import Invocation, run_guarded
from aws_setup.cli.main import _signals as heard
from aws_setup.cli.options import SharedOptions
from aws_setup.cli.prompts import confirm, prompt_function, secret_prompt_function
from aws_setup.engine.graph import run_graph
from aws_setup.errors import Interrupted, SetupError

def arrive():
    os.kill(os.getpid(), signal.{number})

class Connection:
    def __del__(self):
        arrive()

class Silent:
    def __del__(self):
        try:
            arrive()
            for _ in range(100): pass
        except:
            pass

def finalizer(): Connection()
def silent(): Silent()
def callback():
    class Target: pass
    target = Target()
    weakref.finalize(target, arrive)
    del target
def library():
    try:
        arrive()
        for _ in range(100): pass
    except (Exception, KeyboardInterrupt) as error:
        raise SetupError("no port can be reached", "", "run allow-my-ip") from error
def jobs():
    def job(name):
        for count in (1, 2):
            arrive()
            while len(heard) < count:
                time.sleep(0.01)
        sys.stderr.write("the job ended\\n")
        return True
    try:
        run_graph({"step": set()}, job, stop=lambda: None)
    except Interrupted:
        sys.stderr.write("what a run does at its end\\n")
        raise
def question(): confirm("go on", yes=False, ask=prompt_function())
def secret(): secret_prompt_function()("Passphrase")

def work(result, report):
    {case}()

options = SharedOptions(as_json=True)
invocation = Invocation("create", options, Path("/none"), config_optional=True, without_config=work)
sys.exit(run_guarded(invocation, lambda *_: None))
"""


PASSPHRASE = """
from contextlib import contextmanager
from aws_setup.cli import namenodes
from aws_setup.errors import Refused
from whisk_helper import main

@contextmanager
def open_session(request, config, *, ask, **_):
    heard = len(ask("Passphrase of key").split())
    raise Refused(f"it heard {heard} words", "", "")
    yield

namenodes.open_session = open_session
main()
"""
"""whisk_helper.py, which needs the key of a machine."""

WHY = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "the terminal was closed"}
"""Signal -> what the run says of it."""


def program(case: str, number: str = "SIGINT") -> list[str]:
    text = RUN.replace("{number}", number).replace("{case}", case)
    return [sys.executable, "-c", text]


def run_program(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of this project in a folder to its end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("case", ["finalizer", "silent", "callback", "library"])
def test_a_signal_that_is_lost_on_its_way_ends_the_run_as_interrupted(
    tmp_path: Path, case: str, number: str
) -> None:
    ended = run_program(program(case, number), tmp_path)
    assert ended.returncode == 130, ended.stderr
    assert '"result": "interrupted"' in ended.stdout
    assert f'"why": "{WHY[number]}"' in ended.stdout
    assert "allow-my-ip" not in ended.stdout


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_terminal_that_closes_is_no_second_ctrl_c(tmp_path: Path, number: str) -> None:
    """It sends SIGHUP twice, and what a run does at its end, as the deadline, must be done."""
    ended = run_program(program("jobs", number), tmp_path)
    assert ended.returncode == 130, ended.stderr
    assert "the job ended" in ended.stderr
    assert ("what a run does at its end" in ended.stderr) == (number != "SIGINT")


def wait_until_it_reads(pid: int) -> None:
    """Return when a process reads standard input: a signal just before does not interrupt that.

    Nobody answers within a millisecond. `read` is call 0 on x86-64, and 63 on arm64 (syscall(2)).
    """
    while Path(f"/proc/{pid}/syscall").read_text().split()[:2] not in (["0", "0x0"], ["63", "0x0"]):
        time.sleep(0.001)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_passphrase_that_whisk_helper_asks_for_is_not_shown(tmp_path: Path) -> None:
    """Of the key with which it reads the jar on the client VM, -j ssh://."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PASSPHRASE, "--list"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"key: " not in shown:
        shown += os.read(terminal, 1000)
    wait_until_it_reads(process.pid)
    os.write(terminal, b"correct horse\n")
    while b"words" not in shown:
        shown += os.read(terminal, 1000)
    process.wait(240)
    os.close(terminal)
    assert b"it heard 2 words" in shown
    assert b"horse" not in shown


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("case", ["question", "secret"])
@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "end of input"])
def test_at_a_question_a_signal_and_the_end_of_input_interrupt(
    tmp_path: Path, case: str, way: str
) -> None:
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        program(case),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,  # without a controlling terminal: getpass asks on standard input
        text=True,
    )
    os.close(theirs)
    shown = b""
    while b": " not in shown:
        shown += os.read(terminal, 1000)
    if way == "end of input":
        os.write(terminal, b"\x04")
    else:
        wait_until_it_reads(process.pid)
        deliver(process, signal.Signals[way])
    stdout, _ = process.communicate(timeout=240)
    shown += os.read(terminal, 1000)
    os.close(terminal)
    assert process.returncode == 130, stdout
    assert '"result": "interrupted"' in stdout
    assert shown.endswith(b"\n"), "what follows does not begin in the line of the question"
    (problem,) = json.loads(stdout)["problems"]
    assert problem["why"] == WHY.get(way, "the input has ended")
    assert ("nothing was changed" in problem["what"]) == (case == "question")


def test_ctrl_c_waits_for_the_threads_that_work_on_machines(tmp_path: Path) -> None:
    config = Config(
        ssh_keypair_name="key",
        ssh_key_path=str(tmp_path / "key"),
        infrastructure_json_path=str(tmp_path),
    )
    clock = SystemClock()
    pool = MachinePool(config, clock)
    ended: list[str] = []
    begun = threading.Barrier(2)

    def work(name: str) -> None:
        begun.wait(240)
        if name == "first":
            signal.raise_signal(signal.SIGINT)  # Python's handler runs in the main thread
        try:
            clock.sleep(3600)
        except Interrupted:
            ended.append(name)
            raise

    with pytest.raises(KeyboardInterrupt):
        pool.each(["first", "second"], work)
    assert sorted(ended) == ["first", "second"]


def test_threads_of_an_interrupted_run_write_no_more_and_the_next_run_does() -> None:
    refused: list[bool] = []

    def late() -> None:
        try:
            write_guard.before_write()
            refused.append(False)
        except Interrupted:
            refused.append(True)

    def in_a_thread() -> None:
        thread = threading.Thread(target=late)
        thread.start()
        thread.join()

    with pytest.raises(KeyboardInterrupt), write_guard.guarding(lambda: None):
        in_a_thread()
        raise KeyboardInterrupt
    in_a_thread()
    write_guard.before_write()  # the run itself gives its lock back
    with write_guard.guarding(lambda: None):
        in_a_thread()
    assert refused == [False, True, False]


@pytest.mark.parametrize("words", [["create_aws_infrastructure.py"], ["-m", "aws_setup", "doctor"]])
def test_ctrl_c_while_the_program_is_loaded_leaves_no_traceback(
    tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "")
