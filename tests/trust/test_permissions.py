"""With one action less a run names it; `python -m tests.trust --permissions` tries all of them."""

from __future__ import annotations

import random

import pytest

from tests.trust.permissions import SIMULATED, pause_failure, real_failure, simulated_failure

pytestmark = pytest.mark.kind("A3")
DICE = random.Random(1)


@pytest.mark.parametrize("action", sorted(DICE.sample(SIMULATED, 3)))
def test_a_missing_permission_is_named_before_the_first_write(action: str) -> None:
    assert simulated_failure(action) == ""


@pytest.mark.parametrize("action", ["ssm:DeleteParameters", "autoscaling:CreateAutoScalingGroup"])
def test_a_denied_call_is_named_and_the_next_run_ends_well(action: str) -> None:
    assert real_failure(action) == ""


def test_a_pause_names_what_is_denied_to_it() -> None:
    assert pause_failure("ec2:StopInstances") == ""
