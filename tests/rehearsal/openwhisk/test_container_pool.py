"""The containers of an emulated invoker: stem cells, memory and CPU, as OpenWhisk counts them."""

from __future__ import annotations

import json
from typing import Any

from aws_setup.rehearsal.openwhisk.container_pool import ContainerPool, Invoker

KIND = "generic-namenode:10"
CPU = "-Dwhisk.kubernetes.cpu-scaling"


def invoker(
    *, memory: int = 114_216, cells: int = 40_000, image: str = "", options: str = ""
) -> Invoker:
    """Return the settings of an invoker with two stem cells, none of 0 MB."""
    entry: dict[str, Any] = {"kind": KIND}
    if cells:
        entry["stemCells"] = [{"initialCount": 2, "memory": f"{cells} MB"}]
    env = {
        "CONFIG_whisk_containerPool_userMemory": f"{memory}m",
        "RUNTIMES_MANIFEST": json.dumps({"runtimes": {"a": [entry]}}),
        "INVOKER_OPTS": options,
    }
    listed = [{"name": name, "value": value} for name, value in env.items()]
    return Invoker.of({"image": image, "env": listed})


def held(settings: Invoker, *, millicpus: int = 16_000, memory: int = 20_000) -> list[str]:
    """Start nine NameNodes one after the other; return those that have a container at the end."""
    pool = ContainerPool(settings, millicpus)
    for number in range(9):
        pool.start(f"namenode{number}", KIND, memory)
    return list(pool.running)


def test_stem_cells_of_another_memory_take_the_place_of_actions() -> None:
    assert held(invoker()) == ["namenode8"]
    assert len(held(invoker(cells=20_000))) == 5
    assert len(held(invoker(cells=0))) == 5
    assert len(held(invoker(memory=25_221), memory=8_000)) == 3


def test_an_action_beside_stem_cells_without_room_waits() -> None:
    pool = ContainerPool(invoker(memory=81_000), 16_000)
    assert "stem cells have 80000 of 81000 MB" in pool.start("namenode0", KIND, 8_000)
    assert pool.running == []


def test_cpu_is_that_of_the_options_else_of_the_image() -> None:
    tag = "scusemua/invoker:6.25vcpu-40gb"
    share = f"{CPU}.millicpus=3078 {CPU}.memory=20000m {CPU}.max-millicpus=3078"
    assert len(held(invoker(cells=0, image=tag))) == 2
    assert len(held(invoker(cells=0, image=tag, options=share))) == 5
    assert len(held(invoker(cells=0, image="openwhisk/invoker:1"))) == 5
    pool = ContainerPool(invoker(cells=0, image=tag), 4_000)
    assert "Insufficient cpu" in pool.start("namenode0", KIND, 8_000)


def test_what_runs_is_started_once() -> None:
    pool = ContainerPool(invoker(cells=0), 16_000)
    assert pool.start("a", KIND, 256) == pool.start("a", KIND, 256) == ""
    assert pool.running == ["a"]
    assert Invoker.of({}).memory == 1024
