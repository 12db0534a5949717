"""The first process of a VM, run as a program inside its new namespaces.

Arguments: folder of the disk, private address, number of the listening socket, faults, port of
the load balancer (0: none). It mounts
the disk, waits on stdin for its network interface, starts sshd, and forwards connections from the
listening socket (in the computer's network) to sshd. It ends with stdin: then the kernel ends
every process of the VM, like a power cut. The faults are connections that drop:
"2:4000 5:6000!" drops the second after 4000 bytes from sshd, and the fifth, which also reboots
the VM.
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
"""Paths of this computer that a VM has, folders read-only."""

GATEWAY = "/gateway.sock"
"""The Unix socket to which connections to the load balancer are forwarded (module `gateway`)."""

PUBLIC_HOST, INTERNAL_HOST = "127.0.0.1", "127.0.0.2"
"""Addresses in a VM of the load balancers."""

INTERNAL_PORTS = (80, 443)
"""Ports that listeners of the internal load balancer may have."""

PORT_BYTES = 2
"""Bytes with which a connection to that socket begins: the internal load balancer's port, 0 for the
public one."""

SSHD = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "/usr/sbin/sshd", "-D", "-e"]


def call(*command: str) -> None:
    """Run a program; its failure ends the VM, with the program's output."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def mount_disk(root: str) -> None:
    """Mount the disk as the root file system."""
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
    # Not chroot: inside one, the kernel creates no user namespaces.
    os.chdir(root)
    call("pivot_root", ".", "old")
    os.chdir("/")
    call("umount", "--lazy", "/old")


def configure_network(address: str) -> None:
    """Configure the host name and the network interface, and allow port 22 to ordinary users."""
    socket.sethostname("ip-" + address.replace(".", "-"))
    call("ip", "link", "set", "lo", "up")
    call("ip", "address", "add", f"{address}/16", "dev", "eth0")
    call("ip", "link", "set", "eth0", "up")
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("22")


def copy_stream(
    source: socket.socket, target: socket.socket, allowed: float = float("inf")
) -> bool:
    """Copy one direction of a connection until it ends, or after `allowed` bytes.

    Returns:
        Whether the limit was reached.
    """
    # A channel of paramiko raises EOFError when its connection has ended.
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(min(65536, int(min(allowed, 65536)))):
            target.sendall(data)
            allowed -= len(data)
            if allowed <= 0:
                return True
    with contextlib.suppress(OSError, EOFError):
        target.shutdown(socket.SHUT_WR)
    return False


def forward_connection(outside: socket.socket, breaks: str) -> None:
    """Forward one connection to sshd; closes it when sshd is not running."""
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
    """Forward every connection."""
    for number in itertools.count(1):
        outside, _ = listener.accept()
        ends = breaks.get(number, "")
        threading.Thread(target=forward_connection, args=(outside, ends), daemon=True).start()


def forward_to_gateway(host: str, port: int, internal_port: int) -> None:
    """Forward every connection to the port of a load balancer, which is on loopback."""
    server = socket.create_server((host, port))
    while True:
        outside, _ = server.accept()
        args = (outside, internal_port)
        threading.Thread(target=forward_to_socket, args=args, daemon=True).start()


def forward_to_socket(outside: socket.socket, internal_port: int) -> None:
    """Forward one connection to the Unix socket; closes it when nothing listens there."""
    with outside, contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as inside:
        inside.connect(GATEWAY)
        inside.sendall(internal_port.to_bytes(PORT_BYTES, "big"))
        answers = threading.Thread(target=copy_stream, args=(inside, outside), daemon=True)
        answers.start()
        copy_stream(outside, inside)
        answers.join()


def parse_broken_connections(breaks: str) -> dict[int, str]:
    """Return the connections that drop: number from 1 -> bytes, with ! for a reboot."""
    pairs = (spec.split(":") for spec in breaks.split())
    return {int(number): ends for number, ends in pairs}


def reap_children(*_: object) -> None:
    """Reap ended child processes, as the first process must."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Boot, report it on stdout, and run until stdin ends."""
    root, address, listening, broken, gateway_port = sys.argv[1:]
    mount_disk(root)
    os.write(1, b"mounted\n")
    os.read(0, 1)
    configure_network(address)
    signal.signal(signal.SIGCHLD, reap_children)
    with open("/var/log/sshd.log", "ab") as log:  # noqa: PTH123 -- only few modules are imported
        subprocess.Popen(SSHD, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if int(gateway_port):
        inside = [(INTERNAL_HOST, port, port) for port in INTERNAL_PORTS]
        for args in ((PUBLIC_HOST, int(gateway_port), 0), *inside):
            threading.Thread(target=forward_to_gateway, args=args, daemon=True).start()
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
