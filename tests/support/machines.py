"""Real machines for tests: OpenSSH servers in namespaces, and a configuration that finds them."""

from __future__ import annotations

import functools
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.vms.namespace_vms import (
    ImageInstaller,
    NamespaceVmPool,
    missing_requirement,
)
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

ADDRESSES = ("10.0.8.233", "10.0.4.113", "10.0.14.89", "10.0.9.1", "10.0.9.2")

needs_machines = pytest.mark.skipif(
    missing_requirement() != "", reason=missing_requirement() or "machines run here"
)


@dataclass
class VmEnvironment:
    """VMs, the operator's key, and a folder for the deployment's files."""

    vm_pool: NamespaceVmPool
    folder: Path
    key: Path

    def config(self, **keys: Any) -> Config:
        """Return a configuration that reaches the VMs."""
        defaults: dict[str, Any] = {
            "ssh_keypair_name": "rehearsal",
            "ssh_key_path": str(self.key),
            "ssh_config_path": str(self.vm_pool.ssh_config),
            "infrastructure_json_path": str(self.folder / "receipts"),
            "zookeeper_jvm_heap_size": 256,
            "num_namenode_deployments": 2,
        }
        return Config(**defaults | keys)

    def launch(self, count: int, *, lay: Sequence[ImageInstaller] = ()) -> None:
        """Launch machines i-0, i-1, … with the addresses of ADDRESSES, until their sshd listens."""
        for index in range(count):
            self.vm_pool.launch(
                f"i-{index}",
                private_ip=ADDRESSES[index],
                public_ip=public_ip(index),
                installers=lay,
            )
        for index in range(count):
            self.wait_for_sshd(index)

    def wait_for_sshd(self, index: int) -> None:
        """Wait until the sshd of a machine listens, which it does some time after the boot."""
        while not self.vm_pool.is_listening(ADDRESSES[index], 22):
            time.sleep(0.02)

    def pool(self, **keys: Any) -> MachinePool:
        """Return the pool of a new run, without console outputs."""
        return MachinePool(self.config(**keys), SystemClock(pace=0.1))

    def machine(self, index: int = 0, **keys: Any) -> Machine:
        """Return one machine in a new run."""
        return self.pool(**keys).machine(f"i-{index}", public_ip(index))

    def context(self, count: int, *, shift: int = 0, **keys: Any) -> tuple[Context, list[str]]:
        """Return a context in which the ZooKeeper machines were found, and its notes.

        `shift` gives every machine another public address, as a stop and start does.
        """
        notes: list[str] = []
        ec2 = SimpleNamespace(
            get_console_output=lambda InstanceId, **_: {"Output": self.vm_pool.console(InstanceId)}
        )
        aws = cast(Aws, SimpleNamespace(ec2=ec2, shared={}))
        inventory = cast(Inventory, SimpleNamespace(all=lambda _: []))
        ctx = Context(
            config=self.config(**keys),
            aws=aws,
            clock=SystemClock(pace=0.1),
            inventory=inventory,
            note=notes.append,
        )
        ctx.found["zookeeper"] = Found(
            "zookeeper",
            facts={"instances": [described(i, shift=shift) for i in range(count)]},
        )
        return ctx, notes


def described(index: int, *, shift: int = 0) -> dict[str, str]:
    """Return a machine as the VMs' step describes it."""
    return {
        "id": f"i-{index}",
        "name": f"zk-{index}",
        "private_ip": ADDRESSES[index],
        "public_ip": public_ip(index, shift=shift),
    }


def public_ip(index: int, *, shift: int = 0) -> str:
    """Return a public address of the documentation range."""
    return f"203.0.113.{10 + index + shift}"


def make_key(path: Path, *, kind: str = "rsa", passphrase: str = "") -> Path:
    """Create a private key file as a user would."""
    size = ["-b", "2048"] if kind == "rsa" else []
    command = ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def shared_key(path: Path) -> Path:
    """Create the operator's key files; all tests of a process have the same RSA key.

    To find the primes of one takes half a second.
    """
    private, public = _rsa_key()
    path.write_text(private, encoding="utf-8")
    path.chmod(0o600)
    path.with_suffix(".pub").write_text(public, encoding="utf-8")
    return path


@functools.cache
def _rsa_key() -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="rsa-key-") as folder:
        path = make_key(Path(folder) / "key")
        return path.read_text("utf-8"), path.with_suffix(".pub").read_text("utf-8")


@contextmanager
def vm_environment(folder: Path) -> Iterator[VmEnvironment]:
    """Yield an environment without VMs, and close it."""
    folder.mkdir(parents=True, exist_ok=True)
    key = shared_key(folder / "key")
    public = key.with_suffix(".pub").read_text()
    with NamespaceVmPool(folder / "vms", authorized_key=public) as vm_pool:
        yield VmEnvironment(vm_pool, folder, key)
