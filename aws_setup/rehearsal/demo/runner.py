"""Runs the demo from the first command to the audit, and prints the summary."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aws_setup.engine.flag import Flag
from aws_setup.rehearsal.core.cleanup import Cleanup, stop_flag
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.demo.audit import (
    Audit,
    StepResult,
    estimate_cost,
    find_problems,
    write_report,
)
from aws_setup.rehearsal.demo.aws_estimate import estimate_on_aws
from aws_setup.rehearsal.demo.output import Output
from aws_setup.rehearsal.demo.scenario import DEMO_STEPS, DemoOptions, DemoStep, start_error
from aws_setup.rehearsal.demo.workspace import Workspace, find_helm
from aws_setup.rehearsal.environment import (
    Environment,
    reason_for_inprocess_vms,
    run_environment,
)
from aws_setup.report.timeline import total_seconds

INTERRUPTED = 130
"""The demo's exit code when it was stopped, as the scripts have it."""

RETRYABLE_EXIT_CODES = (1, 3)
"""Exit codes after which the same command resumes: failed, and resources remain."""

MAX_ATTEMPTS_WITH_FAULTS = 4
"""How often a script may run, with random faults, until it succeeds: a user would retry too."""


def run_demo(options: DemoOptions) -> int:
    """Run all steps; return 0, 1 with any problem, 130 when stopped.

    Raises:
        InvalidInput: the demo cannot start.
    """
    helm = find_helm()
    output = Output()
    with stop_flag() as stop:
        try:
            return _run_steps(options, helm, output, stop)
        except DemoStopped:
            output.line("stopped; all processes have ended")
            return INTERRUPTED


def _run_steps(options: DemoOptions, helm: Path, output: Output, stop: Flag) -> int:
    with (
        Cleanup(keep=options.keep) as cleanup,
        _start_environment(cleanup.folder, options) as environment,
    ):
        workspace = Workspace(cleanup.folder, helm)
        workspace.prepare(environment)
        output.introduction(_environment_facts(environment, options, workspace))
        audit = Audit(environment)
        scripts = ScriptRunner(cleanup, workspace.environment(environment, os.environ), stop)
        runner = DemoRunner(
            options, scripts, workspace, audit, output, complete=not environment.missing_programs
        )
        results = runner.run()
        remaining = audit.remaining()
        problems = find_problems(results, remaining)
        output.timelines(results)
        output.heading("Summary")
        output.runs(results)
        output.costs(estimate_cost(results))
        if environment.cloud.random_faults:
            output.line(environment.cloud.random_faults.summary())
        if options.html:
            write_report(options.html, results, workspace.config)
            output.line(f"HTML report: {options.html}")
        output.verdict(remaining, problems)
        if options.keep:
            output.line(f"kept: {cleanup.folder}")
        return 1 if problems else 0


@dataclass(frozen=True)
class DemoRunner:
    """Runs the steps one after the other; `complete` VMs have every program of λFS."""

    options: DemoOptions
    scripts: ScriptRunner
    workspace: Workspace
    audit: Audit
    output: Output
    complete: bool

    def run(self) -> list[StepResult]:
        """Run the steps until one fails: the later ones depend on it."""
        results: list[StepResult] = []
        steps = [step for step in DEMO_STEPS if self.complete or not step.complete]
        for number, step in enumerate(steps, 1):
            self.output.step(step, number=number, of=len(steps))
            if step.new_jar:
                self.workspace.build_jar(2)
            results += self._run_with_retries(step)
            if results[-1].code:
                break
        return results

    def _run_with_retries(self, step: DemoStep) -> list[StepResult]:
        """Run a step; with random faults retry it when it fails, as its last line suggests."""
        attempts = 1 if self.options.chaos is None else MAX_ATTEMPTS_WITH_FAULTS
        results = [self._run_once(step)]
        while results[-1].code in RETRYABLE_EXIT_CODES and len(results) < attempts:
            results[-1] = replace(results[-1], retried=True)
            self.output.line(f"$ {step.command_line}   # retry: the command resumes", bold=True)
            results.append(self._run_once(step))
        return results

    def _run_once(self, step: DemoStep) -> StepResult:
        started, known_runs = time.monotonic(), len(self.workspace.runs())
        code = self.scripts.run(step)
        seconds = time.monotonic() - started
        result = StepResult(step, code, seconds, self.audit.next_delta(), on_aws=seconds)
        runs = self.workspace.runs()[known_runs:]
        if not runs or not runs[-1].end:
            return result
        run = estimate_on_aws(runs[-1], self.options.speed)
        outside_the_run = max(0.0, seconds - runs[-1].end.seconds)
        return replace(result, run=run, on_aws=outside_the_run + total_seconds(run))


@contextmanager
def _start_environment(folder: Path, options: DemoOptions) -> Iterator[Environment]:
    settings = Settings(speed=options.speed, lag=True, chaos=options.chaos)
    disks = folder / "machines"
    with ExitStack() as stack:
        started = run_environment(disks, settings, port=options.port, imitate=options.imitate)
        try:
            environment = stack.enter_context(started)
        except OSError as error:
            raise start_error(error, options.port) from error
        yield environment


def _environment_facts(
    environment: Environment, options: DemoOptions, workspace: Workspace
) -> list[tuple[str, str]]:
    kept = "kept" if options.keep else "removed at the end"
    machines = "OpenSSH servers with ZooKeeper and MariaDB, and stand-ins for the rest"
    if environment.imitated:
        reason = "--imitate-machines" if options.imitate else reason_for_inprocess_vms()
        machines = f"imitated ({reason})"
    elif environment.missing_programs:
        machines = "OpenSSH servers with ZooKeeper, and stand-ins for the rest"
    if environment.missing_programs:
        machines += f"; without {environment.missing_programs}, so that λFS cannot be verified"
    return [
        ("cloud", f"{environment.cloud.url}, {options.speed:g} times faster than AWS"),
        ("machines", machines),
        ("helm", str(workspace.helm)),
        ("folder", f"{workspace.folder} ({kept})"),
    ]


ROOT = Path(__file__).resolve().parents[3]
"""The checkout, which contains the three scripts."""

EXIT_WAIT_SECONDS = 2.0
"""Seconds in which a script ends that received the terminal's Ctrl-C too."""

TERMINATE_WAIT_SECONDS = 15.0


class DemoStopped(Exception):
    """The demo was stopped: Ctrl-C, a signal, or a closed terminal."""


@dataclass(frozen=True)
class ScriptRunner:
    """Runs the scripts in the temporary folder, with one environment."""

    cleanup: Cleanup
    environment: Mapping[str, str]
    stop: Flag

    def run(self, step: DemoStep) -> int:
        """Run a step's command to its end and return its exit code.

        Raises:
            DemoStopped: the demo was stopped meanwhile; the command has ended.
        """
        process = subprocess.Popen(
            [sys.executable, str(ROOT / step.script), *step.words],
            cwd=self.cleanup.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
        )
        with self.cleanup.watch(process):
            while process.poll() is None and not self.stop.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
            # Python that is still starting is ended by the terminal's SIGINT before this
            # process can ask a second time: how the script ended says nothing then.
            if self.stop.is_set():
                _terminate_script(process)
                raise DemoStopped
        return process.returncode


def _terminate_script(process: subprocess.Popen[bytes]) -> None:
    """Wait for a script that received Ctrl-C itself; else terminate it, and finally kill it."""
    for seconds, end in (
        (EXIT_WAIT_SECONDS, process.terminate),
        (TERMINATE_WAIT_SECONDS, process.kill),
    ):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            end()
        else:
            return
    process.wait()
