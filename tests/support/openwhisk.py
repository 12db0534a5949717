"""Support for the tests of the NameNode actions: jars, a stand-in OpenWhisk, a fast clock."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aws_setup.engine.wait import Clock
from aws_setup.errors import Interrupted
from aws_setup.namenodes.action import DesiredAction
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.http import HttpConnection
from aws_setup.namenodes.jar import Jar, read_jar
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer, serve

MAIN = "org.apache.hadoop.hdfs.serverless.OpenWhiskHandler"
KIND = "generic-namenode:10"


def make_jar(path: Path, *, size: int = 1024, seed: int = 1, main: str = MAIN) -> Path:
    """Write a jar of about `size` bytes that holds the class `main`."""
    filling = random.Random(seed).randbytes(max(0, size - 400))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(main.replace(".", "/") + ".class", b"\xca\xfe\xba\xbe")
        archive.writestr("filling", filling)
    return path


def jar_of(path: Path, *, main: str = MAIN) -> Jar:
    """Read a jar as the script does."""
    return read_jar(path, source=str(path), main_class=main)


class QuickClock:
    """A clock whose sleeps take no time and are recorded."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []
        self.stopped = False

    def now(self) -> float:
        return self.time

    def today(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        if self.stopped:
            raise Interrupted
        self.pauses.append(seconds)
        self.time += seconds

    def stop(self) -> None:
        self.stopped = True


def desired(
    jar: Jar | None, *, memory: int | None = 20000, concurrency: int | None = 4
) -> DesiredAction:
    """Return the desired state of the original instructions."""
    return DesiredAction(KIND, MAIN, memory, concurrency, jar.sha256 if jar else None)


def client_of(url: str, *, clock: Clock | None = None, **more: str | bool) -> Client:
    """Return a client of a stand-in."""
    endpoint = Endpoint(url=url, auth=str(more.pop("auth", AUTH)), **more)  # type: ignore[arg-type]  # the tests give strings and flags by their right names
    return Client(HttpConnection(endpoint, width=8, read_seconds=20), clock or QuickClock(), 300)


@contextmanager
def openwhisk(whisk: OpenWhiskServer | None = None) -> Iterator[OpenWhiskServer]:
    """Run a stand-in OpenWhisk over plain HTTP."""
    running = whisk or OpenWhiskServer()
    with serve(running):
        yield running
