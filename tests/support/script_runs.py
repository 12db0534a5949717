"""Runs of the scripts: processes of their own, without the second that their imports take.

A server imports what the scripts use, once for each process that runs tests, and forks for each
run. Such a run has its own memory, folder, environment, standard streams and exit code; only the
imported modules, and what botocore has read of AWS's models, are there from the start. A test of
the start itself, or of signals, starts a Python of its own. On systems without pidfd (Linux has
it) each run is one.

`run_script` runs to the end. A `Zygote` starts a run that can be stopped and killed meanwhile, with
its output in files of its folder, and in a disturbed process (tests/support/disturbed.py).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import pkgutil
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

from tests.support.disturbed import FILE_SIZE

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("create_aws_infrastructure", "configure_eks_cluster", "whisk_helper")
SERVICES = (
    *("autoscaling", "ec2", "eks", "elb", "elbv2", "iam", "logs", "pricing"),
    *("scheduler", "service-quotas", "ssm", "sts"),
)
MAIN = "aws_setup.__main__"
"""It is run, not imported."""

TEMPORARY = tempfile.gettempdir()
"""Where the server's socket is: a test's own folder has too long a path for it (unix(7), 108)."""

LARGEST = 1 << 20
"""Bytes of the largest request: arguments and environment variables."""


def run_script(
    *words: str,
    folder: Path,
    environment: Mapping[str, str],
    stdin: int | IO[Any] = subprocess.DEVNULL,
    first: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end.

    Args:
        words: the script's file name, and its arguments.
        folder: its working directory.
        environment: its environment variables.
        stdin: its standard input, as for `subprocess.run`.
        first: Python that is executed before the script, in its process.
    """
    script = Path(words[0]).stem
    command = [sys.executable, "-c", _program(script, first), *words[1:]]
    if not hasattr(os, "pidfd_open"):
        return subprocess.run(
            command,
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    request = Request(script, words[1:], folder, environment, first)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _input(stdin) as given:
        _, connection = _send(request, (given, out.fileno(), err.fileno()))
        code = _exit_code(connection)
        texts = [_text(file) for file in (out, err)]
    return subprocess.CompletedProcess(list(words), code, *texts)


@dataclass(frozen=True)
class Request:
    """One run: the script's module, arguments, folder, and environment variables.

    `first` is Python that is executed before the script, in its process.
    """

    script: str
    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    first: str = ""


@dataclass
class Run:
    """A run that was started; its output is in files of its folder."""

    pid: int
    connection: socket.socket
    folder: Path
    name: str
    copies: list[threading.Thread] = field(default_factory=list)

    def wait(self) -> int:
        """Return the exit code; 128 and the signal where one ended the run."""
        code = _exit_code(self.connection)
        for copy in self.copies:
            copy.join()
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
    """Starts runs; it may be used in forked children of its process, too."""

    def __init__(self) -> None:
        """Start the server, unless this process has it already."""
        _server()

    def start(self, request: Request, *, name: str = "run") -> Run:
        """Start a run; `name` is that of the files with its output."""
        copies: list[threading.Thread] = []
        with contextlib.ExitStack() as files:
            streams = [os.open(os.devnull, os.O_RDONLY)]
            files.callback(os.close, streams[0])
            for ending in ("out", "err"):
                path = request.folder / f"{name}.{ending}"
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                streams.append(os.open(path, flags, 0o600))
                if FILE_SIZE in request.environment:
                    # Such a run cannot write to a file.
                    reading, writing = os.pipe()
                    copy = threading.Thread(target=_copy, args=(reading, streams[-1]))
                    copies.append(copy)
                    streams[-1] = writing
                files.callback(os.close, streams[-1])
            pid, connection = _send(request, streams, disturbed=True)
        for copy in copies:
            copy.start()
        return Run(pid, connection, request.folder, name, copies)


def _copy(reading: int, writing: int) -> None:
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as file:
        shutil.copyfileobj(source, file)


def _program(script: str, first: str) -> str:
    return f"{first}\nimport runpy\nrunpy.run_module({script!r}, run_name='__main__')\n"


@contextlib.contextmanager
def _input(stdin: int | IO[Any]) -> Iterator[int]:
    if stdin == subprocess.DEVNULL:
        with Path(os.devnull).open("rb") as nothing:
            yield nothing.fileno()
    else:
        yield stdin if isinstance(stdin, int) else stdin.fileno()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8").replace("\r\n", "\n")


DISTURBED = "from tests.support.disturbed import install\ninstall()\n"


def _send(
    request: Request, streams: Sequence[int], *, disturbed: bool = False
) -> tuple[int, socket.socket]:
    """Start a run; return its process and the connection that says its end."""
    first = DISTURBED + request.first if disturbed else request.first
    message = json.dumps(
        {
            "program": _program(request.script, first),
            "words": [str(ROOT / f"{request.script}.py"), *request.words],
            "folder": str(request.folder),
            "environment": dict(request.environment),
        }
    ).encode()
    assert len(message) < LARGEST
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    connection.connect(str(_server()))
    socket.send_fds(connection, [message], list(streams))
    return int(_answer(connection)), connection


def _answer(connection: socket.socket) -> bytes:
    answer = connection.recv(64)
    assert answer, "the server of the scripts' runs has ended"
    return answer


def _exit_code(connection: socket.socket) -> int:
    """Return the exit code of a run, as `subprocess` has it: minus the number of a signal."""
    with connection:
        return os.waitstatus_to_exitcode(int(_answer(connection)))


@functools.cache
def _server() -> Path:
    """Start the server of this process, and return the address of its socket."""
    folder = Path(tempfile.mkdtemp(prefix="script-runs-", dir=TEMPORARY))
    address = folder / "socket"
    neutral = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.script_runs", str(address)],
        cwd=ROOT,
        env={**neutral, "HOME": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout
    assert server.stdout.readline() == b"ready\n", "the server of the scripts' runs does not start"
    owner = os.getpid()

    def end_here() -> None:
        if os.getpid() == owner and server.stdin and server.stdout:
            server.stdin.close()
            server.wait()
            server.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)

    _ends.append(end_here)
    atexit.register(end)
    return address


_ends: list[Callable[[], None]] = []
"""How the server of this process ends, while it runs."""


def end() -> None:
    """End the server of this process; the next run starts another."""
    _server.cache_clear()
    while _ends:
        _ends.pop()()


def serve(address: str) -> None:
    """Fork for each request, and answer with the run's wait status, until stdin ends."""
    _preload()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(16)
    os.write(1, b"ready\n")
    with selectors.DefaultSelector() as events:
        events.register(0, selectors.EVENT_READ)
        events.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fd == 0:
                    return
                if key.data:
                    events.unregister(key.fd)
                    _report(key.fd, *key.data)
                else:
                    connection, _ = listener.accept()
                    pid = _fork(connection)
                    events.register(
                        os.pidfd_open(pid), selectors.EVENT_READ, data=(pid, connection)
                    )


def _report(pidfd: int, pid: int, connection: socket.socket) -> None:
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    with connection, contextlib.suppress(OSError):
        connection.sendall(str(status).encode())


def _fork(connection: socket.socket) -> int:
    message, streams, _, _ = socket.recv_fds(connection, LARGEST, 3)
    pid = os.fork()
    if pid == 0:
        _be_the_run(json.loads(message), streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(str(pid).encode())
    return pid


def _be_the_run(request: Mapping[str, Any], streams: list[int]) -> NoReturn:
    """Be the process of a run: its streams, folder, environment, and its end."""
    code = 70
    try:
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
        os.closerange(3, max(streams) + 64)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- for the process
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(  # noqa: SIM115
            2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        )
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        tempfile.tempdir = None  # found anew, from the run's variables
        sys.argv = list(request["words"])
        code = _execute(request["program"])
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _execute(program: str) -> int:
    """Execute a program as Python does, and return its exit code."""
    try:
        exec(compile(program, "<run>", "exec"), {"__name__": "__run__"})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 -- it is the end of the process
        traceback.print_exc()
        return 1
    return 0


def _preload() -> None:
    """Import the scripts and all that they may import, and read the models of AWS."""
    import gc

    import boto3

    import aws_setup
    from tests.support import loaded_keys, service_models

    service_models.install()
    loaded_keys.install(check=False)
    from aws_setup.config.model import Config

    Config.model_rebuild()
    for name in SCRIPTS:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(aws_setup.__path__, "aws_setup."):
        if not module.name.startswith("aws_setup.rehearsal") and module.name != MAIN:
            importlib.import_module(module.name)
    importlib.import_module("nacl.signing")
    for service in SERVICES:
        client = boto3.client(  # type: ignore[call-overload]
            service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        assert client.meta.service_model.error_shapes is not None, "read once for all runs"
    # What exists now is neither looked at nor copied by the collections of each run.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    serve(sys.argv[1])
