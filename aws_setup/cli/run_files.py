"""The files on this computer after a run: the receipt, and what the script keeps beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from aws_setup.aws.context import Step
from aws_setup.cli.receipt_place import may_be_of
from aws_setup.config.paths import receipt_path
from aws_setup.engine.local_files import as_warnings
from aws_setup.engine.receipt import write_receipt
from aws_setup.engine.step import Found

if TYPE_CHECKING:
    from aws_setup.cli.commands import ScriptRun


def write_run_files(
    run: ScriptRun,
    found: Mapping[str, Found],
    *,
    steps: Sequence[Step],
    deleted: Collection[str] = (),
) -> None:
    """Bring the files on this computer to what exists after a run; what fails is a warning.

    Args:
        run: the run.
        found: the resources for the receipt.
        steps: the steps of this script, as for the receipt.
        deleted: the steps whose resources the run has deleted.
    """
    with as_warnings(run.ctx):
        _write_receipt(run, found, steps=steps)
    with as_warnings(run.ctx):
        run.story.local_files(run.ctx, deleted)


def _write_receipt(run: ScriptRun, found: Mapping[str, Found], *, steps: Sequence[Step]) -> None:
    """Write the receipt; the entries of steps other than `steps`, as another script's, are kept.

    Those of another account are not: a destroy there has to know which account this one is of. A
    create keeps those of steps that are switched off, too: it deletes nothing of them.
    """
    config = run.ctx.config
    known = {step.name for step in steps}
    gone = run.script.owns_deployment and not found
    head = {"deployment_name": config.deployment_name, "aws_region": run.ctx.aws.region}
    write_receipt(
        receipt_path(config),
        head,
        found,
        known=None if gone else known,
        keep=partial(may_be_of, run.ctx.aws.identity.account),
    )
