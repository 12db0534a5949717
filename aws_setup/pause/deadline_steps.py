"""The steps of the deadline in the table of a script, as the configuration wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.config.durations import NEVER
from aws_setup.infrastructure.deadline_role import DeadlineRole
from aws_setup.pause.deadline import NAME, Deadline
from aws_setup.preflight.deadline import denied_deadline


def deadline_steps(
    config: Config, *, follows: Sequence[str] = (), renews: bool = False
) -> list[Step]:
    """Return the steps of the deadline; with auto_pause_after: never those that remove it."""
    if config.auto_pause_after == NEVER:
        return [Deadline(needs=(), surplus=True), DeadlineRole(needs=(NAME,), surplus=True)]
    schedules = partial(denied_deadline, role=False)
    return [
        DeadlineRole(denied=denied_deadline),
        Deadline(follows=tuple(follows), renews=renews, denied=schedules),
    ]


def with_deadline(chosen: Sequence[Step], table: Sequence[Step]) -> list[Step]:
    """Return the steps of --only, with those of the deadline where one of them starts machines."""
    names = {step.name for step in chosen}
    starts = any(names & set(step.follows) for step in table if isinstance(step, Deadline))
    kept = names | ({NAME, DeadlineRole.name} if starts else set())
    return [
        replace(step, follows=tuple(name for name in step.follows if name in kept))
        if isinstance(step, Deadline)
        else step
        for step in table
        if step.name in kept
    ]
