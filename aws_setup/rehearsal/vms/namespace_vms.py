"""The pool with the machines: a network of its own, power switches, and the ssh configuration.

A machine is a set of Linux namespaces with its own disk, network card, process table and a real
OpenSSH server; no root is needed. `available` tells whether this computer can do that.
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.errors import SetupError
from aws_setup.rehearsal.vms import vm_init
from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.rehearsal.vms.ssh_config import SshHostEntry, write_ssh_config

REQUIRED_PROGRAMS = ("unshare", "nsenter", "ip", "mount", "ssh-keygen", "/usr/sbin/sshd")
"""What a pool needs on this computer (Debian: util-linux, iproute2, openssh-server)."""

_IGNORE_SIGNALS = ("sh", "-c", 'trap "" INT HUP; exec "$@"', "sh")
"""Goes before a command that Ctrl-C and a closed terminal are not meant for: `close` ends it."""

ImageInstaller = Callable[[Disk], None]
"""Puts software on a new disk, as an AMI does."""


@dataclass
class NamespaceVm:
    """One machine as the pool keeps it; `process` is there while the power is on."""

    id: str
    private_ip: str
    disk: Disk
    port: int
    host_key: str
    public_ip: str = ""
    breaks: str = ""
    process: subprocess.Popen[bytes] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def missing_requirement() -> str:
    """Return '' when machines can run here, else the reason why not."""
    missing = [name for name in REQUIRED_PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = subprocess.run(["unshare", "-Urmn", "true"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "user namespaces are not allowed here"


class NamespaceVmPool:
    """Machines by instance id; all power goes off with `close`, or when this process ends."""

    def __init__(self, folder: Path, *, authorized_key: str = "") -> None:
        """Set up the pool's network.

        Args:
            folder: where the disks are kept.
            authorized_key: the public key of the EC2 key pair, in OpenSSH's format, for machines
                that are launched without one of their own.

        Raises:
            SetupError: this computer cannot run machines.
        """
        reason = missing_requirement()
        if reason:
            raise SetupError("machines cannot run here", reason, "use in-process machines")
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authorized_key = authorized_key
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
        self._write_ssh_config()

    def __enter__(self) -> NamespaceVmPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        """Make a machine with a new disk and switch it on; returns its disk.

        `breaks` says which connections break until its first reboot, as `init` reads it.
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
        """Boot a machine; it has the new public address, or keeps the old one."""
        vm = self._vms[instance_id]
        with vm.lock:
            vm.public_ip = public_ip or vm.public_ip
            if vm.process is None:
                vm.process = self._boot(vm)
        self._write_ssh_config()

    def power_off(self, instance_id: str) -> None:
        """Cut the power: every process of the machine ends at once, the disk stays."""
        vm = self._vms[instance_id]
        with vm.lock:
            process, vm.process = vm.process, None
            if process:
                _terminate(process)

    def reboot(self, instance_id: str) -> None:
        """Cut the power and boot again."""
        self.power_off(instance_id)
        self.power_on(instance_id)

    def reboot_crashed(self) -> list[str]:
        """Boot the machines that went down by themselves; returns their ids."""
        down = [vm.id for vm in list(self._vms.values()) if vm.process and _ended(vm)]
        for instance_id in down:
            self._vms[instance_id].breaks = ""
            self.reboot(instance_id)
        return down

    def discard(self, instance_id: str) -> None:
        """Switch a machine off and remove its disk; unknown ones are fine."""
        if instance_id in self._vms:
            self.power_off(instance_id)
            with self._lock:
                vm = self._vms.pop(instance_id)
            vm.disk.remove()
            self._write_ssh_config()

    def disk(self, instance_id: str) -> Disk:
        """Return a machine's disk."""
        return self._vms[instance_id].disk

    def console(self, instance_id: str) -> str:
        """Return a machine's console output."""
        return self._vms[instance_id].disk.console()

    def port(self, instance_id: str) -> int:
        """Return the port of 127.0.0.1 at which a machine's sshd is reached."""
        return self._vms[instance_id].port

    def small_disk(self, instance_id: str, path: str, *, kib: int) -> None:
        """Mount a small disk at a path of a running machine, until its power goes off."""
        vm = self._vms[instance_id]
        vm.disk.path(path).mkdir(parents=True, exist_ok=True)
        if vm.process is None:
            raise SetupError(f"{instance_id} is off", "a disk is mounted on a running machine", "")
        target = ["--target", str(vm.process.pid), "--user", "--mount", "--preserve-credentials"]
        disk = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=777", "tmpfs", path]
        subprocess.run(["nsenter", *target, "--", *disk], check=True)

    @property
    def ssh_config(self) -> Path:
        """The OpenSSH configuration that leads public addresses to the machines."""
        return self.folder / "ssh_config"

    def close(self) -> None:
        """Switch everything off; the disks stay."""
        for instance_id in list(self._vms):
            self.power_off(instance_id)
        _terminate(self._switch)

    def _write_ssh_config(self) -> None:
        with self._lock:
            vms = self._vms.values()
            write_ssh_config(
                self.ssh_config,
                [SshHostEntry(vm.id, vm.public_ip, vm.port, vm.host_key) for vm in vms],
            )

    def _boot(self, vm: NamespaceVm) -> subprocess.Popen[bytes]:
        with _listener(vm.port) as listener:
            vm.port = int(listener.getsockname()[1])
            process = subprocess.Popen(
                [
                    *self._enter(),
                    *("unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--"),
                    *(sys.executable, "-I", vm_init.__file__, str(vm.disk.root.resolve())),
                    *(vm.private_ip, str(listener.fileno()), vm.breaks),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )
        self._expect(vm, process, b"mounted\n")
        # A new cable each time: the kernel takes the old one away when it gets round to it.
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
            raise SetupError(f"{vm.id} does not boot", "see the lines above", "")

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
        """Return when the switch's namespaces are there: `cat` then answers."""
        assert self._switch.stdin
        assert self._switch.stdout
        self._switch.stdin.write(b"\n")
        self._switch.stdin.flush()
        self._switch.stdout.readline()


def _listener(port: int) -> socket.socket:
    """Listen on a port, or on any free one: for 0, and where another program took it meanwhile."""
    try:
        server = socket.create_server(("127.0.0.1", port))
    except OSError:
        server = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(server.fileno(), True)
    return server


def _ended(vm: NamespaceVm) -> bool:
    return vm.process is not None and vm.process.poll() is not None


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """End a process by closing its stdin, and wait until it is gone."""
    with contextlib.suppress(OSError):
        if process.stdin:
            process.stdin.close()
    process.wait()
    if process.stdout:
        process.stdout.close()
