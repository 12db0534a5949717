"""Synchronises the VMs with the emulated EC2: launches, stops and terminates; faults of VMs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import SubprocessError
from types import MappingProxyType
from typing import Any

from aws_setup.aws.tags import STEP_TAG
from aws_setup.config.amis import AMIS
from aws_setup.errors import SetupError
from aws_setup.rehearsal.aws.ec2.instances import ConsoleOutput, Listeners
from aws_setup.rehearsal.aws.ec2.network import Instance, Network, Operator
from aws_setup.rehearsal.aws.ec2.network_acls import ALL_PORTS
from aws_setup.rehearsal.aws.ec2.packet_rules import SSH, open_ports
from aws_setup.rehearsal.aws.ec2.reachability import read_network
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.random_faults import FaultKind, FaultProbabilities
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.namespace_vms import ImageInstaller, NamespaceVmPool
from aws_setup.rehearsal.vms.packet_filter import InboundFilter

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""Seconds between two polls of the cloud."""

_INSTALLERS: Mapping[str, tuple[ImageInstaller, ...]] = {
    "zookeeper_ami": (images.install_zookeeper,),
    "ndb_manager_ami": (images.install_ndb_manager,),
    "ndb_datanode1_ami": (images.install_ndb_data_node,),
    "ndb_datanode2_ami": (images.install_ndb_data_node,),
    "lambda_fs_client_ami": (images.install_lambda_fs_client,),
    "hopsfs_ami": (images.install_hops_fs_client,),
}

AMI_INSTALLERS: Mapping[str, tuple[ImageInstaller, ...]] = MappingProxyType(
    {ami.id: _INSTALLERS[key] for row in AMIS.values() for key, ami in row.items()}
)
"""The installers of each AMI; instances of other AMIs, such as EKS nodes, have no VM."""


@dataclass(frozen=True)
class InstanceView:
    """The current state of an instance; `key` is the public key of its key pair."""

    id: str
    state: str
    private_ip: str
    public_ip: str
    image: str
    key: str
    step: str = ""


def _public_key(ec2: Any, name: str | None) -> str:
    pair = ec2.key_pairs.get(name)
    material = pair.material_public if pair else b""
    return material.decode() if isinstance(material, bytes) else str(material)


LATER_BOOT = "[    9.41] cloud-init[812]: Cloud-init finished\n"
"""Console output of a VM that was stopped and started."""


class Ec2Sync:
    """Synchronises the VMs of a pool with the instances of a cloud."""

    def __init__(
        self,
        cloud: Cloud,
        pool: NamespaceVmPool | InProcessVmPool,
        *,
        amis: Mapping[str, tuple[ImageInstaller, ...]] = AMI_INSTALLERS,
    ) -> None:
        self.cloud, self.pool, self.amis = cloud, pool, amis
        self._on: dict[str, bool] = {}
        self._started_again: set[str] = set()
        self._faults: dict[str, VmFaults] = {}
        self._network = Network()
        self._filters: dict[str, tuple[InboundFilter, ...]] = {}
        cloud.store_of(ConsoleOutput).read = self._console
        cloud.store_of(Listeners).is_listening = pool.is_listening

    def sync(self) -> None:
        """Update the pool to the current instances; VMs change in parallel."""
        with self.cloud.lock:
            work = [job for job in map(self._job, self._instances()) if job]
            network = read_network(self.cloud)
        if network != self._network:
            self._network = network
            self.pool.block_ssh(blocked_from_operator(network))
            self._filters = connection_filters(network, set(self._on))
        self.pool.reboot_crashed()
        if work:
            with ThreadPoolExecutor(len(work)) as pool:
                for done in [pool.submit(job) for job in work]:
                    done.result()
        self.pool.filter_connections(self._filters)

    def _instances(self) -> list[InstanceView]:
        ec2 = self.cloud.backend("ec2")
        return [
            InstanceView(
                instance.id,
                instance.state,
                private_ip=instance.private_ip,
                public_ip=instance.public_ip or "",
                image=instance.image_id,
                key=_public_key(ec2, instance.key_name),
                step=next((t["value"] for t in instance.get_tags() if t["key"] == STEP_TAG), ""),
            )
            for instance in list(ec2.all_instances())
            if instance.image_id in self.amis
        ]

    def _job(self, instance: InstanceView) -> Callable[[], object] | None:
        """Return the pending change of one instance, if any, and record it as done."""
        instance_id, on = instance.id, self._on.get(instance.id)
        if instance.state == "running" and on is None:
            if self.cloud.clock.now() < self._faults_of(instance).boots_at:
                return None
            self._on[instance_id] = True
            return lambda: self._launch(instance)
        if instance.state == "running" and not on:
            self._on[instance_id] = True
            self._started_again.add(instance_id)
            return lambda: self.pool.power_on(instance_id, public_ip=instance.public_ip)
        if instance.state in ("stopping", "stopped") and on:
            self._on[instance_id] = False
            return lambda: self.pool.power_off(instance_id)
        if instance.state == "terminated" and on is not None:
            del self._on[instance_id]
            return lambda: self.pool.discard(instance_id)
        return None

    def _launch(self, instance: InstanceView) -> None:
        """Launch a VM; when it does not boot, log it, and retry at the next poll."""
        try:
            self.pool.launch(
                instance.id,
                private_ip=instance.private_ip,
                public_ip=instance.public_ip,
                installers=self.amis[instance.image],
                authorized_key=instance.key,
                breaks=self._faults_of(instance).breaks,
            )
        except (SetupError, OSError, SubprocessError) as error:
            log.warning("%s does not boot and is re-created: %s", instance.id, error)
            self.pool.discard(instance.id)
            self._on.pop(instance.id, None)

    def _faults_of(self, instance: InstanceView) -> VmFaults:
        """Return the faults of a VM, drawn when it is first running."""
        if instance.id not in self._faults:
            self._faults[instance.id] = draw_vm_faults(self.cloud, instance.step)
        return self._faults[instance.id]

    def _console(self, instance_id: str) -> str:
        """Return what the last boot printed: host keys are printed at an instance's first boot.

        The module's frequency is PER_INSTANCE (canonical/cloud-init,
        cloudinit/config/cc_keys_to_console.py), and EC2 has the output since the last start
        (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-console.html).
        """
        if not self._on.get(instance_id):
            return ""
        return LATER_BOOT if instance_id in self._started_again else self.pool.console(instance_id)


