"""The CPU of a NameNode: as many fit on a node as its memory has room for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from aws_setup.config import Config
from aws_setup.openwhisk.invoker_cpu import (
    PODS,
    SETTING,
    cpu_share,
    requested_millicpus,
    with_cpu_share,
)
from aws_setup.openwhisk.invoker_memory import InvokerNode
from aws_setup.preflight.namenode_cpu import check, cpu_findings
from aws_setup.preflight.namenode_memory import heap_findings
from aws_setup.preflight.results import Severity

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


@pytest.mark.parametrize(
    ("options", "tag", "memory", "millicpus"),
    [
        ("", "6.25vcpu-40gb", 20_000, 6_250),
        ("", "6.25vcpu-40gb", 80_000, 6_250),
        ("-Dx=1", "latest", 20_000, 0),
        (f"-D{SETTING}.millicpus=100 -D{SETTING}.memory=256m", "latest", 512, 100),
        (
            f"-D{SETTING}.millicpus=100 -D{SETTING}.memory=256m -D{SETTING}.max-millicpus=900",
            "latest",
            1024,
            400,
        ),
        (
            f"-D{SETTING}.millicpus=3000 -D{SETTING}.max-millicpus=3000",
            "6.25vcpu-40gb",
            8_000,
            3000,
        ),
    ],
)
def test_what_an_invoker_requests_for_a_container(
    options: str, tag: str, memory: int, millicpus: int
) -> None:
    assert requested_millicpus(options, tag, memory=memory) == millicpus


def configured(number: int, invokers: int) -> Config:
    return Config(
        ssh_keypair_name="key",
        ssh_key_path="/key",
        num_namenode_deployments=number,
        num_openwhisk_invoker_vms=invokers,
    )


def test_namenodes_for_which_the_nodes_have_no_cpu_are_refused_with_the_arithmetic() -> None:
    node = InvokerNode(memory=100_000, vcpus=16)
    assert not cpu_findings(configured(4, 2), node, 6_250)
    (found,) = cpu_findings(configured(5, 2), node, 6_250)
    assert found.severity is Severity.REFUSE
    assert found.what == "no room for 5 NameNodes of 6250 millicpus on 2 invoker nodes"
    assert "may use 15390: 2 NameNodes each, 4 in all" in found.why
    assert f"-D{SETTING}.millicpus in invoker.options of openwhisk_values to 5130" in found.hint
    (found,) = cpu_findings(configured(1, 1), InvokerNode(memory=25_000, vcpus=4), 6_250)
    assert "0 NameNodes each" in found.why


def test_only_options_of_the_user_are_checked(tmp_path: Path) -> None:
    """Without them configure sets each NameNode's share of its node."""

    def found(values: dict[str, Any]) -> list[tuple[str, Severity]]:
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        config = configured(20, 1).model_copy(update={"openwhisk_values": str(path)})
        types = {
            config.openwhisk_invoker_instance_type: {
                "MemoryInfo": {"SizeInMiB": 131_072},
                "VCpuInfo": {"DefaultVCpus": 16},
            }
        }
        ctx: Any = SimpleNamespace(config=config)
        return [(one.what, one.severity) for one in check(ctx, lambda: types)]

    assert found({}) == []
    assert found({"invoker": {"options": f"-D{SETTING}.millicpus=500"}}) == []
    what = "no room for 20 NameNodes of 6250 millicpus on 1 invoker node"
    assert found({"invoker": {"options": "-Xmx1g"}}) == [(what, Severity.WARN)]
    named = {"options": "-Xmx1g", "imageTag": "6.25vcpu-40gb"}
    assert found({"invoker": named}) == [(what, Severity.REFUSE)]
    assert found({"invoker": {"options": "-Xmx1g", "imageTag": "latest"}}) == []


@pytest.mark.parametrize(
    ("memory", "image", "warned"),
    [(7_499, None, True), (7_500, None, False), (512, "mine/java8:1", False)],
)
def test_a_memory_below_the_heap_is_a_warning(memory: int, image: str | None, warned: bool) -> None:
    keys = {"openwhisk_action_memory": memory, "namenode_image": image}
    found = heap_findings(configured(1, 1).model_copy(update=keys))
    assert [one.severity for one in found] == ([Severity.WARN] if warned else [])
