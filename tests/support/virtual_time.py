"""Virtual time: whole runs of the scripts on AWS's latencies, without waiting, and repeatable.

Scripts and cloud share one clock, which stands still while any step works. When every running step
sleeps, it jumps to the end of the shortest pause (a discrete-event simulation). So a run of 20
minutes takes seconds, and its makespan does not depend on the computer's load. Work takes no time:
what remains is the waits, and whether steps wait for each other without need.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import configure_eks_cluster
import create_aws_infrastructure
from aws_setup.cli import aws_commands
from aws_setup.engine import graph
from aws_setup.engine.history import RunRecord, read_events
from aws_setup.errors import Interrupted
from aws_setup.rehearsal.aws.elb import DNS_SUFFIX, ResolvableNames
from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import LATENCIES, Settings
from aws_setup.rehearsal.demo.helm import CHART
from aws_setup.rehearsal.environment import script_environment
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.load_balancer import serve_openwhisk
from tests.support import scripts

Patch = Callable[[Any, str, Any], object]
"""Replaces an attribute until the end of a test: pytest's monkeypatch.setattr, or the like."""

STEP_THREADS = "step"
"""How the names of the runner's threads begin."""


class VirtualTime(ManualClock):
    """The clock of cloud and scripts; a step that sleeps makes it jump when all others sleep too.

    The number of running steps is known while the runner waits for them: only then it jumps.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._sleepers: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._running: int | None = None
        self.pauses = 0
        """How often the scripts have slept: the polls of their waits."""

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed; only steps and the main thread may sleep."""
        name = threading.current_thread().name
        with self._changed:
            self.pauses += 1
            if not name.startswith(STEP_THREADS):
                if self._running is not None:
                    raise RuntimeError(f"{name} sleeps, and no step is known that waits for it")
                self.advance(seconds)
                return
            own = (self.now() + seconds, next(self._numbers))
            heapq.heappush(self._sleepers, own)
            self._jump()
            self._changed.wait_for(lambda: own not in self._sleepers)

    def hear(self, running: int, get: Callable[[], Any]) -> Any:
        """Wait until a running step has ended, by `get`; meanwhile time may pass."""
        with self._changed:
            self._running = running
            self._jump()
        try:
            return get()
        finally:
            with self._changed:
                self._running = None

    def _jump(self) -> None:
        """Wake the step that wakes first, when every running step sleeps."""
        if self._sleepers and len(self._sleepers) == self._running:
            at, _ = heapq.heappop(self._sleepers)
            self.advance(max(0.0, at - self.now()))
            self._changed.notify_all()


@dataclass
class ScriptClock:
    """The clock of a script in virtual time."""

    time: VirtualTime
    pace: float = 1.0
    before_sleep: Callable[[], None] = lambda: None
    """Called before each sleep; it may raise Interrupted, as after Ctrl-C."""
    _stopped: bool = False

    def now(self) -> float:
        """Return the virtual seconds."""
        return self.time.now()

    def today(self) -> datetime:
        """Return the calendar time at the start, and the virtual seconds since then."""
        return self.time.today()

    def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""
        if self._stopped:
            raise Interrupted
        self.before_sleep()
        self.time.sleep(max(seconds, 0.02))

    def is_stopped(self) -> bool:
        """Whether later sleeps raise Interrupted."""
        return self._stopped

    def stop(self) -> None:
        """Let later sleeps raise Interrupted."""
        self._stopped = True


class _Ends(SimpleQueue[Any]):
    """The queue by which a graph hears of its jobs' ends; time passes while it listens."""

    def __init__(self, time: VirtualTime, running: set[Any]) -> None:
        super().__init__()
        self._time, self._jobs = time, running

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next end."""
        return self._time.hear(len(self._jobs), partial(super().get, block, timeout))


def _graph(time: VirtualTime, *arguments: Any) -> Any:
    """Return the state of a run of steps, whose waits let time pass."""
    made: Any = _GRAPH(*arguments)
    made._ended = _Ends(time, made._running)
    return made


_GRAPH: Any = graph._Graph

BETWEEN_COMMANDS = 10.0
"""Seconds in which a user types the next command; not counted."""


class Limit(NamedTuple):
    """The critical path of AWS alone, in seconds."""

    create: float
    destroy: float


LIMIT = Limit(
    create=LATENCIES["cluster active"] + LATENCIES["node group active"] + 120,
    destroy=LATENCIES["node group deleted"] + LATENCIES["cluster deleted"],
)
"""Cluster, nodes and OpenWhisk's own start (120 s); node groups, then the cluster."""


