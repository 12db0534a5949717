"""A client of ZooKeeper and of ndb_mgmd's stand-in, run as a program in the network of a VM.

`znodes HOST PORT` prints the paths of the znodes at the two upper levels; `data-nodes HOST` prints
address and ServerPort of each data node that has started. Both print JSON; the exit code is 1 when
the server does not answer.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Sequence

MANAGEMENT_PORT = 1186
SECONDS = 5.0

GET_CHILDREN, NO_NODE = 8, -101
"""Operation and error code of ZooKeeper's protocol.

https://github.com/apache/zookeeper/blob/master/zookeeper-jute/src/main/resources/zookeeper.jute
"""


def znodes(host: str, port: int) -> list[str]:
    """Return the paths of the znodes at the two upper levels, of one session.

    Raises:
        OSError: the server does not answer, or serves no requests.
    """
    with socket.create_connection((host, port), SECONDS) as connection:
        _send(connection, struct.pack(">iqiqi16s?", 0, 0, 10_000, 0, 16, b"", False))
        _receive(connection)
        upper = [f"/{name}" for name in _children(connection, "/")]
        lower = [f"{path}/{name}" for path in upper for name in _children(connection, path)]
    return upper + lower


def _children(connection: socket.socket, path: str) -> list[str]:
    """Return the children of a znode; none where it does not exist."""
    encoded = path.encode()
    request = struct.pack(">iii", 1, GET_CHILDREN, len(encoded)) + encoded + b"\0"
    _send(connection, request)
    answer = _receive(connection)
    error = struct.unpack_from(">i", answer, 12)[0]
    if error == NO_NODE:
        return []
    if error:
        raise OSError(f"ZooKeeper answers error {error}")
    return _strings(answer, 16)


def _strings(answer: bytes, at: int) -> list[str]:
    found = []
    count = struct.unpack_from(">i", answer, at)[0]
    at += 4
    for _ in range(count):
        size = struct.unpack_from(">i", answer, at)[0]
        found.append(answer[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(struct.pack(">i", len(message)) + message)


def _receive(connection: socket.socket) -> bytes:
    size = struct.unpack(">i", _exactly(connection, 4))[0]
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = connection.recv(size - len(data))
        if not block:
            raise ConnectionResetError("the server closed the connection")
        data += block
    return data


def data_nodes(host: str) -> list[tuple[str, int]]:
    """Return address and ServerPort of each started data node of a management server.

    Raises:
        OSError: it does not answer.
    """
    with socket.create_connection((host, MANAGEMENT_PORT), SECONDS) as connection:
        connection.sendall(b'{"op": "nodes"}\n')
        answer = json.loads(connection.makefile("r", encoding="utf-8").readline() or "{}")
    return [(str(address), int(port)) for address, port in answer["nodes"]]


def main(arguments: Sequence[str]) -> None:
    """Execute the command and print its answer."""
    verb, host, *rest = arguments
    answer = znodes(host, int(rest[0])) if verb == "znodes" else data_nodes(host)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, KeyError, ValueError) as problem:
        sys.exit(str(problem))
