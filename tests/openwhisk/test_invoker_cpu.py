"""The CPU of a NameNode: as many fit on a node as its memory has room for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.openwhisk.invoker_cpu import PODS, cpu_share, with_cpu_share
from aws_setup.openwhisk.invoker_memory import InvokerNode

NODE = InvokerNode(114_216, 16)
OWN = "-Dwhisk.spi.A=org.B"


def options(folder: Path, **values: Any) -> str:
    return str(with_cpu_share(folder, values, NODE, memory=20_000)["invoker"]["options"])


@pytest.mark.parametrize(
    ("vcpus", "containers", "share"), [(4, 3, 1140), (8, 6, 1235), (16, 5, 3078), (1, 9, 48)]
)
def test_the_shares_are_what_the_kubelet_and_other_pods_leave(
    vcpus: int, containers: int, share: int
) -> None:
    assert cpu_share(vcpus, containers) == share
    assert share * containers + PODS <= 1000 * vcpus
    assert cpu_share(vcpus, 0) == cpu_share(vcpus, 1)


def test_the_charts_options_are_kept_and_the_users_are_not_changed(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"invoker": {"options": OWN}}))
    given = options(tmp_path).split()
    cpu = "-Dwhisk.kubernetes.cpu-scaling"
    assert given[0] == OWN
    assert given[1:] == [
        f"{cpu}.millicpus=3078",
        f"{cpu}.memory=20000m",
        f"{cpu}.max-millicpus=3078",
    ]
    for own in ("-Dmine=1", None):
        values = {"invoker": {"options": own}}
        assert with_cpu_share(tmp_path, values, NODE, memory=20_000) == values


def test_memory_of_the_users_values_decides_how_many_share(tmp_path: Path) -> None:
    assert "millicpus=3078 " in options(tmp_path, whisk={"containerPool": {"userMemory": "lots"}})
    assert "millicpus=7695 " in options(tmp_path, whisk={"containerPool": {"userMemory": "40000m"}})
