"""`create` when a security group or a network ACL does not allow SSH from the operator."""

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
from aws_setup.rehearsal.vms.ec2_sync import sync_vms
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from tests.support.aws import client, where
from tests.support.machines import make_key, shared_key
from tests.support.script_runs import run_script

IMPATIENT = """
from aws_setup.ssh import connection, pool
opened = connection._open_socket
connection._open_socket = lambda route, *, timeout: opened(route, timeout=1)
pool.MachinePool.wait_for_ssh.__kwdefaults__["deadline"] = 3
"""
"""Before the script: SSH waits shortly for a port, and not five minutes for a machine.

The stages after the port keep their time: a busy computer needs it.
"""


@dataclass
class Laptop:
    """The researcher's folder: key, configuration, receipts."""

    folder: Path

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run the script and return its JSON document."""
        command = ("create_aws_infrastructure.py", *words, "--yes", "--json")
        done = run_script(*command, folder=self.folder, environment=os.environ, first=IMPATIENT)
        assert done.returncode == code, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def configure(self, **keys: object) -> None:
        """Change keys of the configuration."""
        path = self.folder / "config_aws.yaml"
        document = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump(document | keys))


@pytest.fixture
def laptop(cloud: RehearsalCloud, tmp_path: Path) -> Iterator[Laptop]:
    key = shared_key(tmp_path / "key")
    public = key.with_suffix(".pub").read_text()
    client("ec2").import_key_pair(KeyName="researcher", PublicKeyMaterial=public.encode())
    with InProcessVmPool(tmp_path / "vms") as vm_pool, sync_vms(cloud, vm_pool):
        made = Laptop(tmp_path)
        made.configure(
            ssh_keypair_name="researcher",
            ssh_key_path=str(key),
            ssh_config_path=str(vm_pool.ssh_config),
            user_public_ip="52.94.76.7",
            infrastructure_json_path=str(tmp_path / "receipts"),
            zookeeper_jvm_heap_size=256,
            **dict.fromkeys(
                (
                    "create_eks_cluster",
                    "create_ndb_cluster",
                    "create_hops_fs_client_vm",
                    "create_launch_templates",
                    "create_autoscaling_groups",
                    "start_ndb_cluster",
                    "populate_mysql_ndb_tables",
                    "format_filesystem",
                    "sftp_ssh_key",
                ),
                False,
            ),
        )
        yield made


def test_create_names_the_address_that_the_security_group_does_not_allow(
    cloud: RehearsalCloud, laptop: Laptop
) -> None:
    laptop.configure(user_public_ip="52.94.76.9")
    failed = laptop.run("create", code=1)
    problem = json.dumps(failed)
    assert "the security group does not allow your address" in problem
    assert "allow-my-ip" in problem
    laptop.configure(user_public_ip="52.94.76.7")
    assert laptop.run("create")["result"] == "ok"
    again = laptop.run("create")
    assert {step["action"] for step in again["steps"]} == {"exists"}
    cloud.settings.operator_address = "52.94.76.10"
    assert "does not allow your address" in json.dumps(laptop.run("create", code=1))


def test_a_network_acl_that_denies_ssh_makes_the_machines_unreachable(laptop: Laptop) -> None:
    assert laptop.run("create")["result"] == "ok"
    ec2 = client("ec2")
    (acl,) = [
        item
        for item in ec2.describe_network_acls(Filters=where(default="true"))["NetworkAcls"]
        if "10.0.0.0/16" in {vpc["CidrBlock"] for vpc in _vpcs(ec2, item["VpcId"])}
    ]
    entry = {
        "NetworkAclId": acl["NetworkAclId"],
        "RuleNumber": 50,
        "Protocol": "6",
        "RuleAction": "deny",
        "Egress": False,
        "CidrBlock": "0.0.0.0/0",
        "PortRange": {"From": 22, "To": 22},
    }
    ec2.create_network_acl_entry(**entry)
    assert "does not answer" in json.dumps(laptop.run("create", code=1))
    ec2.delete_network_acl_entry(NetworkAclId=acl["NetworkAclId"], RuleNumber=50, Egress=False)
    assert laptop.run("create")["result"] == "ok"


def test_another_key_pair_is_refused_before_a_write_while_the_machines_have_the_first(
    laptop: Laptop, tmp_path: Path
) -> None:
    assert laptop.run("create")["result"] == "ok"
    first = yaml.safe_load((laptop.folder / "config_aws.yaml").read_text())
    (tmp_path / "other").mkdir()
    key = make_key(tmp_path / "other" / "key")
    public = key.with_suffix(".pub").read_text()
    client("ec2").import_key_pair(KeyName="second", PublicKeyMaterial=public.encode())
    laptop.configure(
        ssh_keypair_name="second", ssh_key_path=str(key), create_hops_fs_client_vm=True
    )
    refused = laptop.run("create", code=2)
    assert refused["result"] == "refused"
    text = json.dumps(refused, ensure_ascii=False)
    assert "key pair of" in text
    assert "is researcher, but second in the configuration" in text
    assert "restore ssh_keypair_name: researcher with its ssh_key_path" in text
    pairs = client("ec2").describe_instances(Filters=where(**{"key-name": "second"}))
    assert not pairs["Reservations"], "no machine of the configuration was launched"
    laptop.configure(**first)
    again = laptop.run("create")
    assert {step["action"] for step in again["steps"]} == {"exists"}


def _vpcs(ec2: Any, vpc_id: str) -> list[dict[str, Any]]:
    return list(ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"])
