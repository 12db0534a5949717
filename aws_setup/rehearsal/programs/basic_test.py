"""Stands in for `java … com.gmail.benrcarver.distributed.BasicTest`, the test of λFS's client.

It reads the hdfs-site.xml of the λFS release, connects to ZooKeeper, listens for the NameNodes'
connections, and calls the NameNodes at the endpoint for each operation, as λFS's client does. It
expects nothing but its own files in the root, and ends with exit code 0 after an [ERROR] about
their number, as the original:
https://github.com/ds2-lab/LambdaFS-Benchmarking/blob/88123bbdf7bb0eeef5470af69ab243a0a9378155/src/main/java/com/gmail/benrcarver/distributed/BasicTest.java
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
import uuid
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

    def call(self, operation: str, path: str) -> Any:
        """Execute an operation of the file system; return its result.

        Raises:
            OperationError: the NameNode does not answer, or answers with an exception.
        """
        deployments = int(self.site["serverless.deployments.max"])
        number = zlib.crc32(path.encode()) % deployments
        url = f"{self.site['serverless.endpoint']}{number}?blocking=true"
        identifier = str(uuid.uuid4())
        request = {
            "op": operation,
            "fsArgs": {"src": path},
            "clientName": "C-1",
            "isClientInvoker": True,
            "INVOKER_IDENTITY": "C-1",
            "requestId": identifier,
        }
        value = {
            "BATCH": {identifier: request},
            "command-line-arguments": "-regular",
            "TCP_PORT": [int(self.site.get("serverless.tcp.port", "6000"))],
            "UDP_PORT": [],
            "BENCHMARK_MODE": False,
            "clientInternalIp": address(),
            "tcpEnabled": self.site.get("serverless.tcp.enabled", "true") == "true",
            "udpEnabled": False,
        }
        where = f"{operation} {path}: NameNode {number}"
        result = post(url, {"value": value}, where).get(identifier, {})
        if result.get("EXCEPTIONS"):
            raise OperationError(f"{where}: {result['EXCEPTIONS'][0]}")
        return json.loads(result.get("RESULT", "null"))

    def list(self, path: str, wanted: int, text: str) -> None:
        """Print the entries of a folder, and whether there are as many as wanted."""
        entries = self.call("getListing", path) or []
        for name in entries:
            print_line(f"{path.rstrip('/')}/{name}")
        print_line(f'\nDirectory "{path}" contains {len(entries)} files.\n')
        if len(entries) == wanted:
            print_line("[SUCCESS] Everything appears to be working!")
        else:
            print_line(f"[ERROR] The directory should contain {text}, not {len(entries)}.")
            print_line("Something is going wrong!")


def post(url: str, arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Send a request, with any certificate; return the results by the ids of the requests.

    Raises:
        OperationError: there is no answer, or it is an error.
    """
    body = json.dumps(arguments).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS, context=context) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except urllib.error.HTTPError as error:
        text = f"HTTP {error.code} of {url}: {_error_of(error.read())}"
        raise OperationError(f"{where}: {text}") from error
    except (OSError, ValueError) as error:
        raise OperationError(f"{where}: {url}: {getattr(error, 'reason', error)}") from error


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
    file_system.list("/", 1, "1 file")
    file_system.call("mkdirs", "/my_directory")
    file_system.list("/", 2, "2 files now")
    print_line(f"How many files should we create? [1 - {MOST_FILES}]")
    number = int(answer[0]) if answer and answer[0].strip().isdigit() else 0
    if not 1 <= number <= MOST_FILES:
        raise OperationError(f"Please enter a value between 1 and {MOST_FILES}.")
    for index in range(number):
        file_system.call("create", f"/my_directory/my_file{index}.txt")
    file_system.list("/my_directory", number, f"{number} file(s)")
    for path in ("/test.txt", "/my_directory"):
        if not file_system.call("delete", path):
            raise OperationError(f'Error while deleting "{path}"...')
    file_system.list("/", 0, "no files now")


def main() -> None:
    """Run the test; an exception ends it, as Java's."""
    record_start()
    class_path = sys.argv[sys.argv.index("-cp") + 1] if "-cp" in sys.argv[:-1] else ""
    if CLASS not in sys.argv or JAR not in class_path.split(":") or not Path(JAR).exists():
        fail(f"Error: Could not find or load main class {sys.argv[-1]}")
    site = read_site(HADOOP / "etc/hadoop/hdfs-site.xml")
    try:
        with listening(int(site.get("serverless.tcp.port", "6000"))):
            run(site, sys.stdin.read().splitlines())
    except (OperationError, KeyError) as error:
        fail(f'Exception in thread "main" java.io.IOException: {error}')
    print_line("Exiting.")
