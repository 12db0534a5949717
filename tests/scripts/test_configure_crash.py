"""The second script killed between two of its writes, then run again or destroyed."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.retry import SERVER_RESTARTING
from aws_setup.rehearsal.core.faults import ConnectionDropped
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import release_of
from tests.support.aws import client
from tests.support.cluster import Lab, helms, lab
from tests.support.copies import SHARED, World, shared_cloud

pytestmark = pytest.mark.timeout(500)

ENDLESS = 10_000
VARYING = ("events", "pods", "replicasets", "endpoints", "secrets")
"""Objects whose names or numbers differ from run to run; helm's records are among the Secrets."""

DEFAULT_OBJECTS = ("kube-root-ca.crt", "default")
"""Objects that Kubernetes creates in every namespace."""


@dataclass
class Killer:
    """Passes so many writes to AWS and to Kubernetes; then every request fails.

    The writes of helm do not count: there are other tests of a killed helm.
    """

    left: int = ENDLESS
    dead: bool = False
    writes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, *, write: bool) -> None:
        with self.lock:
            self.dead = self.dead or (write and self.left == 0)
            if self.dead:
                for process in helms():
                    with suppress(ProcessLookupError):  # it has ended meanwhile
                        os.kill(process, signal.SIGKILL)
                raise ConnectionResetError
            if write:
                self.left -= 1
                self.writes += 1

    def reset(self, left: int = ENDLESS) -> None:
        self.left, self.dead, self.writes = left, False, 0


def do_not_wait(patch: pytest.MonkeyPatch) -> None:
    """Let a killed script end at once, instead of trying again."""
    patch.setattr("aws_setup.openwhisk.release.OTHER_RUN", 0.2)
    impatient = replace(SERVER_RESTARTING, deadline=0.0)
    patch.setattr("aws_setup.kube.replies.SERVER_RESTARTING", impatient)
    patch.setenv("AWS_MAX_ATTEMPTS", "1")


def killer_in(zoo: Lab, patch: pytest.MonkeyPatch) -> Killer:
    """Let every request to AWS and Kubernetes pass a killer."""
    killer, in_aws, in_kubernetes = Killer(), zoo.cloud.handle, zoo.api.answer

    def handle(request: Any) -> Any:
        try:
            killer.passes(write=not request.call.reads)
        except ConnectionResetError:
            raise ConnectionDropped from None
        return in_aws(request)

    def answer(request: Any) -> Any:
        killer.passes(write=request.method != "GET" and not request.agent.startswith("Helm"))
        return in_kubernetes(request)

    patch.setattr(zoo.cloud, "handle", handle)
    patch.setattr(zoo.api, "answer", answer)
    return killer


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    do_not_wait(monkeypatch)
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


@pytest.fixture
def killer(zoo: Lab, monkeypatch: pytest.MonkeyPatch) -> Killer:
    return killer_in(zoo, monkeypatch)


@dataclass(frozen=True)
class Incomplete(World):
    """A deployment of which the script was killed, and what existed before that."""

    zoo: Lab
    before: Counter[tuple[str, str]]


@pytest.fixture(scope=SHARED, params=[5, 15, 26])
def killed_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Incomplete]:
    """A run that was killed after so many writes."""
    with shared_cloud() as cloud, pytest.MonkeyPatch.context() as patch:
        do_not_wait(patch)
        folder = tmp_path_factory.mktemp("world") / "laptop"
        with lab(cloud, folder, patch, full=True) as zoo:
            killer, before = killer_in(zoo, patch), shape(zoo)
            assert not cut(zoo, killer, "configure", left=request.param)
            yield Incomplete(cloud, folder, zoo, before)


@pytest.fixture
def incomplete(killed_run: Incomplete, monkeypatch: pytest.MonkeyPatch) -> Incomplete:
    killed_run.enter(monkeypatch)
    return killed_run


def shape(zoo: Lab) -> Counter[tuple[str, str]]:
    """Return how many resources of each kind exist in AWS and how many objects in Kubernetes.

    The run lock stays with a deployment; it goes with the last of it (test_create.py).
    """
    items = [item for item in zoo.cloud.snapshot() if item.kind != "parameter"]
    resources = ((item.kind, item.tags.get("lambda-fs:step", "")) for item in items)
    objects = [
        (plural, "")
        for plural, namespace, name in (() if zoo.api.closing else zoo.api.state.objects)
        if plural not in VARYING and name not in DEFAULT_OBJECTS and "kube-" not in namespace + name
    ]
    certificates = client("iam").list_server_certificates()["ServerCertificateMetadataList"]
    return Counter([*resources, *objects, *(("server certificate", "") for _ in certificates)])


def cut(zoo: Lab, killer: Killer, *words: str, left: int) -> bool:
    """Run the script, killed after some writes; say whether it ended before that."""
    killer.reset(left)
    result = zoo.run(*words, code=None)
    killer.reset()
    return bool(result["result"] == "ok")


def in_pieces(zoo: Lab, killer: Killer, verb: str) -> int:
    """Run the script again and again, each time killed two writes later; returns how often."""
    for runs in range(1, 20):
        if cut(zoo, killer, verb, left=2 * runs - 1):
            return runs
    raise AssertionError(f"the script does not end: {zoo.stderr}")


def test_a_deployment_created_in_pieces_is_the_same_and_is_deleted_in_pieces(
    zoo: Lab, killer: Killer
) -> None:
    empty = shape(zoo)
    assert in_pieces(zoo, killer, "configure") > 3
    made = shape(zoo)
    assert release_of(zoo)["status"] == "deployed"
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    assert in_pieces(zoo, killer, "destroy") > 2
    assert shape(zoo) - empty == Counter(), dict(shape(zoo) - empty)
    zoo.run("configure")
    assert shape(zoo) == made


def test_a_namespace_without_its_secret_is_deleted_too(zoo: Lab) -> None:
    fault = {"fault": "status", "status": 422, "verb": "create", "resource": "secrets", "times": 9}
    zoo.api.faults.add(fault)
    zoo.run("configure", code=1)
    assert zoo.api.state.get("namespaces", "openwhisk") is not None
    zoo.api.faults.clear()
    assert zoo.run("destroy")["leftovers"] == []
    assert zoo.api.state.get("namespaces", "openwhisk") is None


@pytest.mark.parametrize("how", ["alive", "without its cluster", "with its cluster"])
def test_an_incomplete_deployment_is_destroyed(incomplete: Incomplete, how: str) -> None:
    zoo = incomplete.zoo
    if how == "without its cluster":
        end_cluster()
    result = zoo.destroy_everything() if how == "with its cluster" else zoo.run("destroy")
    assert result["leftovers"] == []
    assert shape(zoo) - incomplete.before == Counter()


def end_cluster() -> None:
    """Delete node groups and cluster without what Kubernetes created, as in the console."""
    eks = client("eks")
    for group in eks.list_nodegroups(clusterName="zoo")["nodegroups"]:
        eks.delete_nodegroup(clusterName="zoo", nodegroupName=group)
    eks.delete_cluster(name="zoo")
