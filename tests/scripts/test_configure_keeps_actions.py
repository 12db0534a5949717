"""What is registered in OpenWhisk survives every update, rollback and repair of its release.

The chart's job init-couchdb wipes the emulated OpenWhisk whenever its pod runs, as the real one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.openwhisk import one_time_jobs
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import release_of, steps_of
from tests.scripts.test_configure_helm import kill_helm
from tests.scripts.test_configure_status import eks_token
from tests.support.cluster import Lab, lab

pytestmark = [pytest.mark.timeout(300), pytest.mark.kind("B1")]

NAMES = [f"namenode{index}" for index in range(20)]


@pytest.fixture
def zoo(
    cloud: RehearsalCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Lab]:
    monkeypatch.setattr("aws_setup.openwhisk.release.OTHER_RUN", 0.2)
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True, helm=request.param) as made:
        yield made


def register(zoo: Lab) -> dict[str, Any]:
    """Register 20 actions of several versions; return them."""
    actions = {
        name: {"name": name, "version": f"0.0.{index}"} for index, name in enumerate(NAMES, 1)
    }
    zoo.whisk.store.actions.update(actions)
    return actions


def new_chart_version(zoo: Lab) -> None:
    path = zoo.folder / "chart" / "Chart.yaml"
    chart = yaml.safe_load(path.read_text())
    major = int(chart["version"].partition(".")[0])
    path.write_text(yaml.safe_dump(chart | {"version": f"{major + 1}.0.0"}))


def delete_jobs(zoo: Lab) -> None:
    """Delete the finished jobs, as a janitor or kubectl does."""
    for job in zoo.api.state.all("jobs", "openwhisk"):
        zoo.api.state.remove("jobs", job)


def other_values(zoo: Lab) -> None:
    """Change a value of which the jobs' templates depend."""
    file = zoo.folder / "mine.yaml"
    limit = {"max": f"{50_001 if file.exists() else 50_000}m"}
    file.write_text(yaml.safe_dump({"whisk": {"limits": {"actions": {"memory": limit}}}}))
    zoo.save(openwhisk_values=str(file))


def jobs_deleted_and_other_values(zoo: Lab) -> None:
    delete_jobs(zoo)
    other_values(zoo)


def fewer_nodes(zoo: Lab) -> None:
    zoo.save(num_openwhisk_invoker_vms=1)
    zoo.whisk.healthy = 1


def rollback(zoo: Lab) -> None:
    """Roll back as a user would; Kubernetes refuses the templates of the other jobs."""
    assert "field is immutable" in run_helm(zoo, "rollback", "owdev", str(oldest_revision(zoo)))


def rollback_without_jobs(zoo: Lab) -> None:
    """Roll back after the finished jobs were deleted: helm creates those that it knows."""
    delete_jobs(zoo)
    assert not run_helm(zoo, "rollback", "owdev", str(oldest_revision(zoo)))
    assert "owdev-init-couchdb" not in zoo.objects("jobs")


def oldest_revision(zoo: Lab) -> int:
    records = [one for one in zoo.api.state.all("secrets", "openwhisk") if "helm" in one["type"]]
    return min(int(one["metadata"]["labels"]["version"]) for one in records)


def run_helm(zoo: Lab, *words: str) -> str:
    """Run helm as a user would in a shell; return its error, '' without one."""
    kubeconfig = zoo.folder / "admin.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(zoo.api.kubeconfig(token=eks_token())))
    kubeconfig.chmod(0o600)
    program, reach = str(zoo.folder / "bin" / "helm"), ["--kubeconfig", str(kubeconfig)]
    command = [program, *words, "-n", "openwhisk", *reach]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def killed_upgrade(zoo: Lab) -> None:
    new_chart_version(zoo)
    with pytest.MonkeyPatch.context() as patch:
        kill_helm(zoo, patch, "POST PATCH", "statefulsets")
        zoo.run("configure", code=1)
    assert release_of(zoo)["status"] == "pending-upgrade"


def lost_marks(zoo: Lab) -> None:
    """Remove every mark, as after a restored backup of the objects."""
    for plural, name in (("persistentvolumeclaims", "owdev-couchdb-pvc"),):
        held = zoo.api.state.require(plural, name, "openwhisk")
        held["metadata"].pop("annotations", None)
        zoo.api.state.put(plural, held)
    delete_jobs(zoo)
    new_chart_version(zoo)


