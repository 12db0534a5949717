"""One run, of which the world is kept as it is at many of its writes, as if it were killed there.

At a write the run and its programs are stopped (SIGSTOP), and the process that has the emulated
world is forked with the files of the operator. The copy does nothing until the run has ended,
which goes on at once. Then each copy in turn goes on from its state: for it, the run has ended at
that write. So the run is made once and not once for each kill. Linux only.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import shutil
import signal
import socket
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from aws_setup.rehearsal.core import loopback
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from tests.support.signals import family, wait_until_stopped
from tests.trust.cliffs import Cliff
from tests.trust.world import World, answer_parent, outcome_in

MOST = 64
"""Copies of the world that are kept at a time: each has its own memory for what differs."""

LONGEST = 300
"""Seconds after which a copy that goes on and has not ended has failed."""


@dataclass(frozen=True)
class Moment:
    """The world at one write: a process that waits for a byte, and a copy of the files."""

    pid: int
    begin: int
    """The file descriptor that lets the process go on."""
    answer: Path


@dataclass
class KeptWorlds:
    """Keeps the world at some writes of a run, and then lets each copy do the same work."""

    world: World
    wanted: Collection[Cliff]
    work: Callable[[Cliff], Any]
    """What each copy does."""
    moments: dict[Cliff, Moment] = field(default_factory=dict)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the wanted copies of the run in this block; those left end with this process."""
        self.world.tap.at_write = self._at_write
        try:
            yield
        finally:
            self.world.tap.at_write = None

    def go_on(self, cliff: Cliff) -> Any:
        """Return what the work returns in the copy of one write.

        Raises:
            Failed: the text of an exception of the work.
        """
        moment = self.moments.pop(cliff)
        os.write(moment.begin, b"!")
        os.close(moment.begin)
        # The copy, which has the same sockets, continues this process when it has ended.
        os.kill(os.getpid(), signal.SIGSTOP)
        os.waitpid(moment.pid, 0)
        return outcome_in(moment.answer)

    def _at_write(self, cliff: Cliff) -> None:
        """Keep a copy; the caller has the tap's lock, so that no other request is worked on."""
        if cliff not in self.wanted or cliff in self.moments:
            return
        run = self.world.tap.pid
        assert run, "a run makes its first request long after its process has a number"
        stopped = family(run)
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            wait_until_stopped(pid)
        try:
            self._wait_until_accepted()
            self.moments[cliff] = self._fork(cliff)
        finally:
            for pid in reversed(stopped):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _wait_until_accepted(self) -> None:
        """Return when no connection of the run waits in a queue, from which the copy took it."""
        loopback.wait_until_accepted()
        machines = self.world.environment.machines
        assert isinstance(machines, InProcessVmPool)
        with selectors.DefaultSelector() as selector:
            for vm in machines.vms.values():
                selector.register(vm.listener, selectors.EVENT_READ)
            while selector.select(0):
                time.sleep(0.001)

    def _fork(self, cliff: Cliff) -> Moment:
        name = f"{self.world.folder.name}.at-{len(self.moments)}"
        files = self.world.folder.with_name(name)
        shutil.copytree(self.world.folder, files, symlinks=True)
        reading, begin = os.pipe()
        answer = files.with_name(f"{name}.answer")
        with self.world.cloud.lock:
            pid = os.fork()
            if pid == 0:
                self.world.cloud.lock.release()
                os.close(begin)
                self._be_the_copy(cliff, reading, files, answer)
        os.close(reading)
        return Moment(pid, begin, answer)

    def _be_the_copy(self, cliff: Cliff, reading: int, files: Path, answer: Path) -> NoReturn:
        parent = os.getppid()

        def serve_and_work() -> Any:
            gc.disable()
            _leave_connections()
            if not os.read(reading, 1):
                os._exit(0)
            wait_until_stopped(parent)
            gc.freeze()
            gc.enable()
            signal.signal(signal.SIGALRM, _too_late)
            signal.alarm(LONGEST)
            self._serve(files)
            return self.work(cliff)

        answer_parent(serve_and_work, answer, parent=parent)

    def _serve(self, files: Path) -> None:
        """Go on in a world in which the run has ended."""
        world, machines = self.world, self.world.environment.machines
        assert isinstance(machines, InProcessVmPool)
        shutil.rmtree(world.folder)
        files.rename(world.folder)
        world.output = world.shown("killed", name="run")
        world.check_secrets()
        world.tap.restart()
        machines.transports.clear()
        world.serve_in_fork()
        world.settle()


def _too_late(*_: object) -> None:
    raise TimeoutError("the copy has not ended")


def _leave_connections() -> None:
    """Let go of the connections of the parent, which would not end as long as a copy has them.

    Their numbers stay in use: objects that nobody uses any more would close others' files.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- the listing itself has a number
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode) and not _listens(int(name)):
                os.dup2(nothing, int(name))
    os.close(nothing)


def _listens(descriptor: int) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as found:
        return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
