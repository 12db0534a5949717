"""Killed between "asked for" and "usable", at drawn moments of AWS's time: the next run goes on.

`tests/trust` kills at each write of a cloud where everything is usable at once; here the runs wait.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import configure_eks_cluster
import create_aws_infrastructure
from tests.support.kube import tool
from tests.support.virtual_kills import killed_again_and_again, moments
from tests.support.virtual_time import VirtualWorld, virtual_world
from tests.trust.snapshot import Snapshot, differences, take_cloud

pytestmark = pytest.mark.timeout(600)

KILLS = int(os.environ.get("KILLS_WHILE_WAITING", "5"))
"""Kills of each command, one in each of as many equal parts of its time."""

CHANGED = {"eks_log_types": ["api"], "eks_node_disk_size": 60}
"""Settings that EKS changes in place: in the cluster, and with other nodes in the node groups."""

STORY: tuple[tuple[Any, tuple[str, ...], dict[str, Any], set[str]], ...] = (
    (create_aws_infrastructure, ("create",), {}, {"cluster CREATING", "nat pending"}),
    (configure_eks_cluster, ("configure",), {}, {"nodes CREATING"}),
    (create_aws_infrastructure, ("create",), CHANGED, {"cluster UPDATING"}),
    (configure_eks_cluster, ("configure",), CHANGED, {"nodes UPDATING"}),
    (
        create_aws_infrastructure,
        ("pause", "--deep"),
        CHANGED,
        {"nodes UPDATING", "nat deleting"},
    ),
    (create_aws_infrastructure, ("resume",), CHANGED, {"nat pending"}),
    (create_aws_infrastructure, ("destroy",), CHANGED, {"nodes DELETING", "cluster DELETING"}),
)
"""Script, command, settings, and what some of the kills must meet neither usable nor gone."""


def test_killed_while_it_waits_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        empty, expected, lasting = take_cloud(world.cloud, world.hooks), [], []
        for script, words, settings, _ in STORY:
            configure(world, settings)
            expected.append(undisturbed(world, script, words))
            lasting.append(world.seconds[words[0]])
        assert not differences(empty, expected[-1])
        for told, after, seconds in zip(STORY, expected, lasting, strict=True):
            script, words, settings, passing = told
            configure(world, settings)
            kills = killed_again_and_again(
                world, moments(seconds, KILLS, seed=words[0]), script, *words
            )
            assert sum(kill.held for kill in kills) >= KILLS / 2, words
            assert any(kill.took_over for kill in kills), words
            assert passing <= set().union(*(kill.passing for kill in kills)), words
            assert not differences(after, undisturbed(world, script, words)), words


def configure(world: VirtualWorld, settings: dict[str, Any]) -> None:
    """Write the configuration of the next commands."""
    path = world.folder / "config_aws.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in document.items() if key not in CHANGED}
    path.write_text(yaml.safe_dump(kept | settings), encoding="utf-8")


def undisturbed(world: VirtualWorld, script: Any, words: tuple[str, ...]) -> Snapshot:
    """Return what a command makes that nothing disturbs."""
    ended = world.attempt(script, *words)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return take_cloud(world.cloud, world.hooks)
