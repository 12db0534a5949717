"""pause and resume down to a real ZooKeeper, a real MariaDB and NDB: nothing is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.config import Config
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.client_files import PUBLISHED_PASSWORD
from aws_setup.software.zookeeper.steps import list_znodes
from aws_setup.ssh.pool import MachinePool
from tests.support.laptop import Laptop, actions, laptop_beside
from tests.support.machines import needs_machines

MANAGER = "10.0.6.227"
KEPT_ZNODE = "/keptbypause"

pytestmark = [
    needs_machines,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not Path(images.ZOOKEEPER_JARS).exists(), reason="Debian's package zookeeper is missing"
    ),
]


def machines(laptop: Laptop) -> dict[str, dict[str, Any]]:
    """Return the machines of the receipt by name."""
    steps = laptop.receipt().values()
    found = [item for entry in steps for item in entry.get("instances", ())]
    return {item["name"]: item for item in found}


def sql(laptop: Laptop, text: str) -> str:
    """Run SQL on the NDB manager, as a client in its network does."""
    server = ("--no-defaults", "--protocol=TCP", "--skip-ssl", f"--host={MANAGER}")
    login = ("--user=user", "--skip-column-names", "-e", text, "vanilla_hopsfs")
    done = subprocess.run(
        [*laptop.vm_pool.enter_network(MANAGER), "mariadb", *server, *login],
        env=os.environ | {"MYSQL_PWD": PUBLISHED_PASSWORD},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def znodes(laptop: Laptop, *create: str) -> set[str]:
    """Create znodes and return all, over SSH at the addresses of the receipt."""
    document = yaml.safe_load((laptop.folder / "config_aws.yaml").read_text())
    pool = MachinePool(Config(**document))
    vm = machines(laptop)["lambdafs-zookeeper-1"]
    try:
        return list_znodes(pool.machine(vm["id"], vm["public_ip"]), create=create)
    finally:
        pool.close()


def generations(laptop: Laptop) -> set[str]:
    """Return what the data nodes wrote at their first start; --initial writes it anew."""
    return {path.read_text() for path in laptop.vm_pool.folder.rglob("ndb_*_fs/generation")}


def clean_shutdowns(laptop: Laptop) -> int:
    """Return how often data nodes logged that they were shut down."""
    logs = laptop.vm_pool.folder.rglob("ndb_*_out.log")
    return sum(path.read_text().count("Node shutdown completed") for path in logs)


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laptop]:
    monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
    with laptop_beside(
        cloud,
        tmp_path,
        database=True,
        zookeeper_jvm_heap_size=256,
        num_namenode_deployments=2,
        create_hops_fs_client_vm=False,
    ) as found:
        yield found


def test_rows_and_znodes_are_there_after_a_pause_that_was_interrupted(
    laptop: Laptop, cloud: RehearsalCloud
) -> None:
    laptop.run("create")
    sql(laptop, "CREATE TABLE kept (id INT PRIMARY KEY); INSERT INTO kept VALUES (7), (42)")
    assert KEPT_ZNODE in znodes(laptop, KEPT_ZNODE)
    before, first_start = machines(laptop), generations(laptop)

    later = list(range(2, 40))
    cloud.faults.add(
        {"fault": "fail", "action": "StopInstances", "code": "UnsupportedOperation", "calls": later}
    )
    laptop.run("pause", code=1)
    cloud.faults.clear()
    assert clean_shutdowns(laptop) == 2, "NDB was shut down before its machines"
    laptop.run("pause")
    assert clean_shutdowns(laptop) == 2
    assert {vm["public_ip"] for vm in machines(laptop).values()} == {None}
    assert laptop.run("create", code=2)["problems"][0]["what"] == "the deployment is paused"

    cloud.faults.add(
        {"fault": "fail", "action": "StartInstances", "code": "UnsupportedOperation", "calls": [2]}
    )
    laptop.run("resume", code=1)
    cloud.faults.clear()
    resumed = laptop.run("resume")
    assert resumed["result"] == "ok"
    after = machines(laptop)
    assert after.keys() == before.keys()
    for name, vm in after.items():
        assert vm["private_ip"] == before[name]["private_ip"]
        assert vm["public_ip"] not in (None, before[name]["public_ip"])
    assert sql(laptop, "SELECT id FROM kept ORDER BY id").split() == ["7", "42"]
    assert KEPT_ZNODE in znodes(laptop)
    assert generations(laptop) == first_start, "no data node started with --initial"
    assert set(actions(laptop.run("create")).values()) == {"exists"}
