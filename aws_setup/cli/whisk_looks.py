"""What the third script looks at without changing anything: --list and --verify."""

from __future__ import annotations

from aws_setup.cli.whisk_commands import Run
from aws_setup.errors import Interrupted, Problem
from aws_setup.namenodes import checks
from aws_setup.namenodes.action import CurrentAction, Deed
from aws_setup.namenodes.deploy import Listener, Outcome, Task
from aws_setup.namenodes.jar import Jar
from aws_setup.namenodes.verify import VerifyResult, examine, fill_in, start
from aws_setup.report import whisk as show


def listing(run: Run) -> None:
    """Show the actions of the prefix: index, name, version, jar, memory, concurrency, updated."""
    existing = run.look()
    selection = run.order.selection
    actions = [existing[name] for name in selection.pick(existing)]
    missing = [name for name in selection.names if name not in existing]
    show.actions(run.report, selection, actions, missing)
    run.result.more["actions"] = [show.action_document(selection, action) for action in actions]
    run.result.more["missing"] = missing


def verify(run: Run) -> None:
    """Look at every action in full, and with --invoke start each once."""
    run.look()
    names = run.order.selection.names
    jar = run.jar() if run.jar_wanted else None
    pool, _ = run.pool()
    found: dict[str, CurrentAction | None] = {}
    looks = [Task(name, Deed.NOTHING) for name in names]

    def look(task: Task, _: Listener) -> str:
        found[task.name] = run.client.action(task.name)
        return "there" if found[task.name] else "missing"

    with run.progress([]) as tell:
        outcome = pool.run(looks, look, tell)
    _raise_first(outcome)
    wanted = fill_in(run.wanted(jar), [action for action in found.values() if action])
    findings = [examine(name, found[name], wanted) for name in names]
    if run.order.invoke:
        findings = _invoke_all(run, findings)
    _note_findings(run, findings, jar)


def _raise_first(outcome: Outcome) -> None:
    if outcome.interrupted:
        raise Interrupted
    for error in outcome.failed.values():
        raise error


def _invoke_all(run: Run, findings: list[VerifyResult]) -> list[VerifyResult]:
    """Start every action that is there; a failed start is a finding and stops nothing."""
    by_name = {finding.name: finding for finding in findings}

    def act(task: Task, _: Listener) -> str:
        finding = by_name[task.name]
        by_name[task.name] = finding.with_start(start(run.client, task.name))
        return by_name[task.name].how_started

    pool, _ = run.pool()
    tasks = [Task(f.name, Deed.NOTHING) for f in findings if f.existing]
    with run.progress(tasks) as tell:
        outcome = pool.run(tasks, act, tell)
    _raise_first(outcome)
    return list(by_name.values())


def _note_findings(run: Run, findings: list[VerifyResult], jar: Jar | None) -> None:
    wrong = [finding.name for finding in findings if not finding.right]
    run.result.steps = [show.finding_document(finding) for finding in findings]
    if wrong:
        run.result.result = "failed"
        run.result.problems.append(
            Problem(
                f"{len(wrong)} of {len(findings)} actions are not as wanted",
                checks.shorten(wrong),
                "--sync with the same options mends them; `wsk activation` shows failed starts",
            )
        )
    show.findings(run.report, findings)
    compared = f"with {jar.source}" if jar else "with each other, as no jar was given"
    right = sum(finding.right for finding in findings)
    run.report.result(f"{right} of {len(findings)} are as wanted; jars were compared {compared}.")
