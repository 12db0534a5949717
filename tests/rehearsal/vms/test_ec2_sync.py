"""VMs of instances: parallel changes, and a VM that does not boot is re-created."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aws_setup.errors import SetupError
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.rehearsal.vms.ec2_sync import Ec2Sync
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from tests.support.aws import IMAGE, client, network, run
from tests.support.machines import ADDRESSES, needs_machines, public_ip, shared_key

pytestmark = needs_machines


@pytest.fixture
def public_key(tmp_path: Path) -> str:
    return shared_key(tmp_path / "key").with_suffix(".pub").read_text()


def test_vms_are_removed_in_parallel(tmp_path: Path, public_key: str) -> None:
    with (
        NamespaceVmPool(tmp_path / "vms", authorized_key=public_key) as vms,
        ThreadPoolExecutor(5) as pool,
    ):
        for _ in range(3):

            def launch(index: int) -> None:
                vms.launch(f"i-{index}", private_ip=ADDRESSES[index], public_ip=public_ip(index))

            list(pool.map(launch, range(5)))
            known = (tmp_path / "vms" / "known_hosts").read_text()
            assert known.count("ssh-ed25519") == 5
            list(pool.map(vms.discard, [f"i-{index}" for index in range(5)]))
            assert "HostKeyAlias" not in vms.ssh_config.read_text()


def test_a_vm_that_does_not_boot_is_re_created(
    cloud: RehearsalCloud, tmp_path: Path, public_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[Disk] = []

    def fail_once(disk: Disk) -> None:
        tries.append(disk)
        if len(tries) == 1:
            raise SetupError("the first launch fails", "by this test")

    ec2 = client("ec2")
    ec2.import_key_pair(KeyName="key", PublicKeyMaterial=public_key.encode())
    instance_id = str(run(ec2, network(ec2), KeyName="key")["InstanceId"])
    with NamespaceVmPool(tmp_path / "vms") as vms, caplog.at_level(logging.WARNING):
        sync = Ec2Sync(cloud, vms, amis={IMAGE: (fail_once,)})
        client("ec2").describe_instances()
        sync.sync()
        assert "the first launch fails" in caplog.text
        sync.sync()
        assert len(tries) == 2
        assert vms.console(instance_id).count("ssh-ed25519") == 1


def test_the_console_has_host_keys_until_a_machine_is_first_stopped(
    cloud: RehearsalCloud, tmp_path: Path, public_key: str
) -> None:
    """cloud-init prints them once for each instance: cc_keys_to_console is PER_INSTANCE."""
    ec2 = client("ec2")
    ec2.import_key_pair(KeyName="key", PublicKeyMaterial=public_key.encode())
    instance_id = str(run(ec2, network(ec2), KeyName="key")["InstanceId"])
    with NamespaceVmPool(tmp_path / "vms") as vms:
        sync = Ec2Sync(cloud, vms, amis={IMAGE: ()})
        printed = []
        for change in (None, ec2.stop_instances, ec2.start_instances):
            if change:
                change(InstanceIds=[instance_id])
            ec2.describe_instances()
            sync.sync()
            printed.append(ec2.get_console_output(InstanceId=instance_id).get("Output", ""))
    assert "BEGIN SSH HOST KEY KEYS" in printed[0]
    assert "Cloud-init finished" in printed[2]
    assert "SSH HOST KEY" not in printed[2]


@pytest.mark.skipif(shutil.which("mariadb-install-db") is None, reason="MariaDB is missing")
def test_a_new_database_uses_its_own_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    made = images.create_mariadb_template(tmp_path / "mariadb")
    assert (made / "mysql").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"mariadb", "home"}
