"""The sample configuration and its JSON Schema: they have every key, and they load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from aws_setup.config import Config, load_config
from aws_setup.config.descriptions import descriptions
from aws_setup.errors import Refused
from tests.docs.sample_config import SECTIONS, sample_text, schema_text

ROOT = Path(__file__).resolve().parents[2]
SAMPLE, SCHEMA = ROOT / "sample_config_aws.yaml", ROOT / "docs" / "config.schema.json"


def test_the_sample_names_every_key_and_has_two_placeholders() -> None:
    text = sample_text()
    keys = [line.removeprefix("# ").split(":")[0] for line in text.splitlines()]
    assert sorted(key for key in keys if key in Config.model_fields) == sorted(Config.model_fields)
    assert text.count("<FILL THIS IN>") == 2
    assert all(descriptions(Config).values())
    assert descriptions(Config).keys() == Config.model_fields.keys()
    assert {key for section in SECTIONS for key in section.__annotations__} == set(
        Config.model_fields
    )


def test_the_sample_with_its_placeholders_replaced_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    path.write_text(sample_text().replace("<FILL THIS IN>", "/k"), encoding="utf-8")
    bare = tmp_path / "bare.yaml"
    bare.write_text("ssh_keypair_name: /k\nssh_key_path: /k\n", encoding="utf-8")
    assert load_config(path) == load_config(bare)


def test_the_sample_as_it_is_names_its_two_placeholders(tmp_path: Path) -> None:
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


def test_the_schema_accepts_the_sample() -> None:
    schema = json.loads(schema_text())
    values = yaml.safe_load(sample_text())
    assert values.keys() <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["ssh_keypair_name", "ssh_key_path"]
    validator = Draft202012Validator(schema)
    validator.check_schema(schema)
    assert not list(validator.iter_errors(values))
    for wrong in ({"num_ndb_datanodes": "two"}, {"deployment_nam": "x"}, {"ssh_key_path": None}):
        assert list(validator.iter_errors(values | wrong)), wrong
