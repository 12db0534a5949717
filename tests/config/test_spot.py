"""The key spot: what may be Spot, what is refused and why, which types take a type's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.config import load_config
from aws_setup.config.spot import alternatives
from aws_setup.errors import Refused


def spot_of(folder: Path, value: str) -> tuple[str, ...]:
    path = folder / "config_aws.yaml"
    path.write_text(f"ssh_keypair_name: k\nssh_key_path: /k\nspot: {value}\n")
    return load_config(path).spot


def test_invokers_and_clients_may_be_spot(tmp_path: Path) -> None:
    assert spot_of(tmp_path, "[invokers, clients]") == ("invokers", "clients")
    assert spot_of(tmp_path, "[]") == ()


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("ndb", "tables in the memory"),
        ("ndb_datanodes", "tables in the memory"),
        ("zookeeper", "quorum"),
        ("zk", "quorum"),
        ("core", "volumes are in one zone"),
        ("namenodes", "on the invokers"),
    ],
)
def test_what_would_lose_data_is_refused_with_the_reason(
    tmp_path: Path, part: str, why: str
) -> None:
    with pytest.raises(Refused) as caught:
        spot_of(tmp_path, f"[{part}]")
    text = str(caught.value)
    assert f"{part} cannot be Spot" in text
    assert why in text


@pytest.mark.parametrize("value", ["[gpus]", "true", "[1]", "{invokers: true}"])
def test_anything_else_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(Refused):
        spot_of(tmp_path, value)


def test_a_type_is_replaced_by_those_of_its_size() -> None:
    assert alternatives("r5.4xlarge")[:2] == ("r5.4xlarge", "r5a.4xlarge")
    assert alternatives("x2idn.16xlarge") == ("x2idn.16xlarge",)
