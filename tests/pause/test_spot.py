"""spot: [invokers, clients]: what is bought, what it costs, and what a change of the key does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from create_aws_infrastructure import SCRIPT
from tests.pause.deployment import (
    NODE_SCRIPT,
    NODES,
    SMALL,
    act,
    client,
    deploy,
    instances,
    node_group,
    shape,
)
from tests.support.scripts import run, write_config

SPOT_GROUPS = {"invoker-nodes", "lambda_fs_clients_ags", "hopsfs_clients_ags"}


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Iterator[Path]:
    with EksApiServers(cloud):
        yield deploy(tmp_path / "work", spot=["invokers", "clients"])


def bought() -> dict[str, set[str]]:
    """Return the markets in which each group's machines were bought; '' is on demand."""
    found: dict[str, set[str]] = {}
    for item in instances().values():
        tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
        name = tags.get("eks:nodegroup-name") or tags.get("aws:autoscaling:groupName") or "VMs"
        found.setdefault(name, set()).add(item.get("InstanceLifecycle", ""))
    return found


def configure(folder: Path, verb: str = "configure") -> dict[str, Any]:
    nodes = [word for name in NODES for word in ("--only", name)]
    more = ["--yes"] if verb == "configure" else []
    ended = run(NODE_SCRIPT, folder, verb, *nodes, *more, "--json")
    assert ended.exit_code == 0, ended.document["problems"]
    return ended.document


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["action"] for row in document["steps"]}


def test_spot_is_bought_priced_paused_and_given_up(folder: Path) -> None:
    markets = bought()
    assert {name for name, has in markets.items() if has == {"spot"}} == SPOT_GROUPS
    assert all(has == {""} for name, has in markets.items() if name not in SPOT_GROUPS)
    types = node_group("invoker-nodes")["instanceTypes"]
    assert types[0] == "r5.4xlarge"
    assert len(types) >= 3, "several pools"
    assert set(actions(act(folder, "create")).values()) == {"exists"}
    assert set(actions(configure(folder)).values()) == {"exists"}

    status = act(folder, "status")
    spot = status["prices"]["spot"]["r5.4xlarge"]
    assert 0 < spot["usd"] < 1.008
    assert spot["as_of"]
    saved = status["cost"]["on_demand_hourly_usd"] - status["hourly_usd"]
    assert saved == pytest.approx(4 * (1.008 - spot["usd"]), rel=0.01), "2 nodes, 2 clients"
    text = run(SCRIPT, folder, "status").stdout
    assert "Spot r5.4xlarge: $0." in text
    assert "$1.008/h on demand" in text
    nodes = [word for name in NODES for word in ("--only", name)]
    plans = act(folder, "plan"), run(NODE_SCRIPT, folder, "plan", *nodes, "--json").document
    steps = [step for plan in plans for step in plan["steps"] if ", Spot" in step["details"]]
    names = {step["name"].removeprefix("auto-scaling group ") for step in steps}
    assert names == SPOT_GROUPS

    before = shape()
    act(folder, "pause")
    act(folder, "resume")
    assert shape() == before
    assert bought() == markets
    give_spot_up(folder)


def give_spot_up(folder: Path) -> None:
    """Remove the key: a node group is replaced, and the plan says so; a group changes in place."""
    write_config(folder, **SMALL)
    plan = configure(folder, "plan")
    (drift,) = (row["drift"] for row in plan["steps"] if row["name"] == "invoker-nodes")
    assert [(one["has"], "nodes are deleted" in one["wants"]) for one in drift] == [("SPOT", True)]
    assert actions(configure(folder))["invoker-nodes"] == "update"
    assert node_group("invoker-nodes")["capacityType"] == "ON_DEMAND"
    assert bought()["invoker-nodes"] == {""}
    changed = actions(act(folder, "create"))
    assert {name for name, action in changed.items() if action == "update"} == {
        "auto-scaling group lambda_fs_clients_ags",
        "auto-scaling group hopsfs_clients_ags",
    }
    assert bought()["lambda_fs_clients_ags"] == {"spot"}, "machines that run stay"
    (group,) = client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=["lambda_fs_clients_ags"]
    )["AutoScalingGroups"]
    assert "MixedInstancesPolicy" not in group
    assert set(actions(act(folder, "create")).values()) == {"exists"}
