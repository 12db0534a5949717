"""The second script with real helm 3 and 4: killed, missing, with edits by hand and other runs."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import CoreV1Api

import configure_eks_cluster
from aws_setup.engine.temporary_files import OUTLIVING_SECONDS
from aws_setup.engine.wait import Pending
from aws_setup.kube.eks_token import PREFIX
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import release_of
from tests.support.cluster import ConfiguredLab, Lab, configured_lab, helms, lab
from tests.support.copies import SHARED
from tests.support.kube import connect

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=["3.17", "4.3"])
def zoo(
    cloud: RehearsalCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Lab]:
    monkeypatch.setattr("aws_setup.openwhisk.release.OTHER_RUN", 0.2)
    with lab(cloud, tmp_path / "laptop", monkeypatch, helm=request.param) as made:
        yield made


def kill_helm(zoo: Lab, patch: pytest.MonkeyPatch, methods: str, resource: str) -> None:
    """Kill helm at its first request of that kind, before it receives the answer.

    helm 3 creates objects with POST, helm 4 with PATCH.
    """
    plain = zoo.api.answer

    def answer(request: Any) -> Any:
        if (
            request.agent.startswith("Helm")
            and request.fault_key[1] == resource
            and request.method in methods.split()
        ):
            for process in helms():
                with suppress(ProcessLookupError):  # another of its requests has killed it
                    os.kill(process, signal.SIGKILL)
        return plain(request)

    patch.setattr(zoo.api, "answer", answer)


def test_the_next_run_cleans_up_after_a_killed_helm_operation(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_helm(zoo, patch, "POST PATCH", "deployments")
        problem = zoo.run("configure", code=1)["problems"][0]
    assert "killed by signal 9" in problem["why"]
    assert "run the same command again" in problem["hint"]
    assert release_of(zoo)["status"] == "pending-install"
    keys = zoo.api.state.require("secrets", "owdev-lambda-fs", "openwhisk")["data"]
    zoo.run("configure")
    assert "found an interrupted helm operation (pending-install); cleaning up" in zoo.stderr
    assert release_of(zoo)["status"] == "deployed"
    now = zoo.api.state.require("secrets", "owdev-lambda-fs", "openwhisk")["data"]
    assert {name: now[name] for name in keys} == keys

    file = zoo.folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"image": "rehearsal/part:2"}))
    zoo.save(openwhisk_values=str(file))
    with monkeypatch.context() as patch:
        kill_helm(zoo, patch, "POST PATCH", "jobs")
        zoo.run("configure", code=1)
    assert release_of(zoo)["status"] == "pending-upgrade"
    zoo.run("configure")
    assert "found an interrupted helm operation (pending-upgrade); cleaning up" in zoo.stderr
    assert release_of(zoo)["status"] == "deployed"
    job = zoo.api.state.require("jobs", "owdev-install-packages", "openwhisk")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "rehearsal/part:2"
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}

    with monkeypatch.context() as patch:
        kill_helm(zoo, patch, "DELETE", "statefulsets")
        result = zoo.run("destroy", code=3)
    assert any("killed by signal 9" in item["why"] for item in result["problems"])
    assert release_of(zoo)["status"] == "uninstalling"
    assert zoo.run("destroy")["leftovers"] == []
    gone(zoo)


def gone(zoo: Lab) -> None:
    """Check that Kubernetes contains nothing of OpenWhisk any more."""
    assert zoo.api.state.get("namespaces", "openwhisk") is None
    kinds = ("deployments", "statefulsets", "jobs", "services", "secrets", "configmaps")
    for plural in (*kinds, "pods", "persistentvolumeclaims"):
        assert zoo.objects(plural) == [], plural
    assert zoo.objects("persistentvolumes", "") == []


def test_destroy_without_helm_deletes_every_kind_of_the_chart(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as zoo:
        empty = {kind: zoo.objects(kind, "") for kind in ("clusterroles", "clusterrolebindings")}
        zoo.run("configure")
        without_helm(zoo)
        for plural in ("roles", "rolebindings", "serviceaccounts", "daemonsets"):
            assert zoo.objects(plural) == [], plural
        assert {kind: zoo.objects(kind, "") for kind in empty} == empty


def test_destroy_with_a_full_temporary_folder_deletes_what_is_billed(
    configured_zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", full)
    configured_zoo.run("destroy")
    assert "the temporary folder: deleting the release's objects" in configured_zoo.stderr
    assert configured_zoo.objects("statefulsets") == []


def without_helm(zoo: Lab) -> None:
    """Destroy without helm, and check that nothing remains."""
    (zoo.folder / "bin" / "helm").unlink()
    assert zoo.run("destroy")["leftovers"] == []
    assert "helm is missing: deleting the release's objects one by one" in zoo.stderr
    gone(zoo)


def test_the_helm_of_a_killed_run_continues_and_the_next_run_waits_for_it(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as zoo:
        script = Path(configure_eks_cluster.__file__)
        command = [sys.executable, str(script), "-y", "config_aws.yaml", "--yes"]
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setenv("TMPDIR", str(temporary))
        monkeypatch.setattr("tempfile.tempdir", str(temporary))
        with (
            subprocess.Popen(command, cwd=zoo.folder, stderr=subprocess.DEVNULL) as process,
            monkeypatch.context() as patch,
        ):
            slow_helm(zoo, patch, process)
            assert process.wait(timeout=200) == -signal.SIGKILL
            assert [path.suffix for path in temporary.iterdir()] == [".for-program"]
            zoo.run("configure")
        assert "pending-install: waiting for another run to end" in zoo.stderr
        assert "cleaning up" not in zoo.stderr
        assert release_of(zoo)["status"] == "deployed"
        (token,) = temporary.iterdir()
        long_ago = time.time() - OUTLIVING_SECONDS - 1
        os.utime(token, (long_ago, long_ago))
        assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
        assert list(temporary.iterdir()) == [], "that helm has ended: its token is deleted"


def slow_helm(zoo: Lab, patch: pytest.MonkeyPatch, process: subprocess.Popen[bytes]) -> None:
    """Kill the script once its helm creates objects; that helm has no answer until a run waits."""
    plain, waits = zoo.api.answer, threading.Event()

    def pending(text: str) -> Pending:
        waits.set()
        return Pending(text)

    def answer(request: Any) -> Any:
        writes = request.agent.startswith("Helm") and request.method != "GET"
        if writes and request.fault_key[1] != "secrets":
            process.kill()
            assert waits.wait(200)
        return plain(request)

    patch.setattr(zoo.api, "answer", answer)
    patch.setattr("aws_setup.openwhisk.release.Pending", pending)


@pytest.fixture(scope=SHARED)
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfiguredLab]:
    """A cluster that was configured with helm 4, of which each of the next tests has a copy."""
    with configured_lab(tmp_path_factory.mktemp("world") / "laptop", helm="4.3") as made:
        yield made


@pytest.fixture
def configured_zoo(configured: ConfiguredLab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("aws_setup.openwhisk.release.OTHER_RUN", 0.2)
    return configured.enter_lab(monkeypatch)


def uninstall_in_part(zoo: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt a destroy while helm uninstalls."""
    with monkeypatch.context() as patch:
        kill_helm(zoo, patch, "DELETE", "statefulsets")
        zoo.run("destroy", code=3)


