"""`create` after the loss of an NDB data node's machine, against the emulated cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.laptop import Laptop, actions, laptop_beside
from tests.support.machines import needs_machines

pytestmark = [needs_machines, pytest.mark.timeout(300)]

OFF = (
    "create_zookeeper_vms",
    "create_lambda_fs_client_vm",
    "create_hops_fs_client_vm",
    "populate_mysql_ndb_tables",
    "format_filesystem",
)


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laptop]:
    monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
    keys: dict[str, Any] = {"num_ndb_datanodes": 2} | dict.fromkeys(OFF, False)
    with laptop_beside(cloud, tmp_path, **keys) as found:
        yield found


def machine(step: str) -> Any:
    """Return the running machine of a step."""
    filters = [
        {"Name": "tag:lambda-fs:step", "Values": [step]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    (group,) = client("ec2").describe_instances(Filters=filters)["Reservations"]
    return group["Instances"][0]


def rows(laptop: Laptop, step: str) -> str:
    """Return what the files of a step's data node hold: node 2 is of step 1, node 3 of step 2."""
    node_id = 1 + int(step[-1])
    disk = laptop.vm_pool.disk(machine(step)["InstanceId"])
    return disk.read(f"/usr/local/mysql/data/ndb_{node_id}_fs/generation")


def launches(cloud: RehearsalCloud) -> int:
    """Return how many machines were asked for; a dry run reads."""
    return sum(not call.reads for call in cloud.calls.named("RunInstances"))


def set_keys(laptop: Laptop, **keys: Any) -> None:
    path = laptop.folder / "config_aws.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def test_a_terminated_data_node_comes_back_and_what_cannot_be_done_launches_nothing(
    cloud: RehearsalCloud, laptop: Laptop
) -> None:
    ec2 = client("ec2")
    assert laptop.run("create")["result"] == "ok"
    lost, held = machine("ndb data nodes 1"), rows(laptop, "ndb data nodes 2")
    set_keys(laptop, num_ndb_datanodes=4)
    before = launches(cloud)
    refused = laptop.run("create", code=2)
    assert "the number of data nodes is 2, but 4" in refused["problems"][0]["what"]
    set_keys(laptop, num_ndb_datanodes=2)

    ec2.terminate_instances(InstanceIds=[lost["InstanceId"]])
    alone = laptop.run("create", "--only", "ndb data nodes 1", code=1)
    assert "the address of the lost machine is not known" in alone["problems"][0]["what"]
    taken = ec2.create_network_interface(
        SubnetId=lost["SubnetId"], PrivateIpAddress=lost["PrivateIpAddress"]
    )["NetworkInterface"]["NetworkInterfaceId"]
    refused = laptop.run("create", code=2)
    assert f"{lost['PrivateIpAddress']} (of a lost NDB data node)" in refused["problems"][0]["what"]
    assert taken in refused["problems"][0]["why"]
    assert launches(cloud) == before, "nothing was launched"

    ec2.delete_network_interface(NetworkInterfaceId=taken)
    done = actions(laptop.run("create"))
    assert {name for name, action in done.items() if action == "create"} == {"ndb data nodes 1"}
    new = machine("ndb data nodes 1")
    assert new["InstanceId"] != lost["InstanceId"]
    assert new["PrivateIpAddress"] == lost["PrivateIpAddress"]
    assert rows(laptop, "ndb data nodes 1") == rows(laptop, "ndb data nodes 2") == held
    assert laptop.receipt()["ndb storage"]["state"] == "2 of 2 started"
    assert set(actions(laptop.run("create")).values()) == {"exists"}
