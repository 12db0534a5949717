"""Addresses of the cluster's subnets, which the nodes that configure adds take with their pods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def test_nodes_that_configure_adds_need_addresses_of_the_clusters_subnets(zoo: Lab) -> None:
    zoo.run("configure")
    zoo.save(num_openwhisk_invoker_vms=500)
    refused = zoo.run("configure", code=2)
    (problem,) = [it for it in refused["problems"] if "addresses are free" in it["what"]]
    assert problem["why"].endswith("of this configuration take 14940"), "498 nodes of 30"
    assert "use fewer nodes" in problem["hint"]
