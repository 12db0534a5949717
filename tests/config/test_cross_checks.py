"""Checks that span several keys, through the loader; and the published sample and schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from aws_setup.config import Config, load_config
from aws_setup.config.cross_checks import discouraged_settings
from aws_setup.config.generate import REWRITE, SAMPLE, SCHEMA, SECTIONS, sample_text, schema_text
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
        ("vpc_cidr: 10.0.0.0/8", "16777216 addresses; AWS allows 16 to 65536"),
        ("ndb_manager_private_ip: 10.0.17.5", "10.0.17.5 is not inside 10.0.0.0/20"),
        ("ndb_manager_private_ip: 10.0.0.3", "AWS keeps 10.0.0.3 of 10.0.0.0/20 for itself"),
        ("ndb_manager_private_ip: 10.0.15.255", "AWS keeps 10.0.15.255"),
        ("ndb_manager_private_ip: 10.0.8.233", "10.0.8.233 is given to two machines"),
        ("num_ndb_datanodes: 5", "5 is odd"),
        ("create_launch_templates: False", "need the launch templates"),
        ("autoscaling_group_desired_capacity: 9", "not between the least size 0 and the greatest"),
        ("autoscaling_group_min_size: 1", "the capacity 0 is not between the least size 1"),
        ("vpc_id: vpc-01234567", "create_vpc: True makes a new VPC"),
        ("availability_zones: [us-east-1a, us-east-1a]", "both zones are us-east-1a"),
        (
            "aws_region: us-west-2\navailability_zones: [us-west-2a, us-east-1b]",
            "us-east-1b is not a zone of aws_region us-west-2",
        ),
        ("eks_public_access_cidrs: [10.0.0.0/8]", "private or reserved range"),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(tmp_path: Path, text: str, why: str) -> None:
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
def test_parts_that_are_off_and_odd_but_possible_choices_pass(tmp_path: Path, text: str) -> None:
    assert whys(tmp_path, text) == []


def test_a_clash_is_not_reported_for_a_key_that_is_wrong_itself(tmp_path: Path) -> None:
    found = whys(tmp_path, "vpc_cidr: x\nprivate_subnet_cidrs: [10.1.0.0/20, 10.1.16.0/20]")
    assert len(found) == 1
    assert "not an IPv4 network" in found[0]


def test_an_even_number_of_zookeeper_nodes_is_a_warning() -> None:
    config = Config(ssh_keypair_name="k", ssh_key_path="k", num_lambda_fs_zk_vms=4)
    assert [clash.keys for clash in discouraged_settings(config)] == [("num_lambda_fs_zk_vms",)]
    assert discouraged_settings(config.model_copy(update={"num_lambda_fs_zk_vms": 5})) == []
    assert discouraged_settings(config.model_copy(update={"create_zookeeper_vms": False})) == []


def test_the_published_files_are_what_the_code_says() -> None:
    mend = f"run `{REWRITE}` and commit both files"
    assert SAMPLE.read_text(encoding="utf-8") == sample_text(), mend
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), mend


def test_the_sample_names_every_key_and_has_two_blanks() -> None:
    text = sample_text()
    written = [line.removeprefix("# ").split(":")[0] for line in text.splitlines()]
    assert sorted(key for key in written if key in Config.model_fields) == sorted(
        Config.model_fields
    )
    assert text.count("<FILL THIS IN>") == 2
    assert all(field.description for field in Config.model_fields.values())
    assert {key for section in SECTIONS for key in section.__annotations__} == set(
        Config.model_fields
    )


def test_the_sample_with_its_blanks_filled_in_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    path.write_text(sample_text().replace("<FILL THIS IN>", "/k"), encoding="utf-8")
    bare = tmp_path / "bare.yaml"
    bare.write_text("ssh_keypair_name: /k\nssh_key_path: /k\n", encoding="utf-8")
    assert load_config(path) == load_config(bare)


def test_the_sample_as_it_is_names_its_two_blanks(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    path.write_text(sample_text(), encoding="utf-8")
    with pytest.raises(Refused) as caught:
        load_config(path)
    assert [problem.what.split(": ")[1] for problem in caught.value.problems] == [
        "ssh_keypair_name",
        "ssh_key_path",
    ]


def test_the_first_line_of_the_sample_finds_the_schema() -> None:
    first = SAMPLE.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (SAMPLE.parent / first.partition("$schema=")[2]).samefile(SCHEMA)


def test_the_schema_knows_the_sample() -> None:
    schema = json.loads(schema_text())
    values = yaml.safe_load(sample_text())
    assert values.keys() <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["ssh_keypair_name", "ssh_key_path"]
