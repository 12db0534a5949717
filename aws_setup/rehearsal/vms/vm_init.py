"""The first process of a rehearsal machine, run as a program inside its new namespaces.

Arguments: folder of the disk, private address, number of the listening socket. It mounts the
disk, waits on stdin for its network card, starts sshd, carries connections from the listening
socket (which belongs to the computer's own network) to it, and ends when stdin does: then the
kernel ends every process of the machine, as a power cut would. A fourth argument says which
connections break: "2:4000 5:6000!" is the second after 4000 bytes of sshd's, and the fifth, with
which the whole machine goes down.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 -- socket needs it, and later it cannot be found
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

SHARED = ("/usr", "/etc/alternatives", "/etc/java-17-openjdk", "/etc/ld.so.cache", "/etc/ssl")
"""What a machine has of this computer, read-only where it is a folder."""

SSHD = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "/usr/sbin/sshd", "-D", "-e"]


def call(*command: str) -> None:
    """Run a program; its failure ends the machine with the program's own words."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def mount_disk(root: str) -> None:
    """Make the disk the root file system."""
    call("mount", "--rbind", root, root)
    for name in SHARED:
        if not Path(name).exists():
            continue
        target = Path(root + name)
        if Path(name).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.touch()
        call("mount", "--bind", name, str(target))
        call("mount", "-o", "bind,remount,ro", str(target))
    call("mount", "--bind", f"{root}/local", f"{root}/usr/local")
    call("mount", "--rbind", "/dev", f"{root}/dev")
    call("mount", "-t", "proc", "proc", f"{root}/proc")
    call("mount", "-t", "tmpfs", "tmpfs", f"{root}/tmp")
    call("mount", "-t", "tmpfs", "tmpfs", f"{root}/run")
    # Not chroot: the kernel makes no user namespace for a process in one.
    os.chdir(root)
    call("pivot_root", ".", "old")
    os.chdir("/")
    call("umount", "--lazy", "/old")


def configure_network(address: str) -> None:
    """Set up the host name and the network card, and let an ordinary user listen on port 22."""
    socket.sethostname("ip-" + address.replace(".", "-"))
    call("ip", "link", "set", "lo", "up")
    call("ip", "address", "add", f"{address}/16", "dev", "eth0")
    call("ip", "link", "set", "eth0", "up")
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("22")


def copy_stream(
    source: socket.socket, target: socket.socket, allowed: float = float("inf")
) -> bool:
    """Copy one direction of a connection until it ends, or until so many bytes have passed.

    Returns:
        Whether the bytes were used up.
    """
    with contextlib.suppress(OSError):
        while data := source.recv(min(65536, int(min(allowed, 65536)))):
            target.sendall(data)
            allowed -= len(data)
            if allowed <= 0:
                return True
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
    return False


def forward_connection(outside: socket.socket, breaks: str) -> None:
    """Carry one connection from outside to sshd; sshd down means: hang up."""
    allowed = float(breaks.rstrip("!") or "inf")

    def back() -> None:
        if not copy_stream(inside, outside, allowed):
            return
        if breaks.endswith("!"):
            os._exit(0)
        for end in (outside, inside):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    with outside, contextlib.suppress(OSError), socket.socket() as inside:
        inside.connect(("127.0.0.1", 22))
        answers = threading.Thread(target=back, daemon=True)
        answers.start()
        copy_stream(outside, inside)
        answers.join()


def forward_connections(listener: socket.socket, breaks: dict[int, str]) -> None:
    """Carry every connection from outside."""
    for number in itertools.count(1):
        outside, _ = listener.accept()
        ends = breaks.get(number, "")
        threading.Thread(target=forward_connection, args=(outside, ends), daemon=True).start()


def parse_broken_connections(breaks: str) -> dict[int, str]:
    """Return which connection, by its number from 1, breaks after how many bytes."""
    pairs = (spec.split(":") for spec in breaks.split())
    return {int(number): ends for number, ends in pairs}


def reap_children(*_: object) -> None:
    """Bury the dead, as the first process must."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Boot, say so on stdout, and live until stdin ends."""
    root, address, listening, broken = sys.argv[1:]
    mount_disk(root)
    os.write(1, b"mounted\n")
    os.read(0, 1)
    configure_network(address)
    signal.signal(signal.SIGCHLD, reap_children)
    with open("/var/log/sshd.log", "ab") as log:  # noqa: PTH123 -- nothing more may be imported
        subprocess.Popen(SSHD, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    listener = socket.socket(fileno=int(listening))
    threading.Thread(
        target=forward_connections, args=(listener, parse_broken_connections(broken)), daemon=True
    ).start()
    os.write(1, b"booted\n")
    while True:
        with contextlib.suppress(InterruptedError):
            if not os.read(0, 1):
                return


if __name__ == "__main__":
    main()
