"""Plays the story from the first command to the audit, and says how it went."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aws_setup.rehearsal.core.cleanup import Cleanup, stop_event
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.demo.audit import (
    Audit,
    StepResult,
    estimate_cost,
    find_problems,
    write_report,
)
from aws_setup.rehearsal.demo.aws_estimate import estimate_on_aws
from aws_setup.rehearsal.demo.options import DemoOptions, InvalidInput
from aws_setup.rehearsal.demo.output import Output
from aws_setup.rehearsal.demo.scenario import DEMO_STEPS, DemoStep
from aws_setup.rehearsal.demo.workspace import Workspace, find_helm
from aws_setup.rehearsal.environment import (
    Environment,
    lacks_mariadb,
    reason_for_inprocess_vms,
    run_environment,
)
from aws_setup.report.timeline import total_seconds

INTERRUPTED = 130
"""The story's exit code when it was stopped, as the scripts have it."""

RETRYABLE_EXIT_CODES = (1, 3)
"""Exit codes of the scripts after which the same command goes on: failed, and left something."""

MAX_ATTEMPTS_WITH_FAULTS = 4
"""How often a script may be run, under chaos, until it ends well: a user would do the same."""


def run_demo(options: DemoOptions) -> int:
    """Play the whole story; return 0, 1 when anything is not as it should be, 130 when stopped.

    Raises:
        BadInput: it cannot begin.
    """
    helm = find_helm()
    teller = Output()
    with stop_event() as stop:
        try:
            return _run_steps(options, helm, teller, stop)
        except DemoStopped:
            teller.line("stopped; nothing is left running")
            return INTERRUPTED


def _run_steps(options: DemoOptions, helm: Path, teller: Output, stop: threading.Event) -> int:
    with Cleanup(keep=options.keep) as guard, _start_environment(guard.folder, options) as stage:
        kit = Workspace(guard.folder, helm)
        kit.pack(stage)
        teller.begin(_environment_facts(stage, options, kit))
        books = Audit(stage)
        player = ScriptRunner(guard, kit.environment(stage, os.environ), stop)
        played = DemoRunner(options, player, kit, books, teller).play()
        left = books.left()
        wrong = find_problems(played, left)
        teller.timelines(played)
        teller.heading("How it went")
        teller.runs(played)
        teller.costs(estimate_cost(played))
        if stage.cloud.random_faults:
            teller.line(stage.cloud.random_faults.summary())
        if options.html:
            write_report(options.html, played, kit.config)
            teller.line(f"The page about it: {options.html}")
        teller.verdict(left, wrong)
        if options.keep:
            teller.line(f"kept: {guard.folder}")
        return 1 if wrong else 0


@dataclass(frozen=True)
class DemoRunner:
    """Has the acts played, one after the other."""

    options: DemoOptions
    player: ScriptRunner
    kit: Workspace
    books: Audit
    teller: Output

    def play(self) -> list[StepResult]:
        """Play until an act fails: that leaves the later ones no sense."""
        played: list[StepResult] = []
        for number, act in enumerate(DEMO_STEPS, 1):
            self.teller.act(act, number=number, of=len(DEMO_STEPS))
            if act.new_jar:
                self.kit.build_jar(2)
            played += self._until_well(act)
            if played[-1].code:
                break
        return played

    def _until_well(self, act: DemoStep) -> list[StepResult]:
        """Play an act; under chaos again when it fails, as its last line says that one may."""
        tries = 1 if self.options.chaos is None else MAX_ATTEMPTS_WITH_FAULTS
        played = [self._once(act)]
        while played[-1].code in RETRYABLE_EXIT_CODES and len(played) < tries:
            played[-1] = replace(played[-1], again=True)
            self.teller.line(f"$ {act.line}   # again: it goes on from there", bold=True)
            played.append(self._once(act))
        return played

    def _once(self, act: DemoStep) -> StepResult:
        began, known = time.monotonic(), len(self.kit.runs())
        code = self.player.play(act)
        seconds = time.monotonic() - began
        played = StepResult(act, code, seconds, self.books.turn(), on_aws=seconds)
        runs = self.kit.runs()[known:]
        if not runs or not runs[-1].end:
            return played
        run = estimate_on_aws(runs[-1], self.options.speed)
        looked = max(0.0, seconds - runs[-1].end.seconds)
        return replace(played, run=run, on_aws=looked + total_seconds(run))


@contextmanager
def _start_environment(folder: Path, options: DemoOptions) -> Iterator[Environment]:
    settings = Settings(speed=options.speed, lag=True, chaos=options.chaos)
    machines = folder / "machines"
    try:
        with run_environment(
            machines, settings, port=options.port, imitate=options.imitate
        ) as stage:
            yield stage
    except OSError as error:
        if options.port and not isinstance(error, BrokenPipeError):
            raise InvalidInput(f"port {options.port}: {error.strerror or error}") from error
        raise


def _environment_facts(
    stage: Environment, options: DemoOptions, kit: Workspace
) -> list[tuple[str, str]]:
    kept = "kept" if options.keep else "removed at the end"
    real = "ZooKeeper" if lacks_mariadb() else "ZooKeeper and MariaDB"
    machines = f"OpenSSH servers with {real}, and stand-ins for the rest"
    if stage.imitated:
        why = "as you asked" if options.imitate else reason_for_inprocess_vms()
        machines = f"imitated, without MySQL NDB ({why})"
    return [
        ("cloud", f"{stage.cloud.url}, {options.speed:g} times faster than AWS"),
        ("machines", machines),
        ("helm", str(kit.helm)),
        ("folder", f"{kit.folder} ({kept})"),
    ]


ROOT = Path(__file__).resolve().parents[3]
"""The checkout: the three scripts stand in it."""

EXIT_WAIT_SECONDS = 2.0
"""Seconds in which a script ends that got the terminal's Ctrl-C too."""

TERMINATE_WAIT_SECONDS = 15.0


class DemoStopped(Exception):
    """The story is to end: Ctrl-C, a signal, or a closed terminal."""


@dataclass(frozen=True)
class ScriptRunner:
    """Runs the scripts in the guard's folder, with one environment."""

    guard: Cleanup
    environment: Mapping[str, str]
    stop: threading.Event

    def play(self, act: DemoStep) -> int:
        """Run an act's command to its end and return its exit code.

        Raises:
            Stopped: the story was stopped meanwhile; the command has ended.
        """
        process = subprocess.Popen(
            [sys.executable, str(ROOT / act.script), *act.words],
            cwd=self.guard.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
        )
        with self.guard.watch(process):
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                if self.stop.is_set():
                    _terminate_script(process)
                    raise DemoStopped
        return process.returncode


def _terminate_script(process: subprocess.Popen[bytes]) -> None:
    """Wait for a script that heard Ctrl-C itself; else ask it, and at last kill it."""
    for seconds, push in (
        (EXIT_WAIT_SECONDS, process.terminate),
        (TERMINATE_WAIT_SECONDS, process.kill),
    ):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            push()
        else:
            return
    process.wait()
