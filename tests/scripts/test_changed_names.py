"""Names and switches that were changed after create: refused, and destroy leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.pause.deployment import NODE_SCRIPT, SCRIPT, SMALL, act, deploy, forget_clients
from tests.support.aws import client
from tests.support.copies import SHARED, World, shared_cloud
from tests.support.scripts import run, write_config


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_cloud() as cloud, EksApiServers(cloud):
        yield World(cloud, deploy(tmp_path_factory.mktemp("world") / "work"))


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> RehearsalCloud:
    """The cloud with the deployment of the file."""
    forget_clients()
    return world.enter(monkeypatch)


@pytest.fixture
def folder(world: World, deployed: RehearsalCloud) -> Path:
    """The folder of that deployment's runs."""
    return world.folder


CHANGES: dict[str, dict[str, Any]] = {
    "names of roles": {"eks_iam_role_name": "another", "eks_node_role_name": "third"},
    "role of others": {"create_eks_iam_role": False, "eks_iam_role_name": "theirs"},
    "network of others": {"create_vpc": False, "vpc_id": "vpc-0123456789abcdef0"},
    "a VPC of others by name": {"create_vpc": False, "vpc_name": "theirs"},
    "group and VPC names": {"security_group_name": "another", "vpc_name": "another"},
    "no cluster": {"create_eks_cluster": False, "num_openwhisk_core_vms": 0},
    "ranges": {"private_subnet_cidrs": ["10.0.200.0/24", "10.0.201.0/24"]},
    "fixed addresses": {"zookeeper_private_ips": ["10.0.7.7"], "create_ndb_cluster": False},
    "nothing is made": {
        "create_ndb_cluster": False,
        "create_zookeeper_vms": False,
        "create_lambda_fs_client_vm": False,
        "create_hops_fs_client_vm": False,
        "create_launch_templates": False,
        "create_autoscaling_groups": False,
        "auto_pause_after": "never",
    },
}


def left(cloud: RehearsalCloud) -> list[str]:
    """Return what carries the deployment's tag."""
    found = [item for item in cloud.snapshot() if item.tags.get("lambda-fs:deployment")]
    return [f"{item.kind} {item.id}" for item in found]


def roles() -> set[str]:
    return {role["RoleName"] for role in client("iam").list_roles()["Roles"]}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_destroy_deletes_what_was_made_whatever_the_configuration_says_now(
    deployed: RehearsalCloud, folder: Path, changed: dict[str, Any]
) -> None:
    write_config(folder, **{**SMALL, **changed})
    assert act(folder, "destroy")["leftovers"] == []
    assert left(deployed) == []
    assert not {role for role in roles() if role.startswith("lambda-fs")}


def test_a_role_is_found_by_the_receipt_after_its_cluster_and_kept_if_it_is_of_others(
    deployed: RehearsalCloud, folder: Path
) -> None:
    act(folder, "destroy", "--only", "eks cluster")
    client("iam").create_role(
        RoleName="another", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )
    write_config(folder, **SMALL, eks_iam_role_name="another", eks_node_role_name="another")
    assert act(folder, "destroy")["leftovers"] == []
    assert {role for role in roles() if not role.startswith("aws")} == {"another"}


@pytest.mark.parametrize("key", ["eks_iam_role_name", "eks_node_role_name"])
def test_another_role_for_what_exists_is_refused_with_the_name_that_it_has(
    deployed: RehearsalCloud, folder: Path, key: str
) -> None:
    write_config(folder, **SMALL, **{key: "another"})
    before = roles()
    script = SCRIPT if key == "eks_iam_role_name" else NODE_SCRIPT
    words = ("create",) if script is SCRIPT else ("configure", "--only", "core-nodes")
    ended = run(script, folder, *words, "--yes", "--json")
    assert ended.exit_code == 2
    hints = [problem["hint"] for problem in ended.document["problems"]]
    assert any(f"set {key}: lambda-fs" in hint for hint in hints), hints
    assert roles() == before
