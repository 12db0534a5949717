"""The operator's folder beside the emulated EC2, with VMs that run here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.environment import write_scripts
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.ec2_sync import AMI_INSTALLERS, sync_vms
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from tests.support.aws import client
from tests.support.machines import shared_key
from tests.support.ndb import mariadb_template
from tests.support.script_runs import run_script

MANAGER_AMI = "ami-0ef872c16032b2aeb"


@dataclass
class Laptop:
    """The operator's folder (key, configuration, receipts), and the VMs."""

    folder: Path
    vm_pool: NamespaceVmPool

    def run(self, *words: str, code: int = 0, typed: str = "") -> dict[str, Any]:
        """Run the script and return its JSON document; what is `typed` is typed on a terminal."""
        keyboard, terminal = os.openpty()
        os.write(keyboard, f"{typed}\n".encode())
        done = run_script(
            "create_aws_infrastructure.py",
            *words,
            "--yes",
            "--json",
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


@contextmanager
def laptop_beside(
    cloud: RehearsalCloud, folder: Path, *, database: bool = False, **keys: Any
) -> Iterator[Laptop]:
    """Prepare a folder, and run the VMs of the emulated EC2 while the block runs.

    Args:
        cloud: the emulated AWS.
        folder: gets the key and the configuration.
        database: whether a MariaDB is behind the NDB manager's mysqld, with SQL scripts for it.
        keys: further keys of the configuration.
    """
    key = shared_key(folder / "key")
    public = key.with_suffix(".pub").read_text()
    client("ec2").import_key_pair(KeyName="researcher", PublicKeyMaterial=public.encode())
    amis = AMI_INSTALLERS
    if database:
        write_scripts(folder / "sql")
        keys |= {"ndb_sql_scripts_dir": str(folder / "sql"), "num_ndb_datanodes": 2}
        install = partial(images.install_database, template=mariadb_template())
        amis = {**AMI_INSTALLERS, MANAGER_AMI: (images.install_ndb_manager, install)}
    with (
        NamespaceVmPool(folder / "vms", authorized_key=public) as vm_pool,
        sync_vms(cloud, vm_pool, amis=amis),
    ):
        document = {
            "ssh_keypair_name": "researcher",
            "ssh_key_path": str(key),
            "ssh_config_path": str(vm_pool.ssh_config),
            "user_public_ip": "52.94.76.7",
            "availability_zones": ["us-east-1a", "us-east-1b"],
            "infrastructure_json_path": str(folder / "receipts"),
            "create_eks_cluster": False,
            "create_launch_templates": False,
            "create_autoscaling_groups": False,
            **keys,
        }
        (folder / "config_aws.yaml").write_text(yaml.safe_dump(document))
        yield Laptop(folder, vm_pool)


def actions(document: Mapping[str, Any]) -> dict[str, str]:
    """Return step -> what was done with it."""
    return {step["name"]: step["action"] for step in document["steps"]}
