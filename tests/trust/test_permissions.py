"""With one action less a run names it; `python -m tests.trust --permissions` tries all of them."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.script_runs import Zygote
from tests.trust.groups import Plan
from tests.trust.permissions import SIMULATED, called, in_story, real_failure, simulated_failure
from tests.trust.world import world

pytestmark = pytest.mark.kind("A3")
DICE = random.Random(1)


@pytest.mark.parametrize("action", sorted(DICE.sample(SIMULATED, 3)))
def test_a_missing_permission_is_named_before_the_first_write(action: str) -> None:
    assert simulated_failure(action) == ""


@pytest.mark.parametrize("action", ["ssm:DeleteParameters", "autoscaling:CreateAutoScalingGroup"])
def test_a_denied_call_is_named_and_the_next_run_ends_well(action: str) -> None:
    assert real_failure(action) == ""


def test_what_is_taken_out_is_what_the_runs_call_and_can_be_denied() -> None:
    actions = called()
    assert {"ec2:RunInstances", "ssm:DeleteParameters"} <= set(actions)
    assert not {"sts:GetCallerIdentity", "ec2:ImportKeyPair"} & set(actions)
    assert actions == sorted(actions), "calls come in another order each time"


def test_of_lists_that_differ_every_action_is_tried_once() -> None:
    """Each process makes its own list from a run of its own."""
    lists = [["a", "b", "d", "e", "f"], ["b", "a", "d", "f", "e"], ["a", "b", "c", "d", "e", "f"]]
    shares = [Plan(shard=at, shards=3).share(each) for at, each in enumerate(lists)]
    tried = Counter(action for share in shares for action in share)
    assert set(tried) >= {"a", "b", "d", "e", "f"}
    assert set(tried.values()) == {1}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")
def test_later_commands_name_what_is_denied_to_them(tmp_path: Path) -> None:
    def one(actions: Sequence[str]) -> Sequence[str]:
        writes = [name for name in actions if not re.search(":(Get|List|Describe)", name)]
        return DICE.sample(writes, 1)

    with world(Zygote(), tmp_path / "work") as made:
        tried = list(in_story(made, one, story=("create", "extend", "pause", "resume")))
    assert [command for command, _, _ in tried] == ["extend", "pause", "resume"]
    assert [(command, action) for command, action, why in tried if why] == []
