"""Runs that end in the middle of their waits as by SIGKILL, in virtual time.

At the kill no request of the run reaches the world any more, and the operator's files are as they
are then, whatever the rest of the process still does: so nothing is released, ended or refreshed.
What the killed run asked for becomes usable meanwhile, or not, as on AWS. A helm that is at work
is not killed, but nothing that it sends arrives.
"""

from __future__ import annotations

import json
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aws_setup.errors import Interrupted
from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.core import protocol
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.types import AwsError
from aws_setup.rehearsal.kubernetes.api.errors import ApiError
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.scripts import Ended
from tests.support.virtual_time import BETWEEN_COMMANDS, VirtualWorld
from tests.trust.client import aws_client

PASSING = frozenset(
    {"CREATING", "DELETING", "UPDATING", "pending", "deleting", "stopping", "shutting-down"}
)
"""States of what has been asked for and is not usable, or not gone, yet."""


@dataclass
class Kill:
    """Ends one run at its first sleep at or after `at`, in virtual seconds."""

    world: VirtualWorld
    at: float
    kept: Path
    happened: bool = False
    held: bool = False
    """Whether there was a held run lock, which nobody releases."""
    took_over: bool = False
    """Whether this run took over the lock of a dead one."""
    passing: set[str] = field(default_factory=set)
    """What was neither usable nor gone, as 'kind state'."""
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def before_sleep(self) -> None:
        """Kill the run when its time has come; each thread of it then ends."""
        if self.world.time.now() < self.at:
            return
        with self._mutex:
            if not self.happened:
                self.passing = passing(self.world)
                self.held = any(json.loads(text)["state"] == "held" for text in _locks(self.world))
                self.happened = True
                shutil.copytree(self.world.folder, self.kept, symlinks=True)
        raise Interrupted

    def restore_files(self) -> None:
        """Let the operator's files be as they were at the kill."""
        shutil.rmtree(self.world.folder)
        self.kept.rename(self.world.folder)


def _locks(world: VirtualWorld) -> Sequence[str]:
    parameters = world.cloud.store_of(Parameters)
    return [found.value for (_, name), found in parameters.items() if "/lock/" in name]


def passing(world: VirtualWorld) -> set[str]:
    """Return what is between two states, as 'kind state'."""
    ec2, eks = aws_client(world.cloud, "ec2"), aws_client(world.cloud, "eks")
    found = {
        f"instance {one['State']['Name']}"
        for reservation in ec2.describe_instances()["Reservations"]
        for one in reservation["Instances"]
    }
    found |= {f"nat {one['State']}" for one in ec2.describe_nat_gateways()["NatGateways"]}
    for name in eks.list_clusters()["clusters"]:
        found.add(f"cluster {eks.describe_cluster(name=name)['cluster']['status']}")
        for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
            shown = eks.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"]
            found.add(f"nodes {shown['status']}")
    return {text for text in found if text.split()[1] in PASSING}


@contextmanager
def cut_off(kill: Kill) -> Iterator[None]:
    """Let nothing that a killed run sends reach the world."""
    cloud = kill.world.cloud
    in_aws, in_kubernetes = cloud.handle, KubeApiServer.answer

    def handle(request: HttpRequest) -> HttpAnswer:
        if not kill.happened:
            return in_aws(request)
        # A code that is not tried again: the rest of the run is of no interest.
        error = AwsError("ExpiredTokenException", "the run was killed", status=403)
        return protocol.encode_error(request.call, error, "0")

    def answer(self: KubeApiServer, request: Any) -> Any:
        if kill.happened:
            raise ApiError(403, "Forbidden", "the run was killed")
        return in_kubernetes(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud, "handle", handle)
        patch.setattr(KubeApiServer, "answer", answer)
        yield


def kill_at(world: VirtualWorld, at: float, script: Any, verb: str, *options: str) -> Kill:
    """Run a command that is killed at a virtual second; it may end well before it."""
    kill = Kill(world, at, world.folder.with_name(f"{world.folder.name}.kept"))
    with cut_off(kill), world.disturbed(kill.before_sleep):
        ended: Ended = world.attempt(script, verb, *options)
    kill.took_over = "Taking over the run lock" in ended.stderr
    if kill.happened:
        kill.restore_files()
    else:
        assert ended.exit_code == 0, ended.stdout + ended.stderr
    return kill


def moments(lasts: float, kills: int, seed: str) -> list[float]:
    """Return one drawn second of each of as many equal parts of a run.

    It is none of the first or last fifth of a part: at the moment of a request the speed of the
    computer decides which comes first, the kill or the request.
    """
    drawn = random.Random(seed)
    part = lasts / kills
    return [part * (number + drawn.uniform(0.2, 0.8)) for number in range(kills)]


def killed_again_and_again(
    world: VirtualWorld, seconds: Sequence[float], script: Any, verb: str, *options: str
) -> list[Kill]:
    """Run a command that is killed so many seconds after the beginning of the first run.

    Each run goes on where the one before was killed.
    """
    began = world.time.now() + BETWEEN_COMMANDS
    kills = []
    for second in seconds:
        kill = kill_at(world, began + second, script, verb, *options)
        kills.append(kill)
        if not kill.happened:
            break
    return kills
