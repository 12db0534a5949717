"""VMs made of Linux namespaces: their network, their power state, and the ssh configuration.

A VM is a set of namespaces with its own disk, network interface, process table and a real OpenSSH
server; it needs no root. `missing_requirement` checks whether this computer can run them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.errors import SetupError
from aws_setup.rehearsal.vms import vm_init
from aws_setup.rehearsal.vms.closed_at_end import ClosedAtEnd
from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.packet_filter import InboundFilter, apply_filters
from aws_setup.rehearsal.vms.ssh_config import SshConfigFile, SshHostEntry

REQUIRED_PROGRAMS = ("unshare", "nsenter", "ip", "mount", "ssh-keygen", "/usr/sbin/sshd")
"""Programs that the pool needs (Debian: util-linux, iproute2, openssh-server)."""

_IGNORE_SIGNALS = ("sh", "-c", 'trap "" INT HUP; exec "$@"', "sh")
"""Prefix of commands that ignore Ctrl-C and a closed terminal; `close` ends them."""

ImageInstaller = Callable[[Disk], None]
"""Installs software on a new disk, as an AMI has it."""


@dataclass
class NamespaceVm:
    """One VM of the pool; `process` and `gateway` are set while it is running."""

    id: str
    private_ip: str
    disk: Disk
    port: int
    host_key: str
    public_ip: str = ""
    breaks: str = ""
    process: subprocess.Popen[bytes] | None = None
    gateway: socket.socket | None = None
    filtered: tuple[int, tuple[InboundFilter, ...]] = (0, ())
    """The process and the filters that were applied to its namespace."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def missing_requirement() -> str:
    """Return '' when VMs can run on this computer, else the reason why not."""
    missing = [name for name in REQUIRED_PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = subprocess.run(["unshare", "-Urmn", "true"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "user namespaces are not allowed on this computer"


class NamespaceVmPool(ClosedAtEnd):
    """VMs by instance id; they stop with `close`, or when this process ends."""

    def __init__(
        self, folder: Path, *, authorized_key: str = "", gateway: Gateway | None = None
    ) -> None:
        """Create the pool's network.

        Args:
            folder: the folder of the disks.
            authorized_key: the public key of the EC2 key pair, in OpenSSH's format, for VMs that
                are launched without a key.
            gateway: the way of the VMs to OpenWhisk's load balancer; None: there is none.

        Raises:
            SetupError: this computer cannot run VMs.
        """
        reason = missing_requirement()
        if reason:
            raise SetupError("cannot run VMs on this computer", reason, "use imitated machines")
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authorized_key = authorized_key
        self._gateway = gateway
        self._vms: dict[str, NamespaceVm] = {}
        self._cable_numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._switch = subprocess.Popen(
            [*_IGNORE_SIGNALS, "unshare", "--user", "--map-root-user", "--net", "--", "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._await_switch()
        self._in_switch("ip", "link", "add", "switch", "type", "bridge")
        self._in_switch("ip", "link", "set", "switch", "up")
        self._ssh_config = SshConfigFile(self.folder / "ssh_config")

    def launch(
        self,
        instance_id: str,
        *,
        private_ip: str,
        public_ip: str,
        installers: Iterable[ImageInstaller] = (),
        authorized_key: str = "",
        breaks: str = "",
    ) -> Disk:
        """Launch a VM with a new disk; returns its disk.

        `breaks` are the connections that drop until its first reboot, as in `vm_init`.
        """
        disk = Disk(self.folder / instance_id)
        key = authorized_key or self.authorized_key
        disk.remove()
        disk.create_filesystem(authorized_key=key.rstrip() + "\n")
        for install in installers:
            install(disk)
        with self._lock:
            vm = NamespaceVm(instance_id, private_ip, disk, 0, disk.host_key(), breaks=breaks)
            self._vms[instance_id] = vm
        self.power_on(instance_id, public_ip=public_ip)
        return disk

    def power_on(self, instance_id: str, *, public_ip: str = "") -> None:
        """Boot a VM, with the new public address or the old one."""
        vm = self._vms[instance_id]
        with vm.lock:
            vm.public_ip = public_ip or vm.public_ip
            if vm.process is None:
                vm.process = self._boot(vm)
        self._write_ssh_config()

    def power_off(self, instance_id: str) -> None:
        """Cut the power: every process of the VM ends at once, the disk is kept."""
        vm = self._vms[instance_id]
        with vm.lock:
            process, vm.process = vm.process, None
            gateway, vm.gateway = vm.gateway, None
            if process:
                _terminate(process)
            if gateway:
                # A thread that waits in accept(2) for a connection goes on when it is only closed.
                gateway.shutdown(socket.SHUT_RDWR)
                gateway.close()

    def reboot(self, instance_id: str) -> None:
        """Cut the power and boot again."""
        self.power_off(instance_id)
        self.power_on(instance_id)

    def reboot_crashed(self) -> list[str]:
        """Reboot the VMs that went down by themselves; returns their ids."""
        down = [vm.id for vm in list(self._vms.values()) if vm.process and _ended(vm)]
        for instance_id in down:
            self._vms[instance_id].breaks = ""
            self.reboot(instance_id)
        return down

    def discard(self, instance_id: str) -> None:
        """Stop a VM and remove its disk; an unknown id is no error."""
        if instance_id in self._vms:
            self.power_off(instance_id)
            with self._lock:
                vm = self._vms.pop(instance_id)
            vm.disk.remove()
            self._write_ssh_config()

    def disk(self, instance_id: str) -> Disk:
        """Return a VM's disk."""
        return self._vms[instance_id].disk

    def console(self, instance_id: str) -> str:
        """Return a VM's console output."""
        return self._vms[instance_id].disk.console()

    def port(self, instance_id: str) -> int:
        """Return the port on 127.0.0.1 of a VM's sshd."""
        return self._vms[instance_id].port

    def is_listening(self, address: str, port: int) -> bool:
        """Return whether a program listens on a TCP port of the VM with a private address."""
        vms = [vm for vm in list(self._vms.values()) if vm.private_ip == address and vm.process]
        return any(port in _listening_ports(vm.process.pid) for vm in vms if vm.process)

    def enter_network(self, address: str) -> list[str]:
        """Return the prefix of commands in the network of the VM with a private address.

        Raises:
            ConnectionRefusedError: no such VM is running.
        """
        for vm in list(self._vms.values()):
            if vm.private_ip == address and vm.process:
                target = ("--target", str(vm.process.pid), "--user", "--net")
                return ["nsenter", *target, "--preserve-credentials", "--"]
        raise ConnectionRefusedError(f"no VM with the address {address} is running")

    def small_disk(self, instance_id: str, path: str, *, kib: int) -> None:
        """Mount a small disk at a path of a running VM, until it stops."""
        vm = self._vms[instance_id]
        vm.disk.path(path).mkdir(parents=True, exist_ok=True)
        if vm.process is None:
            raise SetupError(f"cannot mount a disk on {instance_id}", "the machine is stopped", "")
        target = ["--target", str(vm.process.pid), "--user", "--mount", "--preserve-credentials"]
        disk = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=777", "tmpfs", path]
        subprocess.run(["nsenter", *target, "--", *disk], check=True)

    @property
    def ssh_config(self) -> Path:
        """The OpenSSH configuration that maps public addresses to the VMs."""
        return self._ssh_config.path

    def close(self) -> None:
        """Stop all VMs; the disks are kept."""
        for instance_id in list(self._vms):
            self.power_off(instance_id)
        _terminate(self._switch)
        self._ssh_config.close()

    def block_ssh(self, instance_ids: frozenset[str]) -> None:
        """Let SSH connections to these VMs time out, and to no others."""
        self._ssh_config.block(instance_ids)

    def filter_connections(self, filters: Mapping[str, tuple[InboundFilter, ...]]) -> None:
        """Filter what VMs accept from each other; those without filters accept everything."""
        for vm in list(self._vms.values()):
            with vm.lock:
                number = vm.process.pid if vm.process else 0
                desired = (number, filters.get(vm.id, ()))
                if not number or desired == vm.filtered:
                    continue
                if desired[1] or (vm.filtered[0] == number and vm.filtered[1]):
                    apply_filters(number, desired[1])
                vm.filtered = desired

    def _write_ssh_config(self) -> None:
        with self._lock:
            # One that is being launched beside this one has no port yet.
            vms = [vm for vm in self._vms.values() if vm.port]
            self._ssh_config.write(
                [SshHostEntry(vm.id, vm.public_ip, vm.port, vm.host_key) for vm in vms]
            )

    def _boot(self, vm: NamespaceVm) -> subprocess.Popen[bytes]:
        if self._gateway:
            vm.gateway = self._gateway.listen(vm.id, vm.disk.root)
        gateway_port = self._gateway.port if self._gateway else 0
        with _listener(vm.port) as listener:
            vm.port = int(listener.getsockname()[1])
            process = subprocess.Popen(
                [
                    *self._enter(),
                    *("unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--"),
                    *(sys.executable, "-IS", vm_init.__file__, str(vm.disk.root.resolve())),
                    *(vm.private_ip, str(listener.fileno()), vm.breaks, str(gateway_port)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )
        self._expect(vm, process, b"mounted\n")
        # A new name each time: the kernel removes the old interface asynchronously.
        cable = f"cable{next(self._cable_numbers)}"
        peer = ("peer", "name", "eth0", "netns", str(process.pid))
        self._in_switch("ip", "link", "add", cable, "type", "veth", *peer)
        self._in_switch("ip", "link", "set", cable, "master", "switch", "up")
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
        self._expect(vm, process, b"booted\n")
        return process

    def _expect(self, vm: NamespaceVm, process: subprocess.Popen[bytes], word: bytes) -> None:
        assert process.stdout
        if process.stdout.readline() != word:
            _terminate(process)
            raise SetupError(f"{vm.id} does not boot", "the lines above have the reason", "")

    def _enter(self) -> list[str]:
        target = ["--target", str(self._switch.pid)]
        return [
            *_IGNORE_SIGNALS,
            "nsenter",
            *target,
            "--user",
            "--net",
            "--preserve-credentials",
            "--",
        ]

    def _in_switch(self, *command: str) -> None:
        subprocess.run([*self._enter(), *command], check=True)

    def _await_switch(self) -> None:
        """Wait until the switch's namespaces exist: `cat` then answers."""
        assert self._switch.stdin
        assert self._switch.stdout
        self._switch.stdin.write(b"\n")
        self._switch.stdin.flush()
        self._switch.stdout.readline()


def _listener(port: int) -> socket.socket:
    """Listen on a port, or on any free port: for 0, and if another program uses the port."""
    try:
        server = socket.create_server(("127.0.0.1", port))
    except OSError:
        server = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(server.fileno(), True)
    return server


def _listening_ports(process: int) -> set[int]:
    """Return the TCP ports on which programs listen in the network namespace of a process."""
    ports = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process}/net/{table}").read_text(encoding="ascii").splitlines()
            rows = [line.split() for line in lines[1:]]
            ports |= {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTEN}
    return ports


LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp (Linux, include/net/tcp_states.h)."""


def _ended(vm: NamespaceVm) -> bool:
    return vm.process is not None and vm.process.poll() is not None


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """End a process by closing its stdin, and wait for its end."""
    with contextlib.suppress(OSError):
        if process.stdin:
            process.stdin.close()
    process.wait()
    if process.stdout:
        process.stdout.close()
