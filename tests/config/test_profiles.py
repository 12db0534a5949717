"""The profiles: they load, keys of the file override them, they cost what the documents say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config, load_config
from aws_setup.config.profiles import PROFILES
from aws_setup.errors import Refused
from aws_setup.openwhisk.invoker_memory import user_memory
from aws_setup.preflight.namenode_memory import memory_findings
from aws_setup.preflight.results import Severity
from aws_setup.software.ndb.config_files import sizing
from tests.docs.cost_table import hourly

COSTS = Path(__file__).resolve().parents[2] / "docs" / "costs.md"
MIB = {"t3.medium": 4096, "m5.large": 8192, "r5.4xlarge": 131_072}
AVAILABLE = {
    "r5.xlarge": user_memory(32_768, pods=58),
    "r5.2xlarge": user_memory(65_536, pods=58),
    "r5.4xlarge": user_memory(131_072, pods=234),
}
"""MB for actions; the numbers of pods are those of EC2's interfaces and addresses."""


def load(folder: Path, **keys: Any) -> Config:
    path = folder / "config_aws.yaml"
    lines = [f"{key}: {value}" for key, value in keys.items()]
    path.write_text("\n".join(["ssh_keypair_name: k", "ssh_key_path: /k", *lines]) + "\n")
    return load_config(path)


def test_the_default_profile_is_the_default(tmp_path: Path) -> None:
    assert load(tmp_path) == load(tmp_path, profile="paper")


@pytest.mark.parametrize(("profile", "most"), [("paper", 19.3), ("small", 3.0), ("smoke", 1.12)])
def test_a_profile_costs_what_the_documents_say(tmp_path: Path, profile: str, most: float) -> None:
    cost = hourly(load(tmp_path, profile=profile))
    assert cost <= most
    row = next(line for line in COSTS.read_text().splitlines() if line.startswith(f"| `{profile}`"))
    running, paused, deep = map(float, re.findall(r"\$(\d+\.\d+)", row))
    assert f"{running:.2f}" == f"{cost:.2f}"
    assert running > paused > deep > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_memory_settings_fit_the_machines(tmp_path: Path, profile: str) -> None:
    config = load(tmp_path, profile=profile)
    assert config.zookeeper_jvm_heap_size <= MIB[config.lambdafs_zk_instance_type] / 2
    assert sizing(config).data_memory
    found = memory_findings(config, AVAILABLE[config.openwhisk_invoker_instance_type])
    assert not [one for one in found if one.severity is Severity.REFUSE]


def test_a_key_of_the_file_overrides_the_profile(tmp_path: Path) -> None:
    config = load(tmp_path, num_openwhisk_core_vms=2, profile="smoke", num_ndb_datanodes=4)
    assert (config.num_openwhisk_core_vms, config.num_ndb_datanodes) == (2, 4)
    assert config.num_openwhisk_invoker_vms == 1


def test_an_unknown_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        load(tmp_path, profile="huge")
    assert "profile" in caught.value.problems[0].what


@pytest.mark.parametrize(("number", "refused"), [(3, False), (4, True)])
def test_more_namenodes_than_fit_are_refused_with_the_arithmetic(
    tmp_path: Path, number: int, refused: bool
) -> None:
    config = load(tmp_path, profile="smoke", num_namenode_deployments=number)
    found = memory_findings(config, 25_000)
    problems = [one.problem for one in found if one.severity is Severity.REFUSE]
    assert bool(problems) is refused
    if refused:
        assert "4 NameNodes of 8000 MB do not fit on 1 invoker node" in problems[0].what
        assert "3 NameNodes each, 3 on 1 node" in problems[0].why
