"""The usual times of AWS's transitions are the delays of the rehearsal, and each is used."""

from __future__ import annotations

import re
from pathlib import Path

import aws_setup
from aws_setup.aws.usual_times import MEDIANS, USUAL
from aws_setup.engine.step import Action
from aws_setup.rehearsal.core.settings import LATENCIES
from aws_setup.rehearsal.kubernetes.controllers.context import DELAYS

PRODUCT = Path(aws_setup.__file__).parent
SUMS = {
    "load balancer deleted": DELAYS["load balancer deleted"]
    + LATENCIES["load balancer interfaces deleted"]
}
"""Of what consists of two delays: Kubernetes deletes the load balancer, then AWS its interfaces."""


def test_the_rehearsal_has_the_same_delays() -> None:
    assert {**DELAYS, **LATENCIES, **SUMS}.items() >= MEDIANS.items()


def test_each_median_is_passed_to_a_wait() -> None:
    used = set()
    for path in PRODUCT.rglob("*.py"):
        if "rehearsal" not in path.parts and path.name != "usual_times.py":
            used |= set(re.findall(r'MEDIANS\["([^"]+)"\]', path.read_text(encoding="utf-8")))
    assert used == set(MEDIANS)


def test_a_forecast_starts_from_them() -> None:
    assert USUAL[Action.CREATE]["core-nodes"] == MEDIANS["node group active"]
    assert USUAL[Action.DELETE]["eks cluster"] == MEDIANS["cluster deleted"]
    assert all(seconds > 0 for steps in USUAL.values() for seconds in steps.values())
