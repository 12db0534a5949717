"""What others run in OpenWhisk's namespace, and what Kubernetes leaves of pods that it evicted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import steps_of
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)

SPACE = "openwhisk"
IMAGE = {"spec": {"containers": [{"name": "x", "image": "theirs:1"}]}}
SELECTED = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": IMAGE}
ENDED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource"}


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def put(zoo: Lab, plural: str, name: str, **more: Any) -> None:
    """Make an object in OpenWhisk's namespace; nothing of the cluster acts on it."""
    zoo.api.state.put(plural, {"metadata": {"name": name, "namespace": SPACE}, **more})


def pod_of(zoo: Lab, part: str) -> Any:
    """Return a pod of OpenWhisk."""
    return next(it for it in zoo.api.state.all("pods") if part in it["metadata"]["name"])


def test_what_others_run_in_the_namespace_is_neither_waited_for_nor_deleted(zoo: Lab) -> None:
    zoo.run("configure")
    put(zoo, "jobs", "nightly", spec={"template": IMAGE}, status={"conditions": [ENDED]})
    put(zoo, "pods", "debug", spec=IMAGE["spec"], status={"phase": "Pending"})
    put(zoo, "pods", "wskother", spec=IMAGE["spec"], status={"phase": "Pending"})
    put(zoo, "persistentvolumeclaims", "theirs", spec={}, status={"phase": "Pending"})
    put(zoo, "deployments", "theirs", spec=SELECTED, status={"observedGeneration": 0})
    writes = zoo.writes()
    zoo.run("configure")
    assert zoo.writes() == writes
    assert "nightly" in zoo.objects("jobs"), "its logs are not ours to delete"
    assert "debug" not in zoo.stderr
    assert steps_of(zoo.run("status"))["openwhisk ready"]["state"] == "ready"


def test_a_pod_that_was_evicted_and_replaced_blocks_nothing(zoo: Lab) -> None:
    zoo.run("configure")
    for part in ("nginx", "invoker", "couchdb"):
        pod = pod_of(zoo, part)
        evicted = {**pod["metadata"], "name": f"{pod['metadata']['name']}-evicted", "uid": "e"}
        evicted["ownerReferences"] = [{**pod["metadata"]["ownerReferences"][0], "controller": True}]
        zoo.api.state.put("pods", {**pod, "metadata": evicted, "status": EVICTED})
    writes = zoo.writes()
    zoo.run("configure")
    assert zoo.writes() == writes
    assert steps_of(zoo.run("status"))["openwhisk ready"]["state"] == "ready"


def test_a_pod_without_a_controller_that_was_evicted_is_made_again(zoo: Lab) -> None:
    zoo.run("configure")
    pod = pod_of(zoo, "wskadmin")
    zoo.api.state.set_status("pods", pod, EVICTED)
    ready = steps_of(zoo.run("plan"))["openwhisk ready"]
    assert "Evicted The node was low on resource" in str(ready)
    zoo.run("configure")
    again = pod_of(zoo, "wskadmin")
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    assert again["status"]["phase"] == "Running"
    assert "pod owdev-wskadmin failed; re-creating it" in zoo.stderr