def test_configure_reinstalls_a_partly_uninstalled_release(
    configured_zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = configured_zoo
    uninstall_in_part(zoo, monkeypatch)
    assert release_of(zoo)["status"] == "uninstalling"
    zoo.run("configure")
    assert "found an interrupted helm operation (uninstalling)" in zoo.stderr
    assert release_of(zoo)["status"] == "deployed"


@contextmanager
def slow_pods(zoo: Lab, patch: pytest.MonkeyPatch, name: str) -> Iterator[list[str]]:
    """Keep a deleted volume claim for some looks, as a pod does that has its grace period."""
    state, plain = zoo.api.state, zoo.api.answer
    claim = state.require("persistentvolumeclaims", name, "openwhisk")
    metadata = claim["metadata"] | {"finalizers": ["example.com/pod-ends"]}
    state.put("persistentvolumeclaims", claim | {"metadata": metadata})
    looks: list[str] = []

    def answer(request: Any) -> Any:
        held = state.get("persistentvolumeclaims", name, "openwhisk")
        if held and "deletionTimestamp" in held["metadata"]:
            looks.append(request.agent)
            if len(looks) == 60:
                state.remove("persistentvolumeclaims", held)
        return plain(request)

    with patch.context() as inner:
        inner.setattr(zoo.api, "answer", answer)
        yield looks


def test_a_reinstalled_release_waits_for_the_dying_claim_and_initialises_the_new_database(
    configured_zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, claims = configured_zoo, "persistentvolumeclaims"
    uninstall_in_part(zoo, monkeypatch)
    old = zoo.api.state.require(claims, "owdev-couchdb-pvc", "openwhisk")["metadata"]
    assert old["annotations"]["lambda-fs/database"] == "initialised"
    wipes: list[str] = []
    monkeypatch.setattr(zoo.whisk, "wipe", lambda: wipes.append("initialised"))
    with slow_pods(zoo, monkeypatch, "owdev-couchdb-pvc") as looks:
        zoo.run("configure")
    assert len(looks) >= 60, "it was waited for"
    new = zoo.api.state.require(claims, "owdev-couchdb-pvc", "openwhisk")["metadata"]
    assert new["uid"] != old["uid"]
    assert "deletionTimestamp" not in new
    assert "leaving out the job owdev-init-couchdb" not in zoo.stderr
    assert wipes == ["initialised"]
    assert new["annotations"]["lambda-fs/database"] == "initialised"


def test_an_upgrade_overwrites_fields_that_were_edited_by_hand(configured_zoo: Lab) -> None:
    zoo = configured_zoo
    v1 = CoreV1Api(connect(zoo.api, token=f"{PREFIX}any"))
    edit = {"data": {"whisk_api_host_name": "by-hand.example.com", "whisk_action_memory_max": "1m"}}
    v1.patch_namespaced_config_map("owdev-whisk.config", "openwhisk", edit)
    file = zoo.folder / "mine.yaml"
    file.write_text(
        yaml.safe_dump({"whisk": {"limits": {"actions": {"memory": {"max": "9000m"}}}}})
    )
    zoo.save(openwhisk_values=str(file))
    zoo.run("configure")
    data = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")["data"]
    assert data["whisk_action_memory_max"] == "9000m"
    zoo.run("configure")


def test_destroy_without_helm_completes_an_interrupted_uninstallation(
    configured_zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = configured_zoo
    uninstall_in_part(zoo, monkeypatch)
    without_helm(zoo)
