"""destroy --only deletes the named steps and what needs them; the rest is unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.settings import DeniedPermission
from create_aws_infrastructure import SCRIPT
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import prepare, run

MACHINES = {"ndb manager", "ndb data nodes 1", "ndb data nodes 2", "zookeeper"}
CLIENTS = {"lambda-fs client", "hopsfs client"}
KINDS = ("lambda_fs_clients", "hopsfs_clients", "hopsfs_namenodes")
TEMPLATES = {f"launch template {kind}" for kind in KINDS}
GROUPS = {f"auto-scaling group {kind}_ags" for kind in KINDS}

DELETED: dict[tuple[str, ...], set[str]] = {
    ("zookeeper",): {"zookeeper"},
    ("ndb manager", "zookeeper"): {"ndb manager", "zookeeper"},
    ("lambda-fs client",): {"lambda-fs client"},
    ("node ingress",): {"node ingress"},
    ("eks cluster",): {"eks cluster", "node ingress"},
    ("eks cluster role",): {"eks cluster role", "eks cluster", "node ingress"},
    ("auto-scaling group hopsfs_clients_ags",): {"auto-scaling group hopsfs_clients_ags"},
    ("launch template hopsfs_clients",): {
        "launch template hopsfs_clients",
        "auto-scaling group hopsfs_clients_ags",
    },
    ("public route table",): {
        "public route table",
        "public route",
        "public subnet 1 routing",
        "public subnet 2 routing",
    },
    ("nat gateway",): {"nat gateway", "private route"},
    ("security group",): {
        *("security group", "eks cluster", "node ingress"),
        *MACHINES,
        *CLIENTS,
        *TEMPLATES,
        *GROUPS,
    },
}
"""Steps named by --only -> every step that is deleted with them."""


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud:
        folder = prepare(tmp_path_factory.mktemp("only") / "work")
        assert run(SCRIPT, folder, "--yes").exit_code == 0
        yield World(cloud, folder)


@pytest.fixture
def folder(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    world.enter(monkeypatch)
    return world.folder


def missing(folder: Path) -> set[str]:
    """Return the steps that a create would make."""
    steps = run(SCRIPT, folder, "plan", "--json").document["steps"]
    return {step["name"] for step in steps if step["action"] == "create"}


@pytest.mark.parametrize(
    ("named", "expected"), DELETED.items(), ids=[", ".join(names) for names in DELETED]
)
def test_named_steps_are_deleted_with_their_dependants(
    folder: Path, named: tuple[str, ...], expected: set[str]
) -> None:
    words = [word for name in named for word in ("--only", name)]
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json", *words)
    assert ended.exit_code == 0, ended.document["problems"]
    deleted = {step["name"] for step in ended.document["steps"] if step["action"] == "delete"}
    assert deleted - {"ssh", "nat gateway"} >= expected - {"private route", "nat gateway"}
    assert missing(folder) == expected - {"private route"}
    assert ended.document["leftovers"] == []


def test_already_deleted_is_no_error(folder: Path) -> None:
    for _ in range(2):
        ended = run(SCRIPT, folder, "destroy", "--yes", "--json", "--only", "hopsfs client")
        assert ended.exit_code == 0, ended.document["problems"]
    assert missing(folder) == {"hopsfs client"}


def test_the_confirmation_lists_what_is_deleted(folder: Path) -> None:
    ended = run(SCRIPT, folder, "destroy", "--only", "zookeeper")
    assert ended.exit_code == 2
    assert "- delete  zookeeper" in ended.stdout
    assert "vpc" not in ended.stdout
    assert missing(folder) == set()


@pytest.mark.kind("A3")
@pytest.mark.parametrize(
    ("action", "user"),
    [
        ("ec2:DescribeInstances", "ndb manager"),
        ("autoscaling:DescribeAutoScalingGroups", "auto-scaling group"),
        ("ec2:DescribeNatGateways", "nat gateway"),
        ("eks:DescribeCluster", "eks cluster"),
    ],
)
def test_what_may_still_be_in_use_is_kept_and_not_waited_for(
    world: World, folder: Path, action: str, user: str
) -> None:
    settings, before = world.cloud.settings, len(world.cloud.calls)
    settings.deny = [DeniedPermission(action=action)]
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert ended.exit_code not in (0, 2)
    document = ended.document
    (kept,) = [it for it in document["warnings"] if it["what"].startswith("kept: vpc, ")]
    assert user in kept["why"]
    assert any(action in f"{it['why']} {it['hint']}" for it in document["problems"])
    calls = [call.action for call in world.cloud.calls[before:]]
    assert "DeleteVpc" not in calls, "AWS would refuse, and only after a long wait"
    assert {"DeleteRole", "TerminateInstances"} & set(calls), "nothing else is kept"
    goes = "DeleteScheduleGroup" in calls
    assert goes is (user == "nat gateway"), "the deadline stays while machines may be there"
    settings.deny = []
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert missing(folder) >= {"vpc", "ndb manager", "nat gateway", "eks cluster"}
