"""A NameNode action as a step: 10,000 of them are 10,000 rows of a plan, without needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aws_setup.engine.plan import Row, inspect_step, only
from aws_setup.engine.runner import Outcome
from aws_setup.engine.step import Action, Drift, Found, RunContext, Step
from aws_setup.namenodes.action import (
    ActionDrift,
    CurrentAction,
    DesiredAction,
    differences,
    usual_limits,
)
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.jar import Jar
from aws_setup.namenodes.uploader import Abort, Upload

FORCED = "forced"
"""`key` of the drift of an up-to-date action that --force sends again."""

CREATE_ONLY = "use --sync or --update, which change existing actions"
"""The fix of a difference that --create meets."""


@dataclass(kw_only=True)
class NameNodeContext(RunContext):
    """What the steps of the NameNode actions work with.

    `existing` is OpenWhisk's listing, by name. `jar` is None with --limits-only and where nothing
    is sent. With `create_only` a difference is a conflict; with `force` up-to-date actions are
    sent too. `abort` ends running uploads.
    """

    client: Client
    desired: DesiredAction
    existing: Mapping[str, CurrentAction]
    jar: Jar | None = None
    create_only: bool = False
    force: bool = False
    abort: Abort = field(default_factory=Abort)


@dataclass(frozen=True)
class NameNodeAction(Step[NameNodeContext]):
    """One action of OpenWhisk; its id is the version that OpenWhisk counts.

    `surplus`: the run deletes it if it exists.
    """

    name: str
    surplus: bool = False
    part: str = "namenodes"

    def find(self, ctx: NameNodeContext) -> Found | None:
        """Return the action with its drift, from the listing."""
        current = ctx.existing.get(self.name)
        if current is None:
            return None
        drift = () if self.surplus else tuple(_drift(current, ctx))
        return Found(current.version, drift=drift)

    def create(self, ctx: NameNodeContext) -> Found:
        """Create the action with the jar; one that a lost response left behind is kept."""
        return Found(self._upload(ctx, None))

    def update(self, ctx: NameNodeContext, found: Found) -> Found:
        """Replace the action, or only its limits where the code does not differ."""
        limits_only = not _needs_code(found.drift)
        return Found(self._upload(ctx, ctx.existing[self.name], limits_only=limits_only))

    def delete(self, ctx: NameNodeContext, found: Found) -> None:
        """Delete the action; already gone is fine."""
        ctx.client.with_note(ctx.note).delete(self.name)

    def _upload(
        self, ctx: NameNodeContext, current: CurrentAction | None, *, limits_only: bool = False
    ) -> str:
        return Upload(
            ctx.client,
            self.name,
            ctx.desired,
            ctx.jar,
            current,
            ctx.abort,
            limits_only=limits_only,
            note=ctx.note,
            progress=ctx.progress,
        ).run()


def _drift(current: CurrentAction, ctx: NameNodeContext) -> Iterable[Drift]:
    drift = differences(current, ctx.desired)
    if ctx.force:
        code = ctx.desired.sha256 is not None
        drift.append(ActionDrift("--force", "up to date", "sent again", key=FORCED, code=code))
    fix = CREATE_ONLY if ctx.create_only else ""
    return (replace(difference, fix=fix) for difference in drift)


def _needs_code(drift: Sequence[Drift]) -> bool:
    return any(isinstance(difference, ActionDrift) and difference.code for difference in drift)


def plan_actions(
    ctx: NameNodeContext,
    names: Iterable[str],
    *,
    surplus: Iterable[str] = (),
    only_names: Sequence[str] = (),
) -> list[Row]:
    """Return a row for every action, from the listing that `ctx` holds: no request, no thread.

    Args:
        ctx: the run's context.
        names: the actions that should exist.
        surplus: the actions to delete.
        only_names: the names of --only; empty means all.

    Raises:
        Refused: a name of --only is neither in `names` nor in `surplus`.
    """
    names = list(names)
    known = [ctx.existing[name] for name in names if name in ctx.existing]
    # One that another program has changed is no example.
    others = usual_limits(action for action in known if action.unmodified)
    ctx.desired = replace(ctx.desired, others=others)
    steps = [NameNodeAction(name) for name in names]
    steps += [NameNodeAction(name, surplus=True) for name in surplus]
    chosen: Sequence[Step[Any]] = only(steps, only_names) if only_names else steps
    rows = [inspect_step(step, ctx) for step in chosen]
    ctx.found = {row.step.name: row.found for row in rows if row.found}
    return rows


def sends_jar(row: Row) -> bool:
    """Whether the run sends the jar for this row."""
    if row.action is Action.UPDATE and row.found:
        return _needs_code(row.found.drift)
    return row.action is Action.CREATE


def reason(row: Row) -> str:
    """Return why the run changes an existing action, for the JSON document."""
    if row.action is not Action.UPDATE or row.found is None:
        return ""
    texts = [str(drift) for drift in row.found.drift if drift.key != FORCED]
    return "; ".join(texts) or "sent again by --force"


def document_fields(row: Row) -> dict[str, Any]:
    """Return what the JSON document says of an action beside the fields of every step."""
    return {"sends_jar": sends_jar(row), "why": reason(row)}


PAST = {
    Action.EXISTS: "as wanted",
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.DELETE: "deleted",
}
"""Action -> the `end` of a row in the JSON document."""


def end_of(row: Row, outcome: Outcome, version: str) -> str:
    """Return how the run ended for an action; `version` is the one that it has now."""
    name = row.step.name
    if name in outcome.failed:
        return f"failed: {outcome.failed[name]}"
    if name in outcome.blocked or name in outcome.not_started:
        return "not started"
    if row.action is not Action.EXISTS and name not in outcome.done:
        return "failed: interrupted"
    text = PAST[row.action]
    if row.action is Action.UPDATE and not sends_jar(row):
        text = "limits updated, without the jar"
    return f"{text}, version {version}" if row.action in {Action.CREATE, Action.UPDATE} else text
