"""A run killed after each of its writes, each time in a copy of this process, which continues.

The run is a process of its own. After each of its writes it is stopped, and this
process is forked with its emulated cloud and servers: the copy continues as if the run had been
killed there, while the original waits. So the run is made once, and not once for each write. Linux
only.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws import run_lock_store
from aws_setup.engine.processes import ProcessId, is_running
from aws_setup.rehearsal.core import loopback
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.types import AwsError
from tests.support.script_runs import Request, Run, Zygote
from tests.support.signals import wait_until_stopped

LONG = 3600
"""Seconds for which a run waits for an answer: the copies' work takes real time."""


LONGEST = 300
"""Seconds after which a copy that has not ended has failed."""


def _too_late(*_: object) -> None:
    raise TimeoutError("the copy has not ended")


def _writes(request: HttpRequest) -> bool:
    try:
        return not request.call.reads
    except AwsError:
        return False


Recover = Callable[[Path, int], None]
"""Continues from the state after a write: a copy of the run's folder, the number of the write."""


LONG_ANSWERS = f"""
import botocore.config
from aws_setup.aws import session
botocore.config.Config.OPTION_DEFAULTS["read_timeout"] = {LONG}
session.TIMEOUT_SECONDS = {LONG}
"""
"""The first lines of a run that waits for answers while copies do their work."""


@dataclass
class KilledRun:
    """A run, of which `recover` gets the state after each write; `failures` are its exceptions."""

    cloud: RehearsalCloud
    request: Request
    recover: Recover
    writes: int = 0
    failures: list[str] = field(default_factory=list)
    _run: Run | None = None
    _started: threading.Event = field(default_factory=threading.Event)

    def play(self, runs: Zygote, patch: pytest.MonkeyPatch) -> int:
        """Run to the end; return the exit code of the run, which itself is not disturbed."""
        plain = self.cloud.handle

        def handle(request: HttpRequest) -> HttpAnswer:
            if not _writes(request):
                return plain(request)
            with self.cloud.lock:
                answer = plain(request)
                self.writes += 1
                self._fork(plain)
            return answer

        with patch.context() as inner:
            inner.setattr(self.cloud, "handle", handle)
            self._run = runs.start(self.request)
            self._started.set()
            code = self._run.wait()
        assert not self.failures, "\n".join(self.failures)
        return code

    def _fork(self, plain: Any) -> None:
        """Recover in a copy of this process, which holds the cloud's lock and stops meanwhile."""
        self._started.wait()
        assert self._run
        os.kill(self._run.pid, signal.SIGSTOP)
        wait_until_stopped(self._run.pid)
        loopback.wait_until_accepted()
        folder = self.request.folder
        copy = folder.with_name(f"{folder.name}.{self.writes}")
        answer = copy.with_name(f"{copy.name}.failure")
        shutil.copytree(folder, copy)
        config = copy / "config_aws.yaml"
        config.write_text(config.read_text().replace(str(folder), str(copy)))
        child = os.fork()
        if child == 0:
            self._be_copy(plain, copy, answer, self._run.pid, os.getppid())
        # The copy continues this process when it has ended.
        os.kill(os.getpid(), signal.SIGSTOP)
        os.waitpid(child, 0)
        failure = answer.read_text() if answer.exists() else "the copy ended without an answer"
        answer.unlink(missing_ok=True)
        if failure:
            self.failures.append(f"after write {self.writes}: {failure}")
        shutil.rmtree(copy)
        os.kill(self._run.pid, signal.SIGCONT)

    def _be_copy(self, plain: Any, copy: Path, answer: Path, killed: int, parent: int) -> None:
        try:
            # A collection would write to each inherited object, whose memory is shared until then.
            gc.freeze()
            wait_until_stopped(parent)
            failure = ""
            try:
                # The time-outs of pytest do not reach a forked process.
                signal.signal(signal.SIGALRM, _too_late)
                signal.alarm(LONGEST)
                self._continue(plain, killed)
                self.recover(copy, self.writes)
            except BaseException:  # noqa: BLE001 -- the original reports it
                failure = traceback.format_exc()
            partial = answer.with_name(f"{answer.name}.part")
            partial.write_text(failure)
            partial.rename(answer)
        finally:
            os.kill(parent, signal.SIGCONT)
            os._exit(0)

    def _continue(self, plain: Any, killed: int) -> None:
        """Serve again, in a world in which the run has been killed: it is only stopped."""

        def lives(process: ProcessId) -> bool | None:
            return False if process.pid == killed else is_running(process)

        vars(run_lock_store)["is_running"] = lives
        vars(self.cloud)["handle"] = plain
        self.cloud.lock.release()
        loopback.serve_in_fork()
