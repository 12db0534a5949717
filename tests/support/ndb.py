"""An NDB cluster's VMs: real OpenSSH and real steps, stand-ins for NDB's programs."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Inventory, Item
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.engine.plan import Row, inspect_step
from aws_setup.engine.step import Action, Found
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from aws_setup.software.machines import machines_of
from aws_setup.ssh.pool import MachinePool
from tests.support.machines import shared_key

MANAGER = "10.0.6.227"


@dataclass(frozen=True)
class Vm:
    """One machine: step, instance id, Name tag and private address."""

    step: str
    id: str
    name: str
    private_ip: str


VMS = (
    Vm("ndb manager", "i-0a", "ndb-manager-node", MANAGER),
    Vm("ndb data nodes 1", "i-1a", "ndb-datanode-type1-0", "10.0.1.1"),
    Vm("ndb data nodes 2", "i-2a", "ndb-datanode-type2-0", "10.0.1.2"),
)
CLIENTS = (
    Vm("lambda-fs client", "i-3a", "lambda-fs-client-driver", "10.0.2.1"),
    Vm("hopsfs client", "i-4a", "hops-fs-client-driver", "10.0.2.2"),
)


@dataclass
class NdbEnvironment:
    """VMs, the operator's key, and the VMs' current public addresses."""

    vm_pool: NamespaceVmPool
    folder: Path
    key: Path
    vms: tuple[Vm, ...] = VMS
    public: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    instances: list[Item] = field(default_factory=list)
    tagged: set[str] = field(default_factory=set)
    """The machines that a run has tagged as those of a cluster with data."""

    def launch(self, template: Path | None = None) -> None:
        """Launch every machine; with a template the manager has a real database."""
        for index, vm in enumerate(self.vms):
            self._launch(vm, f"203.0.113.{10 + index}", template)

    def _launch(self, vm: Vm, public: str, template: Path | None = None) -> None:
        self.public[vm.id] = public
        self.vm_pool.launch(
            vm.id,
            private_ip=vm.private_ip,
            public_ip=public,
            installers=[self._lay(vm, template)],
        )

    def terminate(self, index: int) -> Vm:
        """Terminate a machine, with its disk."""
        lost = self.vms[index]
        self.vm_pool.discard(lost.id)
        self.vms = tuple(vm for vm in self.vms if vm is not lost)
        return lost

    def launch_again(self, lost: Vm, *, private_ip: str = "") -> None:
        """Launch a machine with the name of a terminated one, in its place."""
        new = replace(lost, id=f"{lost.id}0", private_ip=private_ip or lost.private_ip)
        self._launch(new, f"203.0.113.{60 + len(self.public)}")
        self.vms = tuple(sorted((*self.vms, new), key=lambda vm: (vm.step != VMS[0].step, vm.name)))

    def _lay(self, vm: Vm, template: Path | None) -> Any:
        def lay(disk: Disk) -> None:
            if vm.step == "ndb manager":
                images.install_ndb_manager(disk)
                if template:
                    images.install_database(disk, template)
            elif vm.step.startswith("ndb"):
                images.install_ndb_data_node(disk)
            elif vm.step == "lambda-fs client":
                images.install_lambda_fs_client(disk)
            else:
                images.install_hops_fs_client(disk)

        return lay

    def disk(self, index: int) -> Disk:
        """Return the disk of a machine."""
        return self.vm_pool.disk(self.vms[index].id)

    def restart(self, *, new_addresses: bool = True) -> None:
        """Stop and start every machine; they get other public addresses, as on EC2."""
        for index, vm in enumerate(self.vms):
            self.vm_pool.power_off(vm.id)
            if new_addresses:
                self.public[vm.id] = f"203.0.113.{110 + index}"
            self.vm_pool.power_on(vm.id, public_ip=self.public[vm.id])

    def config(self, **keys: Any) -> Config:
        """Return a configuration that reaches the VMs."""
        defaults: dict[str, Any] = {
            "ssh_keypair_name": "rehearsal",
            "ssh_key_path": str(self.key),
            "ssh_config_path": str(self.vm_pool.ssh_config),
            "infrastructure_json_path": str(self.folder / "receipts"),
            "num_ndb_datanodes": 2,
        }
        return Config(**defaults | keys)

    def context(self, **keys: Any) -> tuple[Context, MachinePool]:
        """Return the context and the pool of a new run in which the VMs were found."""
        config = self.config(**keys)
        clock = SystemClock(pace=0.05)
        ec2 = SimpleNamespace(
            get_console_output=lambda InstanceId, **_: {"Output": self.vm_pool.console(InstanceId)},
            create_tags=lambda Resources, **_: self.tagged.update(Resources),
        )
        aws = cast(Aws, SimpleNamespace(ec2=ec2, region="us-east-1", shared={}))
        listed = SimpleNamespace(all=lambda kind: self.instances if kind == "instances" else [])
        ctx = Context(
            config=config,
            aws=aws,
            clock=clock,
            inventory=cast(Inventory, listed),
            note=self.notes.append,
        )
        for step in dict.fromkeys(vm.step for vm in self.vms):
            instances = [self._described(vm) for vm in self.vms if vm.step == step]
            ctx.found[step] = Found(step, "running", {"instances": instances})
        pool = MachinePool(config, clock)
        machines = machines_of(ctx, pool, *dict.fromkeys(vm.step for vm in self.vms))
        pool.wait_for_ssh([machine for machine in machines if machine.address])
        return ctx, pool

    def _described(self, vm: Vm) -> dict[str, str]:
        return {
            "id": vm.id,
            "name": vm.name,
            "private_ip": vm.private_ip,
            "public_ip": self.public[vm.id],
        }

    def scale(self, index: int, *, answers: bool) -> str:
        """Launch a client in an auto-scaling group, reachable or booting; returns its id."""
        instance_id, address = f"i-9{index}", f"203.0.113.{90 + index}"
        private = f"10.0.9.{1 + index}"
        if answers:
            self.vm_pool.launch(
                instance_id,
                private_ip=private,
                public_ip=address,
                installers=[images.install_lambda_fs_client],
            )
        tags = {
            "Component": "LambdaFSClientVM",
            "aws:autoscaling:groupName": "lambda_fs_clients_ags",
        }
        self.instances.append(
            {
                "InstanceId": instance_id,
                "LaunchTime": datetime.now(tz=UTC),
                "PublicIpAddress": address,
                "PrivateIpAddress": private,
                "State": {"Name": "running"},
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        )
        return instance_id

    def started(self, index: int) -> list[str]:
        """Return every start of a program on a machine, with its arguments."""
        disk = self.disk(index)
        return disk.read("/var/log/started").splitlines() if disk.exists("/var/log/started") else []


@functools.cache
def mariadb_template() -> Path:
    """Return a new data folder of MariaDB to copy, made once for all tests of a process."""
    folder = tempfile.mkdtemp(prefix="mariadb-template-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return images.create_mariadb_template(Path(folder) / "data")


@contextmanager
def ndb_environment(
    folder: Path, vms: tuple[Vm, ...] = VMS, template: Path | None = None
) -> Iterator[NdbEnvironment]:
    """Yield an environment with running VMs, and close it."""
    key = shared_key(folder / "key")
    public = key.with_suffix(".pub").read_text()
    with NamespaceVmPool(folder / "vms", authorized_key=public) as vm_pool:
        made = NdbEnvironment(vm_pool, folder, key, vms)
        made.launch(template)
        yield made


def run(ctx: Context, steps: list[Step]) -> dict[str, Row]:
    """Do what a run of `create` does with these steps, one after the other; returns its plan."""
    rows = {}
    for step in steps:
        row = inspect_step(step, ctx)
        if row.error:
            raise row.error
        rows[step.name] = row
        found = row.found
        if found is None:
            found = step.create(ctx)
        elif row.action is Action.UPDATE:
            found = step.update(ctx, found)
        ctx.found[step.name] = found if found.ready else step.wait(ctx, found)
    return rows
