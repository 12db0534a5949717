"""The disk of a VM: a folder with its root file system, kept over stops and reboots."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

USER = "ubuntu"
"""The only user; `sudo` shows the same user as root."""

ACCOUNTS = (
    "root:x:0:0::/root:/bin/bash\n"
    f"{USER}:x:1000:1000::/home/{USER}:/bin/bash\n"
    "nobody:x:65534:65534::/:/usr/sbin/nologin\n"
)
GROUPS = f"root:x:0:\n{USER}:x:1000:\nnogroup:x:65534:\n"

FOLDERS = (
    "data",
    "dev",
    "disk2",
    "etc/ssh",
    f"home/{USER}/.ssh",
    "opt",
    "proc",
    "root",
    "run",
    "tmp",
    "usr",
    "local/bin",
    "old",
    "var/lib",
    "var/log",
)

SUDO = '#!/bin/sh\n[ "$1" = -n ] && shift\n[ "$1" = -- ] && shift\nexec unshare -r -- "$@"\n'
"""Replaces sudo: the same user, mapped to root, as an ordinary user may map one user id only."""

SSHD = """\
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin USER=ubuntu
"""


class Disk:
    """The disk of one VM; paths are those of the VM, such as /opt/zookeeper/conf/zoo.cfg.

    `modes` has the mode and owner of files of imitated VMs: path -> (octal, user:group).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modes: dict[str, tuple[str, str]] = {}

    def path(self, name: str) -> Path:
        """Return the path on this computer of a VM's path; /usr/local is the folder `local`."""
        inside = name.removeprefix("/")
        if inside.startswith("usr/local/"):
            inside = inside.removeprefix("usr/")
        return self.root / inside

    def write(self, name: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file of the VM."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def executable(self, name: str, text: str) -> None:
        """Write a program of the VM, such as a stand-in for /usr/local/bin/ndbmtd."""
        self.write(name, text, mode=0o755)

    def read(self, name: str) -> str:
        """Return the text of a file of the VM."""
        return self.path(name).read_text(encoding="utf-8")

    def exists(self, name: str) -> bool:
        """Return whether the VM has this path."""
        return self.path(name).exists()

    def create_filesystem(self, *, authorized_key: str) -> None:
        """Create what every λFS VM has: accounts, sudo, sshd's configuration and host key."""
        for folder in FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for link in ("bin", "lib", "lib64", "sbin"):
            (self.root / link).symlink_to(f"usr/{link}")
        self.write("/etc/passwd", ACCOUNTS)
        self.write("/etc/group", GROUPS)
        self.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/ssh/sshd_config", SSHD)
        self.write(f"/home/{USER}/.ssh/authorized_keys", authorized_key, mode=0o600)
        self.executable("/usr/local/bin/sudo", SUDO)
        self.make_host_key()

    def make_host_key(self) -> None:
        """Create the VM's host key; replaces an existing key."""
        key = self.path("/etc/ssh/ssh_host_ed25519_key")
        key.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@rehearsal", "-f", str(key)],
            check=True,
        )

    def host_key(self) -> str:
        """Return the line of the VM's public host key."""
        return self.read("/etc/ssh/ssh_host_ed25519_key.pub")

    def console(self) -> str:
        """Return the console output at the end of the first boot, with the host key."""
        return (
            "[    9.41] cloud-init[812]: Cloud-init finished\n"
            "-----BEGIN SSH HOST KEY KEYS-----\n"
            f"{self.host_key()}"
            "-----END SSH HOST KEY KEYS-----\n"
        )

    def remove(self) -> None:
        """Remove the disk."""
        shutil.rmtree(self.root, ignore_errors=True)
