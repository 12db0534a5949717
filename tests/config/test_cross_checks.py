"""Checks across several keys, through the loader."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.config import Config, load_config
from aws_setup.config.cross_checks import conflicts, discouraged_settings
from aws_setup.errors import Refused

FILLED = "ssh_keypair_name: k\nssh_key_path: /k.pem\n"


def whys(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "config_aws.yaml"
    path.write_text(text + "\n" + FILLED, encoding="utf-8")
    try:
        load_config(path)
    except Refused as error:
        return [f"{problem.what}: {problem.why}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "private_subnet_cidrs: [10.1.0.0/20, 10.0.144.0/20]",
            "10.1.0.0/20 is not inside",
        ),
        ("private_subnet_cidrs: [10.0.0.0/21, 10.0.144.0/20]", "10.0.0.0/21 overlaps 10.0.0.0/20"),
        ("vpc_cidr: 10.0.0.0/8", "10.0.0.0/8 has a prefix of /8; AWS allows /16 to /28"),
        ("ndb_manager_private_ip: 10.0.17.5", "10.0.17.5 is not inside 10.0.0.0/20"),
        ("ndb_manager_private_ip: 10.0.0.3", "AWS reserves 10.0.0.3 of 10.0.0.0/20"),
        ("ndb_manager_private_ip: 10.0.15.255", "AWS reserves 10.0.15.255"),
        ("ndb_manager_private_ip: 10.0.8.233", "10.0.8.233 is assigned to two machines"),
        ("num_ndb_datanodes: 5", "5 is odd"),
        ("create_launch_templates: False", "require the launch templates"),
        (
            "autoscaling_group_desired_capacity: 9",
            "the desired capacity 9 is not between the sizes 0 and 8",
        ),
        (
            "autoscaling_group_min_size: 1",
            "the desired capacity 0 is not between the sizes 1 and 8",
        ),
        ("vpc_id: vpc-01234567", "create_vpc: True creates a new one"),
        ("availability_zones: [us-east-1a, us-east-1a]", "both zones are us-east-1a"),
        (
            "aws_region: us-west-2\navailability_zones: [us-west-2a, us-east-1b]",
            "us-east-1b is not a zone of aws_region us-west-2",
        ),
        ("eks_public_access_cidrs: [10.0.0.0/8]", "private or reserved range"),
        ("openwhisk_access_cidrs: [10.0.0.0/8]", "private or reserved range"),
    ],
)
def test_inconsistent_keys_are_refused(tmp_path: Path, text: str, why: str) -> None:
    found = whys(tmp_path, text)
    assert len(found) == 1
    assert why in found[0]
    assert found[0].startswith("config_aws.yaml:")


@pytest.mark.parametrize(
    "text",
    [
        "ndb_manager_private_ip: 10.0.0.4",
        "ndb_manager_private_ip: 10.0.15.254",
        "create_ndb_cluster: False\nnum_ndb_datanodes: 5\nndb_manager_private_ip: 10.0.8.233",
        "num_lambda_fs_zk_vms: 2\nzookeeper_private_ips: [10.0.8.233, 10.0.8.234, 10.0.8.234]",
        "create_zookeeper_vms: False\nzookeeper_private_ips: [192.168.0.1]",
        "create_vpc: False\nvpc_id: vpc-01234567\nndb_manager_private_ip: 172.31.0.9",
        "create_autoscaling_groups: False\ncreate_launch_templates: False",
        "num_lambda_fs_zk_vms: 4",
    ],
)
def test_disabled_parts_and_unusual_valid_values_pass(tmp_path: Path, text: str) -> None:
    assert whys(tmp_path, text) == []


def test_a_conflict_is_not_reported_for_an_invalid_key(tmp_path: Path) -> None:
    found = whys(tmp_path, "vpc_cidr: x\nprivate_subnet_cidrs: [10.1.0.0/20, 10.1.16.0/20]")
    assert len(found) == 1
    assert "not an IPv4 network" in found[0]


def test_an_even_number_of_zookeeper_nodes_is_a_warning() -> None:
    config = Config(ssh_keypair_name="k", ssh_key_path="k", num_lambda_fs_zk_vms=4)
    assert [conflict.keys for conflict in discouraged_settings(config)] == [
        ("num_lambda_fs_zk_vms",)
    ]
    assert discouraged_settings(config.model_copy(update={"num_lambda_fs_zk_vms": 5})) == []
    assert discouraged_settings(config.model_copy(update={"create_zookeeper_vms": False})) == []


def test_settings_of_the_self_signed_certificate_beside_the_users_are_a_warning() -> None:
    config = Config(ssh_keypair_name="k", ssh_key_path="k", openwhisk_tls_days=90)
    assert discouraged_settings(config) == []
    own = config.model_copy(update={"openwhisk_tls_cert": "c.pem", "openwhisk_tls_key": "k.pem"})
    (found,) = discouraged_settings(own)
    assert found.keys == ("openwhisk_tls_days",)
    assert "openwhisk_tls_cert" in found.hint


@pytest.mark.parametrize(("data_nodes", "most"), [(4, 249), (48, 205)])
def test_more_namenodes_than_ndb_has_node_ids_for_are_a_warning(data_nodes: int, most: int) -> None:
    """Not all of them need to run at a time; and what exists must be destroyed all the same."""
    sizes = {"num_ndb_datanodes": data_nodes, "num_namenode_deployments": most + 1}
    config = Config(ssh_keypair_name="k", ssh_key_path="k").model_copy(update=sizes)
    (found,) = discouraged_settings(config)
    assert f"of which NameNodes can use {most} at a time" in found.why
    assert conflicts(config) == []
    fewer = config.model_copy(update={"num_namenode_deployments": most})
    assert discouraged_settings(fewer) == []
