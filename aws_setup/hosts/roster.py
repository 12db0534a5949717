"""Whether the machines that a step of the software works on exist and run."""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.hosts.ssh import Machine
from aws_setup.steps import Context, Drift

DOWN = Drift("services", "down with their machines", "running")
"""What is wrong after machines were stopped: starting them again is an update."""


def there(ctx: Context, steps: Sequence[str]) -> bool:
    """Tell whether the machines of all these steps exist; they may still be stopped."""
    return all(step in ctx.found for step in steps)


def stopped(members: Sequence[Machine]) -> bool:
    """Tell whether some of the machines have no public address, as stopped ones have none."""
    return any(not machine.address for machine in members)
