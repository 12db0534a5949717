"""How the product's readers get bytes: as a file, from a machine, or as an API's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from aws_setup.config import Config
from aws_setup.engine.decoding import Undecodable, json_object, json_of
from aws_setup.errors import SetupError
from aws_setup.kube.shapes import checked
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.http import HttpConnection, HttpResponse
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.machine import Machine
from aws_setup.verify.check import Broken, NotApplicable
from tests.support.clock import RecordingClock

Reader = Callable[[bytes, Path], object]

EXPECTED = (SetupError, Undecodable, Broken, NotApplicable)
"""What a reader may raise; of these only the first has a fix of its own."""


class Written(AssertionError):
    """A reader has changed something."""


@dataclass(frozen=True)
class Answering:
    """Stands for a machine whose every command prints the same; none may change something."""

    output: str
    name: str = "client"

    def run(self, command: object, *, changes: bool = True, **_: object) -> CommandResult:
        """Return the output."""
        if changes:
            raise Written(f"a command on a machine may change something: {command}")
        return CommandResult(0, self.output, "")


@dataclass(frozen=True)
class AnsweringApi:
    """Stands for a connection to OpenWhisk whose every answer is the same; it takes no write.

    An invocation of an action (POST) is none.
    """

    body: bytes
    status: int = 200
    endpoint: Endpoint = field(default_factory=lambda: Endpoint("http://openwhisk", "a:b"))

    def send(self, method: str, path: str, **_: object) -> HttpResponse:
        """Return the answer, as HttpConnection reads it."""
        if method not in ("GET", "POST"):
            raise Written(f"{method} {path}")
        try:
            document = json_of(self.body)
        except Undecodable:
            document = None
        return HttpResponse(self.status, MappingProxyType({}), document)


def text(data: bytes) -> str:
    """Return what a program printed, as SSH reads it."""
    return data.decode("utf-8", "replace")


def machine(data: bytes) -> Machine:
    """Return a machine that prints this."""
    return cast(Machine, Answering(text(data)))


def openwhisk(data: bytes, status: int = 200) -> Client:
    """Return a client of an OpenWhisk that answers this."""
    connection = cast(HttpConnection, AnsweringApi(data, status))
    return Client(connection, RecordingClock(), deadline=0.0)


def config(folder: Path) -> Config:
    """Return a configuration whose files are in a folder."""
    return Config(
        ssh_keypair_name="k", ssh_key_path="/k.pem", infrastructure_json_path=str(folder / "x.json")
    )


@contextmanager
def refused_unwritten(folder: Path) -> Iterator[None]:
    """Fail when the block refuses its input after it has changed a file of the folder."""
    before = _contents(folder)
    try:
        yield
    except EXPECTED as error:
        if _contents(folder) != before:
            raise AssertionError(f"a write before the refusal {error!r}") from error
        raise


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def on_file(use: Callable[[Path], object]) -> Reader:
    """Return a reader of the input as a file."""

    def run(data: bytes, folder: Path) -> object:
        path = folder / "file"
        path.write_bytes(data)
        with refused_unwritten(folder):
            return use(path)

    return run


def stored(place: Callable[[Config], Path], use: Callable[[Config], object]) -> Reader:
    """Return a reader of one of the deployment's files."""

    def run(data: bytes, folder: Path) -> object:
        place(config(folder)).write_bytes(data)
        with refused_unwritten(folder):
            return use(config(folder))

    return run


def of_object(use: Callable[[Any], object]) -> Reader:
    """Return a reader of an object of Kubernetes, as the client passes it on."""
    return lambda data, _: use(checked(json_object(data), named=True))


def of_json(use: Callable[[Any], object]) -> Reader:
    """Return a reader of a document of an API; what is no JSON object never reaches it."""

    def run(data: bytes, _: Path) -> object:
        try:
            value = json_of(data)
        except Undecodable:
            return None
        return use(value) if isinstance(value, dict) else None

    return run
