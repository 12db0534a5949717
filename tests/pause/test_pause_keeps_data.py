"""pause and resume down to a real ZooKeeper, a real MariaDB and NDB: nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.config import Config
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.environment import write_scripts
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.client_files import PUBLISHED_PASSWORD
from aws_setup.rehearsal.vms.ec2_sync import AMI_INSTALLERS, sync_vms
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from aws_setup.software.zookeeper.steps import list_znodes
from aws_setup.ssh.pool import MachinePool
from tests.support.aws import client
from tests.support.machines import needs_machines, shared_key
from tests.support.ndb import mariadb_template
from tests.support.script_runs import run_script

ROOT = Path(__file__).resolve().parents[2]
MANAGER, MANAGER_AMI = "10.0.6.227", "ami-0ef872c16032b2aeb"
KEPT_ZNODE = "/keptbypause"

pytestmark = [
    needs_machines,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not Path(images.ZOOKEEPER_JARS).exists(), reason="Debian's package zookeeper is missing"
    ),
]


@dataclass
class Laptop:
    """The researcher's folder, and the machines behind the emulated EC2."""

    folder: Path
    vm_pool: NamespaceVmPool

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run the script with consent and return its JSON document."""
        command = ("create_aws_infrastructure.py", *words, "--yes", "--json")
        done = run_script(
            *command,
            folder=self.folder,
            environment=os.environ,
        )
        assert done.returncode == code, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def machines(self) -> dict[str, dict[str, Any]]:
        """Return the machines of the receipt by name."""
        text = (self.folder / "receipts" / "lambda-fs.json").read_text()
        steps: dict[str, Any] = json.loads(text)["steps"]
        found = [item for entry in steps.values() for item in entry.get("instances", ())]
        return {item["name"]: item for item in found}

    def sql(self, text: str) -> str:
        """Run SQL on the NDB manager, as a client in its network does."""
        server = ("--no-defaults", "--protocol=TCP", "--skip-ssl", f"--host={MANAGER}")
        login = ("--user=user", "--skip-column-names", "-e", text, "vanilla_hopsfs")
        done = subprocess.run(
            [*self.vm_pool.enter_network(MANAGER), "mariadb", *server, *login],
            env=os.environ | {"MYSQL_PWD": PUBLISHED_PASSWORD},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def znodes(self, *create: str) -> set[str]:
        """Create znodes and return all, over SSH at the addresses of the receipt."""
        document = yaml.safe_load((self.folder / "config_aws.yaml").read_text())
        pool = MachinePool(Config(**document))
        vm = self.machines()["lambdafs-zookeeper-1"]
        try:
            return list_znodes(pool.machine(vm["id"], vm["public_ip"]), create=create)
        finally:
            pool.close()

    def generations(self) -> set[str]:
        """Return what the data nodes wrote at their first start; --initial writes it anew."""
        return {path.read_text() for path in self.vm_pool.folder.rglob("ndb_*_fs/generation")}

    def clean_shutdowns(self) -> int:
        """Return how often data nodes logged that they were shut down."""
        logs = self.vm_pool.folder.rglob("ndb_*_out.log")
        return sum(path.read_text().count("Node shutdown completed") for path in logs)


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laptop]:
    template = mariadb_template()
    database = partial(images.install_database, template=template)
    amis = {**AMI_INSTALLERS, MANAGER_AMI: (images.install_ndb_manager, database)}
    key = shared_key(tmp_path / "key")
    public = key.with_suffix(".pub").read_text()
    client("ec2").import_key_pair(KeyName="researcher", PublicKeyMaterial=public.encode())
    write_scripts(tmp_path / "sql")
    monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
    with (
        NamespaceVmPool(tmp_path / "vms", authorized_key=public) as vm_pool,
        sync_vms(cloud, vm_pool, amis=amis),
    ):
        document = {
            "ssh_keypair_name": "researcher",
            "ssh_key_path": str(key),
            "ssh_config_path": str(vm_pool.ssh_config),
            "user_public_ip": "52.94.76.7",
            "availability_zones": ["us-east-1a", "us-east-1b"],
            "infrastructure_json_path": str(tmp_path / "receipts"),
            "ndb_sql_scripts_dir": str(tmp_path / "sql"),
            "num_ndb_datanodes": 2,
            "zookeeper_jvm_heap_size": 256,
            "num_namenode_deployments": 2,
            "create_hops_fs_client_vm": False,
            "create_eks_cluster": False,
            "create_launch_templates": False,
            "create_autoscaling_groups": False,
        }
        (tmp_path / "config_aws.yaml").write_text(yaml.safe_dump(document))
        yield Laptop(tmp_path, vm_pool)


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["action"] for step in document["steps"]}


def test_rows_and_znodes_are_there_after_a_pause_that_was_interrupted(
    laptop: Laptop, cloud: RehearsalCloud
) -> None:
    laptop.run("create")
    laptop.sql("CREATE TABLE kept (id INT PRIMARY KEY); INSERT INTO kept VALUES (7), (42)")
    assert KEPT_ZNODE in laptop.znodes(KEPT_ZNODE)
    before, first_start = laptop.machines(), laptop.generations()

    later = list(range(2, 40))
    cloud.faults.add(
        {"fault": "fail", "action": "StopInstances", "code": "UnsupportedOperation", "calls": later}
    )
    laptop.run("pause", code=1)
    cloud.faults.clear()
    assert laptop.clean_shutdowns() == 2, "NDB was shut down before its machines"
    laptop.run("pause")
    assert laptop.clean_shutdowns() == 2
    assert {vm["public_ip"] for vm in laptop.machines().values()} == {None}
    assert laptop.run("create", code=2)["problems"][0]["what"] == "the deployment is paused"

    cloud.faults.add(
        {"fault": "fail", "action": "StartInstances", "code": "UnsupportedOperation", "calls": [2]}
    )
    laptop.run("resume", code=1)
    cloud.faults.clear()
    resumed = laptop.run("resume")
    assert resumed["result"] == "ok"
    after = laptop.machines()
    assert after.keys() == before.keys()
    for name, vm in after.items():
        assert vm["private_ip"] == before[name]["private_ip"]
        assert vm["public_ip"] not in (None, before[name]["public_ip"])
    assert laptop.sql("SELECT id FROM kept ORDER BY id").split() == ["7", "42"]
    assert KEPT_ZNODE in laptop.znodes()
    assert laptop.generations() == first_start, "no data node started with --initial"
    assert set(actions(laptop.run("create")).values()) == {"exists"}
