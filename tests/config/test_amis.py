"""The table of published AMIs, and which of them a configuration uses in another region."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from aws_setup.config import Config, amis
from aws_setup.config.amis import AMIS, DEFAULT_REGION, Ami, ami_for_region, region_of

KEYS = {key for key in Config.model_fields if key.endswith("_ami")}


@pytest.fixture
def two_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with a second region, as a copy of the AMIs would need it."""
    row = {key: Ami(f"ami-{index:017x}", key) for index, key in enumerate(sorted(KEYS))}
    monkeypatch.setattr(amis, "AMIS", MappingProxyType({**AMIS, "eu-west-1": row}))


def config(**keys: str) -> Config:
    return Config.model_validate({"ssh_keypair_name": "k", "ssh_key_path": "k.pem"} | keys)


def test_every_region_has_an_ami_for_every_key() -> None:
    assert {region: row.keys() for region, row in AMIS.items()} == dict.fromkeys(AMIS, KEYS)


def test_every_ami_is_listed_once() -> None:
    ids = [ami.id for row in AMIS.values() for ami in row.values()]
    assert len(ids) == len(set(ids))
    assert {region_of(ami.id) for ami in AMIS[DEFAULT_REGION].values()} == {DEFAULT_REGION}
    assert region_of("ami-0123456789abcdef0") == ""


def test_the_defaults_are_the_row_of_the_default_region() -> None:
    defaults = {key: getattr(config(), key) for key in KEYS}
    assert defaults == {key: ami.id for key, ami in AMIS[DEFAULT_REGION].items()}


def test_in_a_region_without_a_row_the_defaults_stay() -> None:
    for region in (DEFAULT_REGION, "us-west-2"):
        assert config().with_amis_of(region) == config()


@pytest.mark.usefixtures("two_regions")
def test_in_a_region_with_a_row_its_amis_replace_the_published_ones() -> None:
    chosen = config(hopsfs_ami="ami-0123456789abcdef0").with_amis_of("eu-west-1")
    expected = {key: ami.id for key, ami in amis.AMIS["eu-west-1"].items()}
    assert {key: getattr(chosen, key) for key in KEYS} == {
        **expected,
        "hopsfs_ami": "ami-0123456789abcdef0",
    }
    assert chosen.with_amis_of(DEFAULT_REGION).zookeeper_ami == config().zookeeper_ami


@pytest.mark.usefixtures("two_regions")
def test_an_ami_of_another_key_is_not_replaced() -> None:
    manager = AMIS[DEFAULT_REGION]["ndb_manager_ami"].id
    assert ami_for_region("zookeeper_ami", manager, "eu-west-1") == manager
