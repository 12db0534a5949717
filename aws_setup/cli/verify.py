"""The verb verify: does λFS work on what the scripts have created?"""

from __future__ import annotations

from aws_setup.cli.commands import ScriptRun
from aws_setup.cli.deployment import require_deployment, require_running
from aws_setup.cli.readiness import open_chain, run_chain, unlock_machines
from aws_setup.cli.run_recorder import Mode
from aws_setup.report.verification import print_checks
from aws_setup.verify.check import CheckStatus, Verification, select
from aws_setup.verify.table import CHECKS

WORDS = {
    CheckStatus.PASS: "passed",
    CheckStatus.FAIL: "failed",
    CheckStatus.SKIPPED: "skipped",
}


def verify(run: ScriptRun) -> None:
    """Check every link from the client to the file system; exit code 1 if one is broken.

    Raises:
        Refused: --only names no check; nothing of the deployment exists, or it is paused.
    """
    checks = select(CHECKS, quick=run.quick, names=run.only)
    require_deployment(run, "verify")
    require_running(run)
    run.recorder.begin([], run.result, clock=run.clock, mode=Mode.INSPECT)
    unlock_machines(run.ctx)
    with open_chain(run.ctx, run.clock, tell=run.report.message) as chain:
        verification = run_chain(chain, checks)
    print_checks(run.report, verification)
    run.result.more["checks"] = [item.document() for item in verification.outcomes]
    run.result.problems += [item.problem for item in verification.broken]
    if verification.broken:
        run.result.result = "failed"
        for text in chain.said:
            run.report.message(text)
    counts = ", ".join(f"{verification.count(status)} {word}" for status, word in WORDS.items())
    run.report.result(f"{counts}.")
    verdict = _verdict(verification)
    if verdict:
        run.report.result(verdict)


def _verdict(verification: Verification) -> str:
    """Return the sentence of a run in which λFS's own test has passed, '' for others."""
    last = verification.outcomes[-1]
    if verification.broken or (last.name, last.status) != (CHECKS[-1].name, CheckStatus.PASS):
        return ""
    return f"λFS works: {last.name} ended with {last.cause}."
