"""configure_eks_cluster.py while the API server restarts, tokens expire, and AWS sessions end."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.auth
import pytest

from aws_setup.config.version import USER_AGENT
from aws_setup.engine.retry import SERVER_RESTARTING
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.scripts.test_configure import release_of, steps_of
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)

WAITS = "the cluster's API server does not answer: waiting for it"


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def check_deployed(zoo: Lab) -> None:
    """Check that OpenWhisk is deployed and that nothing remains to be done."""
    assert release_of(zoo)["status"] == "deployed"
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def test_waits_and_writes_continue_when_the_api_server_restarts(zoo: Lab) -> None:
    for verb, resource in (
        ("create", "namespaces"),
        ("create", "persistentvolumeclaims"),
        ("list", "jobs"),
        ("update", "configmaps"),
    ):
        down = {"fault": "down", "seconds": 0.4, "verb": verb, "resource": resource}
        zoo.api.faults.add(down | {"agent": USER_AGENT})
    busy = {"fault": "status", "status": 503, "verb": "list", "resource": "pods", "times": 12}
    zoo.api.faults.add(busy)
    result = steps_of(zoo.run("configure"))
    assert "openwhisk api" in result
    for step in ("openwhisk keys", "storage probe", "openwhisk ready"):
        assert re.search(f"{step}: {WAITS}", zoo.stderr), (step, zoo.stderr)
    assert "API server answers 503: waiting for it" in zoo.stderr
    zoo.api.faults.clear()
    check_deployed(zoo)


def test_helm_is_started_again_when_the_api_server_restarts(zoo: Lab) -> None:
    down = {"fault": "down", "seconds": 0.5, "verb": "create", "resource": "services"}
    zoo.api.faults.add(down | {"agent": "Helm*"})
    zoo.run("configure")
    assert "helm lost the connection to the API server" in zoo.stderr
    zoo.api.faults.clear()
    assert release_of(zoo)["status"] == "deployed"
    zoo.api.faults.add(down | {"agent": "Helm*", "verb": "delete", "resource": "deployments"})
    assert zoo.run("destroy")["leftovers"] == []
    assert "helm lost the connection to the API server" in zoo.stderr
    assert zoo.api.state.get("namespaces", "openwhisk") is None


def test_a_run_fails_at_a_lasting_outage_and_the_next_run_resumes(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = {"fault": "status", "status": 429, "retry_after": 5, "times": 100_000}
    zoo.api.faults.add(busy | {"verb": "create", "resource": "namespaces"})
    (problem,) = zoo.run("configure", "--only", "openwhisk keys", code=1)["problems"]
    assert "429" in problem["what"] + problem["why"]
    zoo.api.faults.clear()
    impatient = replace(SERVER_RESTARTING, deadline=0.5)
    monkeypatch.setattr("aws_setup.kube.replies.SERVER_RESTARTING", impatient)
    timers = timers_of(monkeypatch)
    down = {"fault": "down", "seconds": 600, "verb": "create", "resource": "namespaces"}
    zoo.api.faults.add(down)
    result = zoo.run("configure", code=1)
    what = [problem["what"] for problem in result["problems"]]
    # Which of the parallel steps meets the outage first is not certain.
    assert any("the cluster's API server does not answer" in text for text in what)
    for timer in timers:
        timer.cancel()
        timer.function(*timer.args)
    zoo.run("configure")
    assert release_of(zoo)["status"] == "deployed"


def timers_of(monkeypatch: pytest.MonkeyPatch) -> list[threading.Timer]:
    """Return the list of the timers that are started from now on: of an outage's end."""
    made: list[threading.Timer] = []

    class Recorded(threading.Timer):
        def start(self) -> None:
            made.append(self)
            super().start()

    monkeypatch.setattr(threading, "Timer", Recorded)
    return made


class PolledTime:
    """A calendar and a clock that only the script's polls of the invokers advance."""

    def __init__(self) -> None:
        self.born, self.seconds = datetime.now(UTC), 0.0

    def now(self) -> datetime:
        return self.born + timedelta(seconds=self.seconds)

    def naive(self, *_: object, **__: object) -> datetime:
        return self.now().replace(tzinfo=None)


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> PolledTime:
    """Date signatures by a calendar that the script's polls advance."""
    made = PolledTime()
    monkeypatch.setattr(botocore.auth, "get_current_datetime", made.naive)
    return made


@pytest.mark.parametrize("renewed", ["when refused", "before its end"])
def test_a_token_that_expires_in_a_wait_is_renewed(
    zoo: Lab, polled: PolledTime, monkeypatch: pytest.MonkeyPatch, renewed: str
) -> None:
    assert isinstance(zoo.hooks, EksApiServers)
    monkeypatch.setattr(zoo.hooks, "_now", polled.now)
    if renewed == "before its end":
        plain = SystemClock.now
        monkeypatch.setattr(SystemClock, "now", lambda clock: plain(clock) + polled.seconds)
    hold(zoo, monkeypatch, polled)
    zoo.run("configure")
    expired = [why for why in zoo.hooks.refusals if why.startswith("expired")]
    assert bool(expired) == (renewed == "when refused"), zoo.hooks.refusals
    assert release_of(zoo)["status"] == "deployed"


def hold(zoo: Lab, monkeypatch: pytest.MonkeyPatch, polled: PolledTime) -> None:
    """Keep an invoker from getting ready for 24 minutes, of which each listing takes two."""
    zoo.api.faults.add({"fault": "pod-not-ready", "pod": "owdev-invoker-1"})
    plain = zoo.api.answer

    def answer(request: Any) -> Any:
        if request.path.endswith("/statefulsets") and request.agent == USER_AGENT:
            polled.seconds += 120
            if polled.seconds > 24 * 60:
                zoo.api.faults.clear()
        return plain(request)

    monkeypatch.setattr(zoo.api, "answer", answer)


@pytest.mark.parametrize("where", ["in AWS", "in Kubernetes", "under helm"])
def test_an_expired_session_is_reported_and_the_next_run_resumes(
    zoo: Lab, cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with monkeypatch.context() as patch:
        end_session(zoo, cloud, patch, where)
        result = zoo.run("configure", code=1)
    assert result["problems"]
    whys = {problem["why"] for problem in result["problems"]}
    assert whys == {"your AWS session has expired"}, result["problems"]
    assert {problem["hint"].split(" (")[0] for problem in result["problems"]} == {"log in again"}
    cloud.settings.credentials = "valid"
    monkeypatch.setattr("aws_setup.openwhisk.release.OTHER_RUN", 0.2)
    zoo.run("configure")
    assert release_of(zoo)["status"] == "deployed"


def end_session(zoo: Lab, cloud: RehearsalCloud, patch: pytest.MonkeyPatch, where: str) -> None:
    """Let the credentials expire after some writes in AWS, in Kubernetes, or of helm."""
    agent = {"in Kubernetes": USER_AGENT, "under helm": "Helm"}.get(where)
    in_aws, in_kubernetes = cloud.handle, zoo.api.answer

    def handle(request: Any) -> Any:
        if not agent and cloud.calls.named("CreateNodegroup"):
            cloud.settings.credentials = "expired"
        return in_aws(request)

    def answer(request: Any) -> Any:
        if agent and request.method != "GET" and request.agent.startswith(agent):
            cloud.settings.credentials = "expired"
        return in_kubernetes(request)

    patch.setattr(cloud, "handle", handle)
    patch.setattr(zoo.api, "answer", answer)
