"""`create` against the emulated cloud, down to NDB's stand-ins, a real MariaDB and the clients."""

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

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.environment import write_scripts
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.client_files import PUBLISHED_PASSWORD
from aws_setup.rehearsal.vms.ec2_sync import AMI_INSTALLERS, sync_vms
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from tests.support.aws import client
from tests.support.machines import needs_machines, shared_key
from tests.support.ndb import mariadb_template
from tests.support.script_runs import run_script

ROOT = Path(__file__).resolve().parents[2]
MANAGER_AMI = "ami-0ef872c16032b2aeb"

pytestmark = [needs_machines, pytest.mark.timeout(300)]


@dataclass
class Laptop:
    """The researcher's folder: key, configuration, receipts, SQL scripts."""

    folder: Path

    def run(self, *words: str, code: int = 0, typed: str = "") -> dict[str, Any]:
        """Run the script and return its JSON document; what is `typed` is typed on a terminal."""
        keyboard, terminal = os.openpty()
        os.write(keyboard, f"{typed}\n".encode())
        command = ("create_aws_infrastructure.py", *words, "--yes", "--json")
        done = run_script(
            *command,
            folder=self.folder,
            environment=os.environ,
            stdin=terminal if typed else subprocess.DEVNULL,
        )
        os.close(terminal)
        os.close(keyboard)
        assert done.returncode == code, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def receipt(self) -> dict[str, Any]:
        """Return the receipt's steps."""
        document = json.loads((self.folder / "receipts" / "lambda-fs.json").read_text())
        found: dict[str, Any] = document["steps"]
        return found


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laptop]:
    template = mariadb_template()
    amis = {
        **AMI_INSTALLERS,
        MANAGER_AMI: (
            images.install_ndb_manager,
            partial(images.install_database, template=template),
        ),
    }
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
            "create_eks_cluster": False,
            "create_zookeeper_vms": False,
            "create_launch_templates": False,
            "create_autoscaling_groups": False,
        }
        (tmp_path / "config_aws.yaml").write_text(yaml.safe_dump(document))
        yield Laptop(tmp_path)


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["action"] for step in document["steps"]}


def test_missing_scripts_and_unknown_types_are_refused_before_anything_is_created(
    laptop: Laptop,
) -> None:
    (laptop.folder / "sql" / "schema.sql").unlink()
    path = laptop.folder / "config_aws.yaml"
    document = yaml.safe_load(path.read_text()) | {"ndb_datanode_instance_type": "i3.xlarge"}
    path.write_text(yaml.safe_dump(document))
    refused = laptop.run("create", code=2)
    text = " ".join(problem["what"] for problem in refused["problems"])
    assert "schema.sql cannot be read" in text
    assert "i3.xlarge is unknown" in text
    owned = [{"Name": "tag-key", "Values": ["Project"]}]
    assert not client("ec2").describe_vpcs(Filters=owned)["Vpcs"]


def test_create_again_after_a_stop_and_destroy(laptop: Laptop) -> None:
    assert laptop.run("create")["result"] == "ok"
    steps = laptop.receipt()
    assert steps["ndb storage"]["state"] == "2 of 2 started"
    assert steps["mysqld"]["state"] == "running"
    assert steps["ndb tables"]["state"] == "12 of 12 scripts"
    assert steps["lambda-fs format"]["state"] == "formatted"
    assert steps["ndb tables"]["user"] == "user", "that of the client's image"
    written = "".join(path.read_text() for path in (laptop.folder / "receipts").glob("*.[jl]*"))
    assert PUBLISHED_PASSWORD not in written

    assert set(actions(laptop.run("create")).values()) == {"exists"}

    ec2 = client("ec2")
    found = ec2.describe_instances()["Reservations"]
    ids = [instance["InstanceId"] for group in found for instance in group["Instances"]]
    ec2.stop_instances(InstanceIds=ids)
    started = actions(laptop.run("create"))
    assert {name for name, action in started.items() if action == "update"} >= {
        "ndb management server",
        "ndb storage",
        "mysqld",
    }
    assert started["lambda-fs format"] != "create"
    assert set(actions(laptop.run("create")).values()) == {"exists"}
    assert laptop.run("create", "--reformat", code=2)["result"] == "refused"
    assert laptop.run("create", "--reformat", code=2, typed="y")["result"] == "refused"
    reformatted = actions(laptop.run("create", "--reformat", typed="lambda-fs"))
    assert {name for name, action in reformatted.items() if action != "exists"} == {
        "lambda-fs format",
        "hopsfs format",
    }
    password = laptop.folder / "receipts" / "lambda-fs.ndb_password"
    password.write_text("of an earlier version\n")
    assert laptop.run("destroy")["result"] == "ok"
    assert not password.exists()
