"""The way from a VM's network namespace to OpenWhisk's load balancer.

The public load balancer is a port of this computer, `localhost:PORT` in every URL, which in a VM
is the VM itself; the internal one has another address of loopback, at which only VMs reach it, and
its own ports. There `vm_init` listens at both and forwards each connection to a Unix socket on the
VM's disk, where this module answers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import paramiko

from aws_setup.rehearsal.vms.vm_init import GATEWAY, PORT_BYTES, copy_stream
from aws_setup.ssh.exchange import until_it_ends

Open = Callable[[str, int], socket.socket | None]
"""Opens an instance's connection to a port of the internal load balancer, or (0) the public one."""


class Gateway:
    """Connects the VMs to the load balancer.

    `port` is the load balancer's port of this computer. `open_connection` takes the id of the
    instance that connects, and the port of the internal load balancer, 0 for the public one; it
    returns the connection, or None where the network drops packets.
    """

    def __init__(self, port: int, open_connection: Open) -> None:
        self.port, self.open = port, open_connection

    def listen(self, instance_id: str, root: Path) -> socket.socket:
        """Answer the connections of a VM with this disk until the returned socket is closed."""
        server = socket.socket(socket.AF_UNIX)
        path = root / GATEWAY.lstrip("/")
        path.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # The path of a Unix socket has 107 bytes at most; this one is short.
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
        server.listen()
        threading.Thread(target=self._serve, args=(server, instance_id), daemon=True).start()
        return server

    def _serve(self, server: socket.socket, instance_id: str) -> None:
        dropped = []
        while True:
            try:
                inside, _ = server.accept()
            except OSError:
                return
            outside = None
            with contextlib.suppress(OSError):
                begin = inside.recv(PORT_BYTES, socket.MSG_WAITALL)
                outside = self.open(instance_id, int.from_bytes(begin, "big"))
                if outside is None:
                    # No answer ever comes: the client's own timeout ends the connection.
                    dropped.append(inside)
                    continue
            if outside is None:
                inside.close()
                continue
            threading.Thread(target=relay, args=(outside, inside), daemon=True).start()


def relay(outside: socket.socket, inside: socket.socket | paramiko.Channel) -> None:
    """Copy in both directions until both ends are closed."""
    end = cast("socket.socket", inside)  # a channel has the methods of a socket that copying needs
    with until_it_ends(), end, outside:
        answers = threading.Thread(target=copy_stream, args=(outside, end), daemon=True)
        answers.start()
        copy_stream(end, outside)
        answers.join()
