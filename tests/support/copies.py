"""Tests that run in a copy of a deployment, which is made once for all tests of a file.

A test that uses a `World` runs in a fork of this process, which has the emulated cloud, its
servers and the deployment. What the test changes, the copy alone has; the next test starts from
the same state. Where processes cannot be forked with threads (on Linux they can), each test makes
a world of its own.

moto has one state per process: tests of a file that use another cloud come before those that use
the file's world.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest

from aws_setup.aws import run_lock_store
from aws_setup.engine.processes import ProcessId, is_running
from aws_setup.rehearsal.core import internal_errors, loopback
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.demo.helm import CACHE

CAN_COPY = sys.platform.startswith("linux")

SHARED: Literal["module", "function"] = "module" if CAN_COPY else "function"
"""The scope of a fixture that yields a `World`."""

FAST_HELM = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
"""helm runs for a second, a third of which collecting garbage takes: only above a limit."""

LONGEST = 280
"""Seconds after which a copy that has not ended has failed; pytest's time-outs end it earlier."""


@dataclass(frozen=True)
class World:
    """A cloud with what its fixture has made there, and the folder of the runs."""

    cloud: RehearsalCloud
    folder: Path
    _state: Any = field(init=False)
    """A part of moto's state, to find out whether another cloud has replaced it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_state", self.cloud.backend("ec2"))

    def enter(self, patch: pytest.MonkeyPatch) -> RehearsalCloud:
        """Point a test's environment to the cloud, and return it."""
        _point(patch, self.cloud)
        return self.cloud

    def check(self) -> None:
        """Fail when the world is not that of its fixture, or an emulated service has failed."""
        assert self.cloud.backend("ec2") is self._state, "another cloud has replaced this one"
        assert self.cloud.clock.failed == []
        errors = internal_errors.take()
        assert not errors, "\n".join(errors)


def _point(patch: pytest.MonkeyPatch, cloud: RehearsalCloud) -> None:
    patch.setenv("AWS_ENDPOINT_URL", cloud.url)
    patch.setenv("AWS_SETUP_PACE", "0")
    patch.setenv("AWS_SETUP_REGISTRY", f"{cloud.url}/_rehearsal/registry")


@contextmanager
def shared_cloud(settings: Settings | None = None) -> Iterator[RehearsalCloud]:
    """Serve a cloud for a file's world, with the environment of its fixture pointing to it."""
    with (
        tempfile.TemporaryDirectory(prefix="home-of-a-world-") as home,
        pytest.MonkeyPatch.context() as patch,
        serve(settings or Settings(speed=0)) as cloud,
    ):
        wall_off(patch, Path(home))
        _point(patch, cloud)
        yield cloud


def wall_off(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Set fake credentials and a home folder without any, so that nothing real is reached."""
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host *\n  HostName 127.0.0.1\n  Port 1\n")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        patch.delenv(name, raising=False)
    patch.setenv("HOME", str(home))
    patch.setenv("USERPROFILE", str(home))
    patch.setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The discard port: without a cloud of its own a test reaches no registry of the internet.
    patch.setenv("AWS_SETUP_REGISTRY", "http://127.0.0.1:9")
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAREHEARSAL0000000")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    patch.setenv("AWS_REGION", "us-east-1")
    patch.setenv("NO_COLOR", "1")
    # helm and kubectl, 120 MiB, are unpacked once, and not for each demo in a home of its own.
    patch.setenv("AWS_SETUP_CACHE", str(CACHE))
    for name, value in FAST_HELM.items():
        patch.setenv(name, value)


def run_test(item: pytest.Function) -> bool:
    """Run a test that uses a world in a copy of it; return False for all other tests."""
    worlds = {id(value): value for value in item.funcargs.values() if isinstance(value, World)}
    if not worlds or not CAN_COPY:
        return False
    (world,) = worlds.values()
    names = item._fixtureinfo.argnames

    def body() -> None:
        item.obj(**{name: item.funcargs[name] for name in names})
        world.check()

    in_a_copy(world, body)
    return True


def in_a_copy(world: World, act: Callable[[], object]) -> None:
    """Call `act` in a copy of the world; this one stays as it is.

    Raises:
        pytest.fail.Exception, pytest.skip.Exception: as `act`, with the text of its exception.
    """
    world.check()
    kept = world.folder.with_name(f"{world.folder.name}.kept")
    answer = world.folder.with_name(f"{world.folder.name}.answer")
    shutil.copytree(world.folder, kept, symlinks=True)
    here = Path.cwd()
    try:
        with loopback.paused(), world.cloud.lock:
            waits, begin = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(begin)
                _be_the_copy(world, act, answer, waits=waits)
            _await_end(child, waits=waits, begin=begin)
    except BaseException:
        answer.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(world.folder)
        kept.rename(world.folder)
        os.chdir(here)  # which may be the folder that was replaced
    if not answer.exists():
        pytest.fail("the copy of the world ended without an answer", pytrace=False)
    outcome, _, text = answer.read_text(encoding="utf-8").partition("\n")
    answer.unlink()
    if outcome == "skipped":
        pytest.skip(text)
    if outcome == "failed":
        pytest.fail(text, pytrace=False)


def _await_end(child: int, *, waits: int, begin: int) -> None:
    """Wait for a copy; end it when the wait is interrupted, as by the test's time-out.

    The copy begins when its end is awaited here: what the handler of a signal raises while the
    hooks of `fork` still run in this process, Python ignores.
    """
    try:
        os.close(waits)
        os.close(begin)
        os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)  # not reaped yet: its id is its own
        os.waitpid(child, 0)
        raise


def _be_the_copy(world: World, act: Callable[[], object], answer: Path, *, waits: int) -> NoReturn:
    try:
        os.read(waits, 1)
        os.close(waits)
        world.cloud.lock.release()
        # A collection would write to each inherited object, whose memory is shared until then.
        gc.freeze()
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(LONGEST)
        loopback.serve_in_fork()
        _end_runs_of(os.getppid())
        try:
            act()
            outcome = "passed\n"
        except pytest.skip.Exception as skipped:
            outcome = f"skipped\n{skipped}"
        except BaseException:  # noqa: BLE001 -- the original reports it
            outcome = f"failed\n{traceback.format_exc()}"
        partial = answer.with_suffix(".part")
        partial.write_text(outcome, encoding="utf-8")
        partial.rename(answer)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _end_runs_of(original: int) -> None:
    """Count the runs that the original process has made, and that were killed there, as ended."""

    def lives(process: ProcessId) -> bool | None:
        return False if process.pid == original else is_running(process)

    vars(run_lock_store)["is_running"] = lives


def _too_late(*_: object) -> None:
    raise TimeoutError("the copy has not ended")