@dataclass
class VirtualWorld:
    """A cloud in virtual time, and a folder with a configuration for it."""

    cloud: RehearsalCloud
    hooks: EksApiServers
    time: VirtualTime
    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    """Verb -> virtual seconds of its last run."""
    before_sleep: Callable[[], None] = lambda: None
    """Called in each run before a step sleeps."""

    def run(self, script: Any, verb: str, *options: str, stop: float = math.inf) -> Any:
        """Run a script and return its JSON document; `stop` ends it after so many seconds."""
        stops_at = self.time.now() + BETWEEN_COMMANDS + stop

        def interrupt() -> None:
            if self.time.now() >= stops_at:
                raise Interrupted

        with self.disturbed(interrupt):
            ended = self.attempt(script, verb, *options)
        assert ended.exit_code == (0 if stop == math.inf else 130), ended.stdout + ended.stderr
        return ended.document

    def attempt(self, script: Any, verb: str, *options: str) -> scripts.Ended:
        """Run a script, however it ends."""
        self.time.advance(BETWEEN_COMMANDS)
        began = self.time.now()
        ended = scripts.run(script.SCRIPT, self.folder, verb, *options, "--yes", "--json")
        self.seconds[verb] = self.time.now() - began
        return ended

    @contextmanager
    def disturbed(self, before_sleep: Callable[[], None]) -> Iterator[None]:
        """Call `before_sleep` before each sleep of the runs in the block."""
        self.before_sleep = before_sleep
        try:
            yield
        finally:
            self.before_sleep = lambda: None

    def create(self, *options: str, stop: float = math.inf) -> Any:
        """Run the first script's create."""
        return self.run(create_aws_infrastructure, "create", *options, stop=stop)

    def configure(self, *, stop: float = math.inf) -> Any:
        """Run the second script's configure."""
        return self.run(configure_eks_cluster, "configure", stop=stop)

    def destroy(self, *, stop: float = math.inf) -> Any:
        """Run the first script's destroy."""
        return self.run(create_aws_infrastructure, "destroy", stop=stop)

    def clock(self) -> ScriptClock:
        """Return the clock of the next run."""
        return ScriptClock(self.time, before_sleep=self.before_sleep)

    def records(self) -> Sequence[RunRecord]:
        """Return the runs in the event log."""
        (log,) = self.folder.rglob("*.events.jsonl")
        return read_events(log)

    def resolve(self, host: Any, *arguments: Any, **more: Any) -> Any:
        """Resolve the names of load balancers, once their DNS is there, to this computer."""
        if not str(host).endswith(f".elb.{DNS_SUFFIX}"):
            return _GETADDRINFO(host, *arguments, **more)
        names = self.cloud.store_of(ResolvableNames)
        if names.get(str(host), math.inf) <= self.time.now():
            return _GETADDRINFO("127.0.0.1", *arguments, **more)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


_GETADDRINFO = socket.getaddrinfo


@contextmanager
def virtual_world(folder: Path, patch: Patch, *, helm: Path) -> Iterator[VirtualWorld]:
    """Yield a world without deployments, in this process; no VM is contacted.

    Args:
        folder: where the configuration and the scripts' files are.
        patch: replaces attributes; the caller restores them.
        helm: a real helm.
    """
    time = VirtualTime()
    with ExitStack() as stack:
        cloud = stack.enter_context(serve(Settings(lag=True), clock=time))
        hooks = stack.enter_context(EksApiServers(cloud))
        frontend = stack.enter_context(serve_openwhisk(cloud, hooks))
        programs = folder / "bin"
        programs.mkdir(parents=True)
        (programs / "helm").symlink_to(helm)
        environment = script_environment(cloud.url, 1) | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
        }
        patch(os, "environ", os.environ | environment)
        scripts.prepare(folder, openwhisk_chart=str(CHART), openwhisk_api_port=frontend.port)
        made = VirtualWorld(cloud, hooks, time, folder)
        patch(socket, "getaddrinfo", made.resolve)
        patch(
            aws_commands, "SystemClock", lambda: ScriptClock(time, before_sleep=made.before_sleep)
        )
        patch(graph, "_Graph", partial(_graph, time))
        yield made
