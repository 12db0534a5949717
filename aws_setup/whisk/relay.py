"""A port on this computer, each of whose connections is joined to one that is opened elsewhere."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator

from aws_setup.errors import SetupError

log = logging.getLogger(__name__)

BLOCK = 256 * 1024


@contextlib.contextmanager
def relay(open_far: Callable[[], socket.socket]) -> Iterator[int]:
    """Yield the local port; `open_far` opens the other end of each connection to it.

    The first far end is opened at once, so that a way that does not exist is an error here.
    """
    ready = [open_far()]

    def far_end() -> socket.socket:
        return ready.pop() if ready else open_far()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, far_end), daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            for unused in ready:
                unused.close()


def _serve(server: socket.socket, far_end: Callable[[], socket.socket]) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(near, far_end), daemon=True).start()


def _connect(near: socket.socket, far_end: Callable[[], socket.socket]) -> None:
    """Join one connection; when no far end opens, the near one is closed, as a gateway does."""
    try:
        far = far_end()
    except SetupError as error:
        log.warning("the tunnel did not open: %s", error)
        near.close()
        return
    answers = threading.Thread(target=_pump, args=(far, near), daemon=True)
    answers.start()
    _pump(near, far)
    answers.join()
    near.close()
    far.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
