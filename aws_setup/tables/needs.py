"""The needs of steps, where some are switched off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aws_setup.aws.context import Step


def restrict_needs(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with needs among themselves only: a switched-off step is not waited for."""
    names = {step.name for step in steps}
    found = []
    for step in steps:
        kept = {
            field: tuple(name for name in before if name in names)
            for field, before in (("needs", step.needs), ("follows", step.follows))
            if set(before) - names
        }
        found.append(replace(step, **kept) if kept else step)  # type: ignore[type-var]
    return found
