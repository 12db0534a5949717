"""`create` against the emulated cloud, down to real ZooKeeper on its machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.vms import images as software
from tests.support.aws import client
from tests.support.laptop import Laptop, actions, laptop_beside
from tests.support.machines import needs_machines

pytestmark = [
    needs_machines,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not Path(software.ZOOKEEPER_JARS).exists(), reason="Debian's package zookeeper is missing"
    ),
]


OFF = (
    "create_ndb_cluster",
    "create_hops_fs_client_vm",
    "start_ndb_cluster",
    "populate_mysql_ndb_tables",
    "format_filesystem",
)


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laptop]:
    # At pace 0 the machines are asked 50 times a second, which slows down what is waited for.
    monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
    keys = dict.fromkeys(OFF, False)
    with laptop_beside(cloud, tmp_path, zookeeper_jvm_heap_size=256, **keys) as found:
        yield found


def switch_all_on(laptop: Laptop) -> None:
    """Leave out every key that makes the deployment smaller than the original."""
    path = laptop.folder / "config_aws.yaml"
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({k: v for k, v in document.items() if v is not False}))


def test_create_again_after_a_stop_and_destroy(laptop: Laptop) -> None:
    made = laptop.run("create")
    assert made["result"] == "ok"
    known = laptop.folder / "receipts" / "lambda-fs.known_hosts"
    assert len(known.read_text().splitlines()) == 4, "each machine's key, from its console"

    again = laptop.run("create")
    assert set(actions(again).values()) == {"exists"}

    ec2 = client("ec2")
    filters = [{"Name": "tag:Component", "Values": ["ZooKeeperVM"]}]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    ids = [instance["InstanceId"] for group in found for instance in group["Instances"]]
    ec2.stop_instances(InstanceIds=ids)
    started = laptop.run("create")
    assert started["result"] == "ok"
    assert actions(started)["zookeeper"] == "update"
    status = laptop.run("status")
    roles = laptop.receipt()["zookeeper ensemble"]["roles"]
    assert sorted(roles.values()) == ["follower", "follower", "leader"]
    assert set(actions(status).values()) == {"exists"}

    gone = laptop.run("destroy")
    assert gone["result"] == "ok"
    assert not known.exists()


def test_the_complete_deployment_on_nine_machines(laptop: Laptop) -> None:
    switch_all_on(laptop)
    made = laptop.run("create")
    assert made["result"] == "ok"
    software = {"ssh", "zookeeper ensemble", "zookeeper znodes", "ndb storage", "mysqld"}
    assert {actions(made)[name] for name in software} == {"create"}
    again = laptop.run("create")
    assert set(actions(again).values()) == {"exists"}
    assert laptop.run("destroy")["result"] == "ok"
