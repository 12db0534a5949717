"""`create` against the emulated cloud, down to real ZooKeeper on its machines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.vms import images as software
from aws_setup.rehearsal.vms.ec2_sync import sync_vms
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from tests.support.aws import client
from tests.support.machines import needs_machines, shared_key
from tests.support.script_runs import run_script

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    needs_machines,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not Path(software.ZOOKEEPER_JARS).exists(), reason="Debian's package zookeeper is missing"
    ),
]


@dataclass
class Laptop:
    """The researcher's folder: key, configuration, receipts."""

    folder: Path
    vm_pool: NamespaceVmPool

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run the script and return its JSON document."""
        command = ("create_aws_infrastructure.py", *words, "--yes", "--json")
        done = run_script(*command, folder=self.folder, environment=os.environ)
        assert done.returncode == code, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def switch_all_on(self) -> None:
        """Leave out every key that makes the deployment smaller than the original."""
        path = self.folder / "config_aws.yaml"
        document = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump({k: v for k, v in document.items() if v is not False}))


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laptop]:
    # At pace 0 the machines are asked 50 times a second, which slows down what is waited for.
    monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
    key = shared_key(tmp_path / "key")
    public = key.with_suffix(".pub").read_text()
    client("ec2").import_key_pair(KeyName="researcher", PublicKeyMaterial=public.encode())
    with NamespaceVmPool(tmp_path / "vms") as vm_pool, sync_vms(cloud, vm_pool):
        document = {
            "ssh_keypair_name": "researcher",
            "ssh_key_path": str(key),
            "ssh_config_path": str(vm_pool.ssh_config),
            "user_public_ip": "52.94.76.7",
            "availability_zones": ["us-east-1a", "us-east-1b"],
            "infrastructure_json_path": str(tmp_path / "receipts"),
            "zookeeper_jvm_heap_size": 256,
            "create_eks_cluster": False,
            "create_ndb_cluster": False,
            "create_hops_fs_client_vm": False,
            "create_launch_templates": False,
            "create_autoscaling_groups": False,
            "start_ndb_cluster": False,
            "populate_mysql_ndb_tables": False,
            "format_filesystem": False,
        }
        (tmp_path / "config_aws.yaml").write_text(yaml.safe_dump(document))
        yield Laptop(tmp_path, vm_pool)


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["action"] for step in document["steps"]}


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
    receipt = json.loads((laptop.folder / "receipts" / "lambda-fs.json").read_text())
    roles = receipt["steps"]["zookeeper ensemble"]["roles"]
    assert sorted(roles.values()) == ["follower", "follower", "leader"]
    assert set(actions(status).values()) == {"exists"}

    gone = laptop.run("destroy")
    assert gone["result"] == "ok"
    assert not known.exists()


def test_the_complete_deployment_on_nine_machines(laptop: Laptop) -> None:
    laptop.switch_all_on()
    made = laptop.run("create")
    assert made["result"] == "ok"
    software = {"ssh", "zookeeper ensemble", "zookeeper znodes", "ndb storage", "mysqld"}
    assert {actions(made)[name] for name in software} == {"create"}
    again = laptop.run("create")
    assert set(actions(again).values()) == {"exists"}
    assert laptop.run("destroy")["result"] == "ok"
