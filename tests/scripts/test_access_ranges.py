"""More address ranges than AWS takes are refused before anything is made or changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run, write_config

SMALL: dict[str, Any] = {
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
}


def addresses(count: int) -> list[str]:
    return [f"52.94.{number}.7" for number in range(count)]


CASES: Sequence[tuple[dict[str, Any], tuple[str, str]]] = (
    (
        {"operators": addresses(40), "openwhisk_internal": True},
        ("public endpoint", "eks_public_access_cidrs"),
    ),
    ({"operators": addresses(31)}, ("load balancer", "openwhisk_access_cidrs")),
    (
        {
            "user_public_ip": addresses(54),
            "eks_public_access_cidrs": ["52.94.0.0/16"],
            "openwhisk_internal": True,
        },
        ("security group of the machines", "operators"),
    ),
)


@pytest.mark.parametrize(("keys", "words"), CASES, ids=["EKS", "OpenWhisk", "machines"])
def test_create_refuses_them_before_its_first_write(
    cloud: RehearsalCloud, tmp_path: Path, keys: dict[str, Any], words: Sequence[str]
) -> None:
    folder = prepare(tmp_path / "work", **{**SMALL, **keys})
    writes = len(cloud.calls.writes())
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 2, ended.stdout
    (problem,) = ended.document["problems"]
    assert words[0] in problem["what"]
    assert words[1] in problem["hint"]
    assert len(cloud.calls.writes()) == writes


def test_the_most_that_aws_takes_is_made(cloud: RehearsalCloud, tmp_path: Path) -> None:
    most = {"user_public_ip": addresses(40), "operators": (), "openwhisk_internal": True}
    folder = prepare(tmp_path / "work", **{**SMALL, **most})
    made = run(SCRIPT, folder, "--yes", "--json")
    assert made.exit_code == 0, made.document["problems"]
    writes = len(cloud.calls.writes())
    write_config(folder, **{**SMALL, **most, "operators": ["8.8.8.8"]})
    for command in ("create", "allow-my-ip"):
        ended = run(SCRIPT, folder, command, "--yes", "--json")
        assert ended.exit_code == 2, ended.stdout
        assert "public endpoint" in ended.document["problems"][0]["what"]
    assert len(cloud.calls.writes()) == writes
    cloud.settings.quotas.rules_per_security_group = 60
    wide = {**most, "user_public_ip": addresses(61), "eks_public_access_cidrs": ["52.94.0.0/16"]}
    write_config(folder, **{**SMALL, **wide})
    ended = run(SCRIPT, folder, "allow-my-ip", "--yes", "--json")
    assert ended.exit_code == 2, ended.stdout
    assert "L-0EA8095F" in str(ended.document["problems"])
    assert len(cloud.calls.writes()) == writes