LOST = (
    ("configmaps", "ConfigMap owdev-whisk.config"),
    ("deployments", "Deployment owdev-redis"),
    ("pods", "Pod owdev-wskadmin"),
    ("rolebindings", "RoleBinding owdev-init"),
    ("secrets", "Secret owdev-db.auth"),
    ("serviceaccounts", "ServiceAccount owdev-init"),
    ("services", "Service owdev-couchdb"),
    ("statefulsets", "StatefulSet owdev-controller"),
)
"""Objects of the release, of every kind whose life is the release's."""


def lost_objects(zoo: Lab) -> None:
    """Delete objects of the release and its finished jobs: the plan names what is missing."""
    delete_jobs(zoo)
    for plural, title in LOST:
        held = zoo.api.state.require(plural, title.partition(" ")[2], "openwhisk")
        zoo.api.state.remove(plural, held)
    zoo.api.controllers.run()
    drift = steps_of(zoo.run("plan"))["openwhisk release"]["drift"]
    assert sorted(item["what"] for item in drift) == sorted(title for _, title in LOST)
    assert {item["has"] for item in drift} == {"missing"}


def check_no_object_is_lost(zoo: Lab) -> None:
    for plural, title in LOST:
        assert title.partition(" ")[2] in zoo.objects(plural)


PATHS: tuple[Callable[[Lab], None], ...] = (
    lost_objects,
    other_values,
    rollback,
    jobs_deleted_and_other_values,
    new_chart_version,
    rollback_without_jobs,
    killed_upgrade,
    fewer_nodes,
    lost_marks,
)

TO_HELM = (
    lost_objects,
    other_values,
    rollback,
    rollback_without_jobs,
    killed_upgrade,
)
"""Those in which what happens is up to helm: what it does with objects that are missing, that it
may not change, and that another helm, or a part of one, has left.

In the others the values of this tool and the marks in the cluster decide, for helm 3 as for 4.
"""


@pytest.mark.parametrize(
    ("zoo", "paths"), [("3.17", TO_HELM), ("4.3", PATHS)], indirect=["zoo"], ids=["3.17", "4.3"]
)
def test_what_is_registered_survives_every_path(
    zoo: Lab, paths: Sequence[Callable[[Lab], None]]
) -> None:
    zoo.run("configure")
    actions = register(zoo)
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    for path in paths:
        path(zoo)
        zoo.run("configure")
        assert zoo.whisk.store.actions == actions, path.__name__
        check_no_object_is_lost(zoo)
        assert release_of(zoo)["status"] == "deployed"
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


@pytest.mark.parametrize("zoo", ["3.17"], indirect=True)
def test_a_deployment_of_an_earlier_version_of_this_tool_keeps_its_actions(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(one_time_jobs, "protect", lambda ctx: None)
        zoo.run("configure")
    actions = register(zoo)
    # Without its marks and its jobs, and while no controller runs.
    delete_jobs(zoo)
    zoo.api.faults.add({"fault": "image-pull", "pod": "owdev-controller*"})
    for pod in zoo.api.state.all("pods", "openwhisk"):
        if pod["metadata"]["name"].startswith("owdev-controller"):
            zoo.api.state.remove("pods", pod)
    zoo.api.controllers.run()
    new_chart_version(zoo)
    drift = steps_of(zoo.run("plan"))["openwhisk release"]["drift"]
    assert "pods restart once" in drift[0]["wants"]
    zoo.api.faults.clear()
    zoo.run("configure")
    assert zoo.whisk.store.actions == actions
    assert zoo.objects("jobs") == ["owdev-gen-certs", "owdev-install-packages"]
    rollback_without_jobs(zoo)
    zoo.run("configure")
    assert zoo.whisk.store.actions == actions


@pytest.mark.parametrize("zoo", ["4.3"], indirect=True)
def test_a_first_initialisation_that_failed_or_was_cut_short_is_repeated(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.api.faults.add({"fault": "pod-crashes", "pod": "owdev-init-couchdb*"})
    with monkeypatch.context() as patch:
        kill_helm(zoo, patch, "POST PATCH", "jobs")
        zoo.run("configure", code=1)
    assert release_of(zoo)["status"] == "pending-install"
    assert "init-couchdb" in zoo.run("configure", code=1)["problems"][0]["what"]
    zoo.api.faults.clear()
    delete_jobs(zoo)
    zoo.run("configure")
    assert "owdev-init-couchdb" in zoo.objects("jobs")
    actions = register(zoo)
    new_chart_version(zoo)
    zoo.run("configure")
    assert zoo.whisk.store.actions == actions
    # A new volume is initialised again.
    zoo.run("destroy")
    zoo.run("configure")
    assert zoo.whisk.store.actions == {}
