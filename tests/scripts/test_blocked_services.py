"""A proxy that lets through EC2, EKS and IAM, and not the services that runs go on without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.pause.deployment import SMALL, act
from tests.support.forward_proxy import ForwardProxy, forward_proxy, use_proxy
from tests.support.scripts import prepare

MACHINES: dict[str, Any] = {**SMALL, "create_eks_cluster": False}
LOCK = "two runs at once are not prevented"
DEADLINE = "nothing will stop this deployment by itself"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    """A proxy that forbids all it is asked for; the emulated cloud is not behind it."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with forward_proxy() as made:
        use_proxy(monkeypatch, made.url("ada:secret"), without="127.0.0.1,localhost")
        yield made


def block(monkeypatch: pytest.MonkeyPatch, service: str) -> str:
    """Let a service be behind the proxy; return its URL."""
    url = f"https://{service}.us-east-1.amazonaws.com"
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service.upper()}", url)
    return url


@pytest.mark.parametrize(("service", "what"), [("ssm", LOCK), ("scheduler", DEADLINE)])
def test_a_run_goes_on_without_a_service_that_the_proxy_forbids(
    cloud: RehearsalCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: ForwardProxy,
    service: str,
    what: str,
) -> None:
    folder = prepare(tmp_path / "work", **MACHINES)
    url = block(monkeypatch, service)
    words = ("create", "--only", "zookeeper")
    document = act(folder, *words)
    assert document["result"] == "ok"
    assert proxy.asked == [f"CONNECT {service}.us-east-1.amazonaws.com:443"] * len(proxy.asked)
    (warned,) = [one for one in document["warnings"] if one["what"] == what]
    assert url in warned["why"]
    assert "403 Forbidden" in warned["why"]
    assert "proxy" in warned["hint"]
    assert "secret" not in str(document)
    ended = act(folder, "destroy")
    assert ended["leftovers"] == []
    assert not cloud.store_of(Parameters)


def test_destroy_names_the_schedules_that_the_proxy_hides(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: ForwardProxy
) -> None:
    folder = prepare(tmp_path / "work", **MACHINES)
    act(folder, "create", "--only", "zookeeper")
    block(monkeypatch, "scheduler")
    document = act(folder, "destroy")
    (warned,) = document["warnings"]
    assert "schedule group lambda-fs-deadline exists is not known" in warned["what"]
    assert "403 Forbidden" in warned["why"]
    assert "aws scheduler delete-schedule-group --name lambda-fs-deadline" in warned["hint"]
    monkeypatch.delenv("AWS_ENDPOINT_URL_SCHEDULER")
    act(folder, "destroy")
    assert not cloud.store_of(ScheduleStore).groups
