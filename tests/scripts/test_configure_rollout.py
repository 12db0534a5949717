"""The end of a run is about what runs after its changes, not about what ran before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import steps_of
from tests.support.cluster import Lab, lab

pytestmark = [pytest.mark.timeout(240), pytest.mark.kind("D1", "D2")]


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def change(zoo: Lab, tag: str) -> None:
    """Change what the controller's and the invokers' pods are made of."""
    file = zoo.folder / "mine.yaml"
    limits = {"actions": {"memory": {"max": f"5000{tag}m"}}}
    file.write_text(yaml.safe_dump({"whisk": {"limits": limits}}))
    zoo.save(openwhisk_values=str(file), openwhisk_invoker_image_tag=f"tag{tag}")


def revisions(zoo: Lab, name: str) -> list[str]:
    """Return the images of the pods of a workload."""
    pods = [p for p in zoo.api.state.all("pods", "openwhisk") if name in p["metadata"]["name"]]
    return [pod["spec"]["containers"][0]["image"] for pod in pods]


def test_done_means_that_the_changed_pods_run(zoo: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.run("configure")
    zoo.api.faults.add({"fault": "controllers-lag", "controller": "statefulsets", "requests": 90})
    change(zoo, "1")
    result = zoo.run("configure")
    assert set(revisions(zoo, "owdev-invoker")) == {"rehearsal/invoker:tag1"}
    assert "its controller has not seen the change yet" in zoo.stderr
    assert steps_of(result)["openwhisk api"]["state"] == "2 healthy invokers"

    # Nothing is placed any more: what is healthy is what ran before.
    zoo.api.faults.clear()
    zoo.api.faults.add({"fault": "controllers-stopped", "controller": "scheduler"})
    change(zoo, "2")
    with monkeypatch.context() as patch:
        plain = SystemClock.now
        patch.setattr(SystemClock, "now", lambda clock: plain(clock) * 600)
        result = zoo.run("configure", code=1)
    problem = result["problems"][0]
    assert "OpenWhisk becomes ready: not within 40 min" in problem["what"]
    assert "pod owdev-controller-0: Pending" in problem["why"]
    # What the plan saw of it is from before the change.
    assert steps_of(result)["openwhisk api"]["state"] is None
    zoo.api.faults.clear()
    zoo.run("configure")
    assert set(revisions(zoo, "owdev-invoker")) == {"rehearsal/invoker:tag2"}
