"""The order of the keys of `tags` in the configuration changes nothing: no node is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws.tags import tags
from aws_setup.config import Config
from aws_setup.eks import node_launch_template
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import NODE_SCRIPT, NODES, SMALL, deploy, instances
from tests.support.scripts import run, write_config

FEW = {"Owner": "me", "CostCentre": "42", "Zone": "lab"}
MANY = {f"Key{index}": "value" for index in (3, 1, 4, 5, 9, 2, 6)}


def reordered(some: dict[str, str]) -> dict[str, str]:
    return dict(reversed(some.items()))


def former_tags(config: Config, step: str, *, name: str) -> dict[str, str]:
    """Return the tags as an earlier version ordered them: those of the user as in the YAML."""
    now = tags(config, step, name=name)
    return {key: now[key] for key in (*config.tags, *(it for it in now if it not in config.tags))}


def planned(folder: Path) -> dict[str, Any]:
    """Return the actions of the node groups and their templates."""
    names = [*NODES, *(f"{name} template" for name in NODES)]
    words = [word for name in names for word in ("--only", name)]
    steps = run(NODE_SCRIPT, folder, "plan", *words, "--json").document["steps"]
    return {step["name"]: step["action"] for step in steps if step["name"] in names}


@pytest.mark.parametrize(
    ("had", "has", "earlier"),
    [
        (FEW, reordered(FEW), False),
        (MANY, reordered(MANY), False),
        (FEW, FEW, True),
        (FEW, reordered(FEW), True),
        (MANY, MANY, True),
    ],
    ids=["few", "many", "few of before", "few of before in another order", "many of before"],
)
def test_the_order_of_tags_replaces_no_nodes(
    cloud: RehearsalCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    had: dict[str, str],
    has: dict[str, str],
    earlier: bool,
) -> None:
    settings = {**SMALL, "create_autoscaling_groups": False, "create_launch_templates": False}
    with EksApiServers(cloud):
        with monkeypatch.context() as patch:
            if earlier:
                patch.setattr(node_launch_template, "tags", former_tags)
            folder = deploy(tmp_path / "work", **settings, tags=had)
        before = set(instances())
        write_config(folder, **settings, tags=has)
        assert set(planned(folder).values()) == {"exists"}
        words = [word for name in NODES for word in ("--only", name)]
        assert run(NODE_SCRIPT, folder, "configure", *words, "--yes").exit_code == 0
        assert set(instances()) == before
        write_config(folder, **settings, tags=has | {"Owner": "you"})
        assert "update" in planned(folder).values(), "a value is no order"


def test_the_requests_have_the_tags_in_the_same_order() -> None:
    one, other = (
        Config(ssh_keypair_name="key", ssh_key_path="key.pem", tags=some)
        for some in (FEW, reordered(FEW))
    )
    assert list(tags(one, "zookeeper", name="ZooKeeper").items()) == list(
        tags(other, "zookeeper", name="ZooKeeper").items()
    )
