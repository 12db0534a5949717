"""Starts runs of the scripts: processes that can be killed, and start in milliseconds.

The zygote imports the scripts once and forks for each run, so that a run is a process of its own,
without the second that its imports take. It has no threads, which a fork would lose.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CLOCK = "TRUST_CLOCK"
"""Variable: by how many seconds the clock of a run is wrong, or a file that says it."""

FILE_SIZE = "TRUST_FILE_SIZE"
"""Variable: the size in bytes that no file of the run may exceed, as on a full disk."""

SCRIPTS = ("create_aws_infrastructure", "configure_eks_cluster", "whisk_helper")
SERVICES = (
    "ec2",
    "eks",
    "iam",
    "autoscaling",
    "elb",
    "elbv2",
    "sts",
    "service-quotas",
    "pricing",
    "ssm",
    "scheduler",
)
PRELOADED = (
    "aws_setup.cli.aws_commands",
    "aws_setup.cli.commands",
    "aws_setup.cli.main",
    "aws_setup.cli.namenodes",
    "aws_setup.cli.pause",
    "aws_setup.cli.run_recorder",
    "paramiko",
    "nacl.signing",
)


@dataclass(frozen=True)
class Request:
    """One run: the script, its arguments, its folder, and its environment variables."""

    script: str
    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


@dataclass
class Run:
    """A run that was started; its output is in files of its folder."""

    pid: int
    connection: socket.socket
    folder: Path
    name: str

    def wait(self) -> int:
        """Return the exit code; 128 and the signal where one ended the run."""
        with self.connection:
            answer = self.connection.makefile().readline()
        code = os.waitstatus_to_exitcode(int(answer))
        return 128 - code if code < 0 else code

    @property
    def stdout(self) -> str:
        """What the run has printed on standard output."""
        return (self.folder / f"{self.name}.out").read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What the run has printed on standard error."""
        return (self.folder / f"{self.name}.err").read_text(encoding="utf-8", errors="replace")


class Zygote:
    """The client of a zygote: it may be used in forked children of its process, too."""

    def __init__(self, address: Path) -> None:
        """Use the zygote that listens on a socket."""
        self._address = address

    def start(self, request: Request, *, name: str = "run") -> Run:
        """Start a run; `name` is that of the files with its output."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self._address))
        message = {
            "script": request.script,
            "words": request.words,
            "folder": str(request.folder),
            "environment": dict(request.environment),
            "name": name,
        }
        connection.sendall(json.dumps(message).encode() + b"\n")
        pid = int.from_bytes(connection.recv(4), "big")
        return Run(pid, connection, request.folder, name)


@contextmanager
def zygote(folder: Path) -> Iterator[Zygote]:
    """Run a zygote until the block ends.

    Call it before any thread is started.
    """
    address = folder / "zygote"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    listener.listen(16)
    pid = os.fork()
    if pid == 0:
        try:
            _serve(listener)
        finally:
            os._exit(1)
    listener.close()
    try:
        yield Zygote(address)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        address.unlink()


def _serve(listener: socket.socket) -> None:
    """Import everything, then start runs for ever."""
    _preload()
    # What exists now is neither looked at nor copied by the collections of each run.
    gc.collect()
    gc.freeze()
    # The supervisors of ended runs vanish without being waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            # This process waits for the run, so that the zygote can start the next one.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            _supervise(connection)


def _preload() -> None:
    """Import the scripts and what they import on first use, and read the models of AWS."""
    import boto3

    from aws_setup.config.model import Config
    from tests.support import service_models

    service_models.install()
    Config.model_rebuild()
    for name in (*SCRIPTS, *PRELOADED):
        importlib.import_module(name)
    # For a killed run's helm that may still work: its processes end with it here.
    importlib.import_module("aws_setup.openwhisk.release").OTHER_RUN = 0.2  # type: ignore[attr-defined]
    for script in SCRIPTS[:2]:
        importlib.import_module(script).SCRIPT.story()
    for service in SERVICES:
        client = boto3.client(  # type: ignore[call-overload]
            service,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        assert client.meta.service_model.error_shapes is not None, "read once for all runs"


def _supervise(connection: socket.socket) -> None:
    try:
        message = json.loads(connection.makefile().readline())
        outputs = _pipes(message) if FILE_SIZE in message["environment"] else {}
        pid = os.fork()
        if pid == 0:
            _run(message, {target: write for target, (_, write, _) in outputs.items()})
        connection.sendall(pid.to_bytes(4, "big"))
        for _, writing, _ in outputs.values():
            os.close(writing)
        copies = [
            threading.Thread(target=_copy, args=(reading, path))
            for reading, _, path in outputs.values()
        ]
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()
        _, status = os.waitpid(pid, 0)
        connection.sendall(f"{status}\n".encode())
    finally:
        os._exit(0)


def _pipes(message: Mapping[str, Any]) -> dict[int, tuple[int, int, Path]]:
    """Return the pipes of a run that cannot write its output to files: read, write, file."""
    folder, name = Path(message["folder"]), message["name"]
    return {
        1: (*os.pipe(), folder / f"{name}.out"),
        2: (*os.pipe(), folder / f"{name}.err"),
    }


def _copy(reading: int, path: Path) -> None:
    with os.fdopen(reading, "rb") as source, path.open("wb") as file:
        shutil.copyfileobj(source, file)


def _disturb(environment: Mapping[str, str]) -> None:
    """Make the clock of this process wrong, and its disk full, as its variables say."""
    if FILE_SIZE in environment:
        size = int(environment[FILE_SIZE])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if CLOCK in environment:
        import botocore.auth

        plain, source = time.time, environment[CLOCK]

        def offset() -> float:
            return float(Path(source).read_text() if "/" in source else source)

        time.time = lambda: plain() + offset()
        vars(botocore.auth)["get_current_datetime"] = lambda: datetime.fromtimestamp(
            time.time(), UTC
        ).replace(tzinfo=None)


def _run(message: Mapping[str, Any], outputs: Mapping[int, int]) -> None:
    """Be the run: its folder, environment, output, and its exit code."""
    code = 70
    try:
        folder = Path(message["folder"])
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(message["environment"])
        _redirect(folder, message["name"], outputs)
        _disturb(message["environment"])
        script = importlib.import_module(message["script"])
        main = getattr(script, "main", None)
        if main is None:
            from aws_setup.cli.app import script_command

            main = script_command(script.SCRIPT, folder=folder)
        main(args=list(message["words"]), prog_name=message["script"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 -- it is the end of the process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(folder: Path, name: str, outputs: Mapping[int, int]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for target, path in (
        (0, Path(os.devnull)),
        (1, folder / f"{name}.out"),
        (2, folder / f"{name}.err"),
    ):
        opened = outputs.get(target)
        if opened is None:
            opened = os.open(path, os.O_RDONLY if target == 0 else flags, 0o600)
        os.dup2(opened, target)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- for the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
