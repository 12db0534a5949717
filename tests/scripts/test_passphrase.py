"""An SSH key with a passphrase: asked for once, before the work, and only where it is needed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.vms.ec2_sync import sync_vms
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from tests.scripts.test_create_ssh_access import IMPATIENT
from tests.support.aws import client
from tests.support.machines import shared_key
from tests.support.script_runs import run_script

ROOT = Path(__file__).resolve().parents[2]

WORDS = "correct horse"

TYPED_AHEAD = """
import termios
termios.TCSAFLUSH = termios.TCSANOW
"""
"""Before the script: getpass keeps what was typed before its question."""

OFF = (
    "create_eks_cluster",
    "create_ndb_cluster",
    "create_hops_fs_client_vm",
    "create_launch_templates",
    "create_autoscaling_groups",
    "start_ndb_cluster",
    "populate_mysql_ndb_tables",
    "format_filesystem",
    "sftp_ssh_key",
)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="pseudo-terminals, and a look into /proc"
)


@dataclass
class Laptop:
    """The researcher's folder, and a keyboard."""

    folder: Path

    def run(self, *words: str, typed: str, code: int = 0) -> tuple[int, dict[str, Any]]:
        """Run create_aws_infrastructure.py; return how often it asked, and its document."""
        keyboard, terminal = os.openpty()
        os.write(keyboard, 3 * typed.encode())
        try:
            done = run_script(
                "create_aws_infrastructure.py",
                *words,
                "--json",
                folder=self.folder,
                environment=os.environ,
                stdin=terminal,
                first=IMPATIENT + TYPED_AHEAD,
            )
        finally:
            os.close(terminal)
            os.close(keyboard)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr.count("Passphrase of"), json.loads(done.stdout)


@pytest.fixture
def laptop(cloud: RehearsalCloud, tmp_path: Path) -> Iterator[Laptop]:
    key = shared_key(tmp_path / "key")
    public = key.with_suffix(".pub").read_text()
    client("ec2").import_key_pair(KeyName="researcher", PublicKeyMaterial=public.encode())
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", WORDS, "-f", str(key)],
        check=True,
        capture_output=True,
    )
    with InProcessVmPool(tmp_path / "vms") as vm_pool, sync_vms(cloud, vm_pool):
        document = {
            "ssh_keypair_name": "researcher",
            "ssh_key_path": str(key),
            "ssh_config_path": str(vm_pool.ssh_config),
            "user_public_ip": "52.94.76.7",
            "infrastructure_json_path": str(tmp_path / "receipts"),
            "zookeeper_jvm_heap_size": 256,
            **dict.fromkeys(OFF, False),
        }
        (tmp_path / "config_aws.yaml").write_text(yaml.safe_dump(document))
        yield Laptop(tmp_path)


def test_it_is_asked_for_once_in_a_run_and_only_where_machines_are(laptop: Laptop) -> None:
    for verb in ("plan", "status"):
        asked, _ = laptop.run(verb, typed="")
        assert asked == 0, f"{verb} of nothing needs no key"
    asked, document = laptop.run("create", "--yes", typed=f"{WORDS}\n")
    assert (asked, document["result"]) == (1, "ok")
    for words in (("create", "--yes"), ("plan",), ("status",), ("pause", "--yes")):
        asked, document = laptop.run(*words, typed=f"{WORDS}\n")
        assert (asked, document["result"]) == (1, "ok"), words
    asked, _ = laptop.run("status", typed="")
    assert asked == 0, "the machines are stopped"
    asked, document = laptop.run("resume", "--yes", typed=f"{WORDS}\n")
    assert (asked, document["result"]) == (1, "ok")


def test_a_wrong_one_ends_the_run_before_anything_is_created(laptop: Laptop) -> None:
    asked, document = laptop.run("create", "--yes", typed="wrong\n", code=2)
    assert asked == 1
    assert document["problems"][0]["why"] == "the passphrase is wrong"
    assert not [item for item in client("ec2").describe_vpcs()["Vpcs"] if not item["IsDefault"]]


@pytest.mark.parametrize("machines", [False, True])
def test_one_ctrl_c_at_the_question_ends_the_run_and_restores_the_echo(
    laptop: Laptop, machines: bool
) -> None:
    if machines:
        laptop.run("create", "--yes", typed=f"{WORDS}\n")
    keyboard, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "create_aws_infrastructure.py"), "--yes", "--json"],
        cwd=laptop.folder,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,
        text=True,
    )
    try:
        shown = b""
        while b"Passphrase of" not in shown or b": " not in shown.partition(b"Passphrase of")[2]:
            shown += os.read(keyboard, 10_000)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=60)
        assert process.returncode == 130, stdout
        assert json.loads(stdout)["result"] == "interrupted"
        assert termios.tcgetattr(terminal) == before
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        os.close(terminal)
        os.close(keyboard)
