"""The three scripts on a real AWS account, which is billed: `pytest --live --live-limit 20`.

It uses the credentials and the region of the environment, creates the deployment `lambda-fs-live`
with a key pair of that name and the smallest sizes that work, and deletes all of it at the end,
also after a failure. Needs helm 3 or 4 and git.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.support.openwhisk import make_jar

ROOT = Path(__file__).resolve().parents[2]
NAME = "lambda-fs-live"
CREATE, CONFIGURE, WHISK = (
    ROOT / script
    for script in ("create_aws_infrastructure.py", "configure_eks_cluster.py", "whisk_helper.py")
)
SMOKE = {
    "num_lambda_fs_zk_vms": 1,
    "zookeeper_private_ips": ["10.0.8.233"],
    "num_ndb_datanodes": 2,
    "ndb_manager_instance_type": "r5.large",
    "ndb_datanode_instance_type": "r5.large",
    "lambdafs_zk_instance_type": "r5.large",
    "lfs_client_vm_instance_type": "r5.large",
    "create_hops_fs_client_vm": False,
    "populate_mysql_ndb_tables": False,
    "format_filesystem": False,
    "num_openwhisk_core_vms": 2,
    "num_openwhisk_invoker_vms": 1,
    "openwhisk_invoker_instance_type": "r5.xlarge",
    "openwhisk_action_memory": 2048,
    "num_namenode_deployments": 2,
}
"""The smallest sizes with which every script has something to do; about 2 USD an hour."""

DELETION_HOURS = 0.75
"""Hours that are reserved for deleting everything, which is billed too."""


def script(path: Path, folder: Path, *words: str, seconds: float = 3600) -> dict[str, Any]:
    """Run a script to its end and return its JSON document; it must succeed."""
    command = [sys.executable, str(path), *words, "-y", "config_aws.yaml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=seconds, check=False)
    assert done.returncode == 0, (words, done.stdout[-4000:], done.stderr[-4000:])
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def prepare(folder: Path) -> None:
    """Create the key pair, the configuration, and a jar."""
    key = boto3.client("ec2").create_key_pair(KeyName=NAME)["KeyMaterial"]
    (folder / "key.pem").write_text(key)
    (folder / "key.pem").chmod(0o600)
    keys = {"deployment_name": NAME, "ssh_keypair_name": NAME, "ssh_key_path": "key.pem"}
    (folder / "config_aws.yaml").write_text(yaml.safe_dump(SMOKE | keys))
    make_jar(folder / "namenode.jar")


@pytest.mark.live
@pytest.mark.timeout(0)
def test_create_configure_register_and_destroy(tmp_path: Path, live_limit: float) -> None:
    started = time.monotonic()

    def within_limit(words: str, path: Path, hourly: float) -> float:
        """Run one verb while the money lasts; return what the deployment costs per hour then."""
        spare = live_limit / max(hourly, 3.0) - DELETION_HOURS
        left = spare * 3600 - (time.monotonic() - started)
        assert left > 60, f"--live-limit {live_limit} is too small for ${hourly:.2f} per hour"
        done = script(path, tmp_path, *words.split(), seconds=left)
        return hourly + float(done.get("hourly_usd") or 0)

    actions = "-n 2 -c 4 -j namenode.jar"
    prepare(tmp_path)
    try:
        hourly = within_limit("plan", CREATE, 0)
        within_limit("create --yes", CREATE, hourly)
        again = script(CREATE, tmp_path, "create", "--yes")
        assert {step["action"] for step in again["steps"]} == {"exists"}
        hourly = within_limit("plan", CONFIGURE, hourly)
        within_limit("configure --yes", CONFIGURE, hourly)
        within_limit(f"--create {actions}", WHISK, hourly)
        within_limit(f"--verify {actions}", WHISK, hourly)
    finally:
        gone = script(CREATE, tmp_path, "destroy", "--yes")
        boto3.client("ec2").delete_key_pair(KeyName=NAME)
    assert gone["leftovers"] == []
