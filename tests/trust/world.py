"""A whole emulated world in one process, which can be forked: every attempt starts in one state.

A fork copies the world in milliseconds. The parent is stopped (SIGSTOP) while its child serves on
the same sockets, so that addresses and ports stay the same, and continues when the child has ended.
Linux only.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from aws_setup.rehearsal.core import internal_errors, loopback
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.core.types import AwsError
from aws_setup.rehearsal.demo.workspace import Workspace, find_helm
from aws_setup.rehearsal.environment import Environment
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.load_balancer import serve_openwhisk
from aws_setup.rehearsal.vms.ec2_sync import Ec2Sync
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.services import InProcessServices
from aws_setup.rehearsal.vms.vm_init import INTERNAL_HOST
from tests.support.copies import FAST_HELM
from tests.support.script_runs import Request, Run, Zygote
from tests.support.signals import wait_until_stopped
from tests.trust import snapshot
from tests.trust.canaries import VARIABLES, Search
from tests.trust.cliffs import Tap
from tests.trust.taps import tapped

T = TypeVar("T")

SMALL: dict[str, Any] = {
    "num_ndb_datanodes": 2,
    "num_lambda_fs_zk_vms": 3,
    "num_openwhisk_core_vms": 1,
    "num_openwhisk_invoker_vms": 1,
    "autoscaling_group_desired_capacity": 1,
    "num_namenode_deployments": 2,
}
"""A deployment with every kind of resource, and few of each."""


class Failed(AssertionError):
    """An attempt did not end as it must; the text says what differs."""


CHANGES = frozenset(
    {"DescribeInstances", "DescribeAutoScalingGroups", "DescribeAutoScalingInstances"}
)
"""Reads after which the emulated cloud shows machines in their next state."""


class MachinesFollow:
    """Brings the machines to the state of EC2 before AWS answers: what it shows as running runs.

    A thread that polls the cloud would come later than runs without pauses, which then find no
    machine.
    """

    def __init__(self, cloud: RehearsalCloud, machines: InProcessVmPool) -> None:
        """Install it in the cloud."""
        self._sync, self._mutex = Ec2Sync(cloud, machines), threading.Lock()
        in_aws = cloud.handle

        def handle(request: HttpRequest) -> HttpAnswer:
            answer = in_aws(request)
            if _may_change_machines(request):
                self.sync()
            return answer

        cloud.handle = handle  # type: ignore[method-assign]

    def sync(self) -> None:
        """Bring the machines to the state of EC2."""
        with self._mutex:
            self._sync.sync()


def _may_change_machines(request: HttpRequest) -> bool:
    try:
        call = request.call
    except AwsError:
        return False
    return call.service in ("ec2", "autoscaling") and (not call.reads or call.action in CHANGES)


@dataclass
class World:
    """The emulated world, and the runs of the scripts in it."""

    zygote: Zygote
    folder: Path
    environment: Environment
    variables: Mapping[str, str]
    follow: MachinesFollow
    tap: Tap
    search: Search
    output: str = ""
    """What the last run has printed."""

    @property
    def cloud(self) -> RehearsalCloud:
        """The emulated AWS."""
        return self.environment.cloud

    def start(
        self, script: str, *words: str, name: str = "run", first: str = "", **variables: str
    ) -> Run:
        """Start a run of a script; `first` is Python that it executes before."""
        request = Request(script, words, self.folder, {**self.variables, **variables}, first)
        return self.zygote.start(request, name=name)

    def run(self, script: str, *words: str, **variables: str) -> int:
        """Run a script to its end and return its exit code."""
        run = self.start(script, *words, **variables)
        self.tap.pid = run.pid
        code = run.wait()
        self.tap.pid = 0
        self.output = self.shown(f"$ {script}.py {' '.join(words)}", name=run.name)
        self.check_secrets()
        return code

    def check_secrets(self) -> None:
        """Search what the runs have shown and left.

        Raises:
            Failed: a secret is where it may not be.
        """
        if leaks := self.search.leaks():
            raise Failed("\n".join(["secrets were shown or left:", *leaks, self.output]))

    def shown(self, title: str, *, name: str) -> str:
        """Return the end of what a run has printed so far, under a title."""
        parts = (
            (self.folder / f"{name}.{end}", most) for end, most in (("out", 3000), ("err", 6000))
        )
        texts = (path.read_text(encoding="utf-8", errors="replace")[-most:] for path, most in parts)
        return "\n".join([title, *texts])

    def text(self, name: str) -> str:
        """Return all that a run has printed."""
        paths = (self.folder / f"{name}.{end}" for end in ("out", "err"))
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)

    def settle(self) -> None:
        """Bring the machines to the state of EC2."""
        self.follow.sync()

    def fork(self, act: Callable[[], T]) -> T:
        """Return what `act` returns in a copy of the world; this one stays as it is.

        Raises:
            Failed: the text of an exception of `act`.
        """
        self.settle()
        kept = self.folder.with_name(f"{self.folder.name}.kept-{os.getpid()}")
        shutil.copytree(self.folder, kept, symlinks=True)
        answer = self.folder.parent / f"answer-{os.getpid()}"
        with self.cloud.lock:
            child = os.fork()
            if child == 0:
                self.cloud.lock.release()
                self._be_child(act, answer, parent=os.getppid())
            # The child continues this process when it has ended.
            os.kill(os.getpid(), signal.SIGSTOP)
        os.waitpid(child, 0)
        shutil.rmtree(self.folder)
        kept.rename(self.folder)
        found: T = outcome_in(answer)
        return found

    def _be_child(self, act: Callable[[], T], answer: Path, *, parent: int) -> NoReturn:
        def serve_and_act() -> T:
            gc.freeze()
            wait_until_stopped(parent)
            self.serve_in_fork()
            return act()

        answer_parent(serve_and_act, answer, parent=parent)

    def serve_in_fork(self) -> None:
        """Serve on the sockets of the parent, which is stopped."""
        loopback.serve_in_fork()
        machines = self.environment.machines
        assert isinstance(machines, InProcessVmPool)
        machines.serve_in_fork()


def answer_parent(act: Callable[[], Any], answer: Path, *, parent: int) -> NoReturn:
    """Act in a fork, write what `act` returns or raises to a file, and continue the parent."""
    outcome: tuple[str, Any]
    try:
        try:
            outcome = ("", act())
            if errors := internal_errors.take():
                outcome = ("\n".join(errors), None)
        except Failed as failure:
            outcome = (str(failure), None)
        except BaseException:  # noqa: BLE001 -- the parent raises it
            outcome = (traceback.format_exc(), None)
        partial = answer.with_suffix(".part")
        partial.write_bytes(pickle.dumps(outcome))
        partial.rename(answer)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(parent, signal.SIGCONT)
        os._exit(0)


def outcome_in(answer: Path) -> Any:
    """Return what a fork has written with `answer_parent`, and delete the file.

    Raises:
        Failed: the text of an exception, or the fork has ended without an answer.
    """
    if not answer.exists():
        raise Failed("the copy of the world ended without an answer")
    failure, result = pickle.loads(answer.read_bytes())
    answer.unlink()
    if failure:
        raise Failed(failure)
    return result


@contextmanager
def world(zygote: Zygote, folder: Path, **config: Any) -> Iterator[World]:
    """Yield a world without resources, its configuration, and the tap for its writes."""
    settings = Settings(speed=0)
    settings.load_balancer_host = "localhost"
    settings.internal_load_balancer_host = INTERNAL_HOST
    folder.mkdir()
    with ExitStack() as stack:
        cloud = stack.enter_context(serve(settings))
        hooks = stack.enter_context(
            EksApiServers(cloud, secrets=[VARIABLES["AWS_SECRET_ACCESS_KEY"]])
        )
        frontend = stack.enter_context(serve_openwhisk(cloud, hooks))
        gateway = Gateway(frontend.port, frontend.connect_from_vm)
        machines = stack.enter_context(InProcessVmPool(folder / "machines", gateway=gateway))
        frontend.connect_namenodes(InProcessServices(machines))
        environment = Environment(cloud, hooks, machines, frontend)
        workspace = Workspace(folder, find_helm())
        workspace.prepare(environment, **{**SMALL, **config})
        workspace.build_jar(2)
        (folder / "namenode.jar").rename(folder / "second.jar")
        workspace.build_jar(1)
        temporary = folder.with_name(f"{folder.name}.tmp")
        temporary.mkdir()
        variables = workspace.environment(environment, os.environ)
        variables |= {**VARIABLES, **FAST_HELM, "TMPDIR": str(temporary)}
        follow = MachinesFollow(cloud, machines)
        tap = stack.enter_context(tapped(environment))
        search = Search(folder, temporary, environment)
        tap.sent, tap.helm = search.see, search.look
        # The clients that this makes are made for all copies of the world.
        snapshot.take(environment, folder)
        yield World(zygote, folder, environment, variables, follow, tap, search)
