"""A Ctrl-C at any moment of a graph or of many machines leaves no lock taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTIONS = """
import random, signal, time
from aws_setup.engine.graph import run_graph
from aws_setup.errors import Interrupted

def end(*_):
    raise KeyboardInterrupt

def work(number):
    if number == 31:
        signal.setitimer(signal.ITIMER_REAL, drawn.uniform(0.003, 0.02))
    time.sleep(0.002 + 0.0007 * number)  # so that they end one after the other
    return True

signal.signal(signal.SIGALRM, end)
drawn = random.Random(1)
for _ in range(100):
    try:
        run_graph({number: set() for number in range(32)}, work, stop=lambda: None)
        time.sleep(1)
    except (Interrupted, KeyboardInterrupt):
        pass
print("ended")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no setitimer")
def test_a_ctrl_c_at_any_moment_leaves_no_job_waiting_for_a_lock() -> None:
    """The main thread may be interrupted while it holds what a job needs to end."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTIONS],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "ended\n", done.stderr


GRAPH = "run_graph({n: set() for n in range(4)}, work, stop=lambda: None)"
MACHINES = "pool.each(range(4), work)"

INTERRUPTED_IN_A_LOCK = """
import sys, threading, time
from aws_setup.engine.graph import run_graph
from aws_setup.engine.wait import SystemClock
from aws_setup.ssh.pool import MachinePool
from aws_setup.errors import Interrupted

pool = MachinePool.__new__(MachinePool)
pool.clock = SystemClock()
CONDITION = threading.Condition.__enter__.__code__

def trace(frame, event, argument):
    if frame.f_code is CONDITION:
        if event == "return":
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt  # as a signal's handler does, with the lock taken
        return trace

def work(_):
    time.sleep(0.01)
    return True

for moment in range(1, 9):
    left = [moment]
    try:
        sys.settrace(trace)
        PARALLEL_WORK
    except (Interrupted, KeyboardInterrupt):
        pass
    finally:
        sys.settrace(None)
print("ended", flush=True)
"""


@pytest.mark.parametrize("parallel", [GRAPH, MACHINES], ids=["graph", "machines"])
def test_a_ctrl_c_while_threads_start_leaves_no_lock_taken(parallel: str) -> None:
    """The main thread takes no lock that a job's thread needs to start or to end."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_A_LOCK.replace("PARALLEL_WORK", parallel)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