def blocked_from_operator(network: Network) -> frozenset[str]:
    """Return the running instances that the operator cannot reach by SSH."""
    return frozenset(
        instance_id
        for instance_id, interface in network.instances.items()
        if not interface.silent and not network.verdict(Operator(), Instance(instance_id), SSH)
    )


def connection_filters(network: Network, vms: set[str]) -> dict[str, tuple[InboundFilter, ...]]:
    """Return what each VM accepts from those others that cannot reach all of its TCP ports."""
    running = {
        vm: network.instances[vm]
        for vm in sorted(vms & network.instances.keys())
        if not network.instances[vm].silent
    }
    found = {}
    for vm, target in running.items():
        ports = {
            source.private_ip: open_ports(source, target)
            for other, source in running.items()
            if other != vm
        }
        found[vm] = tuple(
            InboundFilter(address, ranges)
            for address, ranges in ports.items()
            if ranges != (ALL_PORTS,)
        )
    return {vm: filters for vm, filters in found.items() if filters}


@contextmanager
def sync_vms(
    cloud: Cloud,
    pool: NamespaceVmPool | InProcessVmPool,
    *,
    amis: Mapping[str, tuple[ImageInstaller, ...]] = AMI_INSTALLERS,
) -> Iterator[Ec2Sync]:
    """Synchronise in the background until the block ends."""
    sync, stopped = Ec2Sync(cloud, pool, amis=amis), threading.Event()

    def follow() -> None:
        while not stopped.wait(POLL_SECONDS):
            sync.sync()

    thread = threading.Thread(target=follow, name="machines", daemon=True)
    thread.start()
    try:
        yield sync
    finally:
        stopped.set()
        thread.join()


LATE_SSHD_FAULTS: FaultProbabilities = {FaultKind.LATE: 0.3}
CONNECTION_FAULTS: FaultProbabilities = {FaultKind.CUT: 0.5, FaultKind.REBOOT: 0.25}
"""The probability of each for a VM."""

LATE_SSHD_SECONDS = (20.0, 120.0)
"""Seconds from EC2's "running" until the VM boots, in the cloud's time."""

SSH_LOGIN_BYTES = 2_500
"""About the bytes that sshd sends until a login; fewer drop the connection before it."""

FAULT_AFTER_BYTES = {FaultKind.CUT: 5_000, FaultKind.REBOOT: 1_500}
"""Bytes of answers to commands within which a connection drops.

VMs that reboot by themselves do so soon after they boot: for example for a new kernel.
"""


@dataclass(frozen=True)
class VmFaults:
    """When a VM boots (the cloud's seconds), and which of its connections drop."""

    boots_at: float = 0.0
    breaks: str = ""


def draw_vm_faults(cloud: Cloud, step: str) -> VmFaults:
    """Return the faults of the next VM of a step."""
    random_faults = cloud.random_faults
    if random_faults is None:
        return VmFaults()
    boots_at = cloud.clock.now()
    if random_faults.timed and random_faults.next_fault(
        LATE_SSHD_FAULTS, f"machine of {step}", what=step
    ):
        least, most = LATE_SSHD_SECONDS
        boots_at += least + (most - least) * random_faults.plan.draw("late", step)
    fault = random_faults.next_fault(CONNECTION_FAULTS, f"connection to {step}", what=step)
    if fault is None:
        return VmFaults(boots_at)
    size = SSH_LOGIN_BYTES + int(FAULT_AFTER_BYTES[fault] * random_faults.plan.draw("bytes", step))
    return VmFaults(boots_at, f"1:{size}{'!' * (fault is FaultKind.REBOOT)}")
