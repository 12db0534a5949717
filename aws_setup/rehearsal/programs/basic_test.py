"""Stands in for `java … com.gmail.benrcarver.distributed.BasicTest`, the test of λFS's client.

It reads the hdfs-site.xml of the λFS release, connects to ZooKeeper, listens for the NameNodes'
connections, and calls the NameNodes at the endpoint for each operation, as λFS's client does. The
emulated NameNodes keep no files: what is tested is the way to them, and theirs to everything.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.programs.common import record_start
from aws_setup.rehearsal.programs.hadoop_config import read_site
from aws_setup.rehearsal.programs.manager_client import fail, print_line

CLASS = "com.gmail.benrcarver.distributed.BasicTest"
JAR = "/home/ubuntu/BasicTest.jar"
HADOOP = Path("/home/ubuntu/repos/hops/hadoop-dist/target/hadoop-3.2.0.3-SNAPSHOT")
MOST_FILES = 100
CONNECT_SECONDS, CALL_SECONDS = 5.0, 30.0


class OperationError(Exception):
    """An operation failed; the text is that of λFS's client."""


@dataclass(frozen=True)
class FileSystem:
    """λFS's client: it calls the NameNode of a path's deployment by HTTP."""

    site: Mapping[str, str]

    def call(self, operation: str, path: str) -> None:
        """Execute an operation of the file system.

        Raises:
            OperationError: the NameNode does not answer, or answers with an error.
        """
        deployments = int(self.site["serverless.deployments.max"])
        number = zlib.crc32(path.encode()) % deployments
        url = f"{self.site['serverless.endpoint']}{number}"
        arguments = {
            "op": operation,
            "fsArgs": {"src": path},
            "clientInternalIp": address(),
            "tcpPort": int(self.site.get("serverless.tcp.port", "6000")),
        }
        error = post(url, arguments)
        if error:
            raise OperationError(f"{operation} {path}: NameNode {number}: {error}")


def post(url: str, arguments: Mapping[str, Any]) -> str:
    """Send a request, with any certificate; return its error, '' when the NameNode served it."""
    body = json.dumps(arguments).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS, context=context):
            return ""
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} of {url}: {_error_of(error.read())}"
    except (OSError, ValueError) as error:
        return f"{url}: {getattr(error, 'reason', error)}"


def _error_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def address() -> str:
    """Return the VM's private address, which is in its host name."""
    return socket.gethostname().removeprefix("ip-").replace("-", ".")


def connect_zookeeper(hosts: str) -> None:
    """Connect to one server of the ensemble.

    Raises:
        OperationError: none accepts the connection.
    """
    for text in hosts.split(","):
        host, _, port = text.strip().partition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port or 2181)), CONNECT_SECONDS).close()
            return
    raise OperationError(
        f"org.apache.zookeeper.KeeperException$ConnectionLossException: no answer of {hosts}"
    )


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    """Accept the connections of NameNodes."""
    with socket.create_server(("", port), backlog=64) as server:
        threading.Thread(target=_accept, args=(server,), daemon=True).start()
        yield
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


def run(site: Mapping[str, str], answer: Sequence[str]) -> None:
    """Execute the operations of the test; `answer` are the lines of stdin.

    Raises:
        OperationError: an operation failed.
    """
    connect_zookeeper(site.get("serverless.zookeepers.hosts", "localhost:2181"))
    file_system = FileSystem(site)
    file_system.call("create", "/test.txt")
    file_system.call("getListing", "/")
    file_system.call("mkdirs", "/test-directory")
    print_line(f"How many files should be created (1-{MOST_FILES})?")
    number = int(answer[0]) if answer and answer[0].strip().isdigit() else 0
    if not 1 <= number <= MOST_FILES:
        raise OperationError(f"the answer must be a number from 1 to {MOST_FILES}")
    files = [f"/test-directory/file{index}.txt" for index in range(number)]
    for path in files:
        file_system.call("create", path)
    for path in (*files, "/test.txt", "/test-directory"):
        file_system.call("delete", path)


def main() -> None:
    """Run the test, and print [SUCCESS], or [ERROR] with the first failure."""
    record_start()
    class_path = sys.argv[sys.argv.index("-cp") + 1] if "-cp" in sys.argv[:-1] else ""
    if CLASS not in sys.argv or JAR not in class_path.split(":") or not Path(JAR).exists():
        fail(f"Error: Could not find or load main class {sys.argv[-1]}")
    site = read_site(HADOOP / "etc/hadoop/hdfs-site.xml")
    try:
        with listening(int(site.get("serverless.tcp.port", "6000"))):
            run(site, sys.stdin.read().splitlines())
    except (OperationError, KeyError) as error:
        fail(f"[ERROR] {error}")
    print_line("[SUCCESS] All operations have been executed.")
