"""Ctrl-C at any moment: no lock is left taken, and what only reads is not waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from aws_setup.engine.reads import Reads
from aws_setup.errors import Interrupted

ROOT = Path(__file__).resolve().parents[2]


def ends(program: str) -> None:
    """Run a program that prints "ended" as its last line, and check that it does and exits."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


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
    ends(INTERRUPTIONS)


GRAPH = "run_graph({n: set() for n in range(4)}, work, stop=lambda: None)"
MACHINES = "pool.each(range(4), work)"
INVENTORY = "read_inventory()"
PRICES = "pricing._listed(cloud, sorted(pricing.QUERIES))"
CHECKS = "checks.run(SimpleNamespace(aws=cloud), ())"
CLOCK = "wake_sleepers()"

INTERRUPTED_IN_A_LOCK = """
import sys, threading, time
from types import SimpleNamespace
from aws_setup.aws import inventory, pricing
from aws_setup.engine.graph import run_graph
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted
from aws_setup.preflight import checks
from aws_setup.ssh.pool import MachinePool

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

def work(*_):
    time.sleep(0.01)
    return True

cloud = SimpleNamespace(writes=lambda _: 0, shared={}, identity=None, region="")
inventory._READERS = {name: work for name in inventory._READERS}
pricing._ask_together = lambda *_: time.sleep(0.01) or {}
checks.CHECKS = {str(number): work for number in range(4)}
checks.planned_resources = checks.charges_of = checks.price = work

def read_inventory():
    found = inventory.Inventory(cloud, None)
    try:
        found.load()
        for kind in inventory._READERS:
            found.all(kind)
    finally:
        found.close()

def wake_sleepers():
    clock, asleep = SystemClock(), []
    def sleep():
        asleep.append(1)
        try:
            clock.sleep(3600)
        except Interrupted:
            asleep.pop()
    sleepers = [threading.Thread(target=sleep, daemon=True) for _ in range(3)]
    for sleeper in sleepers:
        sys.settrace(None)
        sleeper.start()
    sys.settrace(trace)
    try:
        clock.stop()
    except KeyboardInterrupt:
        clock.stop()
    for sleeper in sleepers:
        sleeper.join()
    assert not asleep

for moment in range(1, 9):
    left = [moment]
    try:
        sys.settrace(trace)
        PARALLEL_WORK
    except (Interrupted, KeyboardInterrupt):
        pass
    except AttributeError:
        pass  # the stand-ins have nothing of what follows the parallel work
    finally:
        sys.settrace(None)
print("ended", flush=True)
"""


@pytest.mark.parametrize(
    "parallel",
    [GRAPH, MACHINES, INVENTORY, PRICES, CHECKS, CLOCK],
    ids=["graph", "machines", "inventory", "prices", "checks", "clock"],
)
def test_a_ctrl_c_while_threads_start_leaves_no_lock_taken(parallel: str) -> None:
    """The main thread takes no lock that a job's thread needs to start or to end."""
    ends(INTERRUPTED_IN_A_LOCK.replace("PARALLEL_WORK", parallel))


SILENT_CLOUD = """
import _thread, threading
from types import SimpleNamespace
from aws_setup.aws import inventory

def never(*_):
    _thread.interrupt_main()
    threading.Event().wait()

inventory._READERS = {"vpcs": never}
found = inventory.Inventory(SimpleNamespace(writes=lambda _: 0), None)
try:
    found.all("vpcs")
except KeyboardInterrupt:
    found.close()
    print("ended", flush=True)
"""


def test_a_ctrl_c_does_not_wait_for_what_is_being_read() -> None:
    """A network that answers no more would keep the process for many timeouts of botocore."""
    ends(SILENT_CLOUD)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, Interrupted])
def test_only_an_interrupt_ends_a_block_of_reads_before_them(
    interrupt: type[BaseException],
) -> None:
    going, ended = threading.Event(), threading.Event()

    def read() -> None:
        going.wait(240)
        ended.set()

    with pytest.raises(interrupt), Reads("test") as reads:
        reads.start(read)
        raise interrupt
    assert not ended.is_set()
    with pytest.raises(ValueError, match="first"), Reads("test") as others:
        others.start(partial(ended.wait, 240))
        going.set()
        raise ValueError("first")
    assert ended.is_set()


def test_reads_return_and_raise_what_their_jobs_do_in_their_order() -> None:
    with Reads("test") as reads:
        assert reads.each(lambda number: 10 // number, [5, 2, 1]) == [2, 5, 10]
        failed = reads.start(lambda: 1 // 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                failed.result()
