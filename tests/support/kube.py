"""An emulated Kubernetes API server for tests, its clients, and a clock without time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from aws_setup.errors import SetupError
from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.demo.helm import BINARY_PACKAGES, helm_or_kubectl_path
from aws_setup.rehearsal.kubernetes.server import KubeApiServer

GP3: dict[str, Any] = {
    "metadata": {
        "name": "gp3",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "ebs.csi.aws.com",
    "volumeBindingMode": "WaitForFirstConsumer",
}


@pytest.fixture
def kube() -> Iterator[KubeApiServer]:
    """Serve a cluster with nodes of both roles and gp3, in which no operation takes time."""
    with KubeApiServer() as api:
        furnish(api)
        yield api


@pytest.fixture
def slow_kube() -> Iterator[KubeApiServer]:
    """Serve such a cluster on a clock that a test advances: `api.clock.advance(seconds)`."""
    with KubeApiServer(clock=ManualClock()) as api:
        furnish(api)
        yield api


def furnish(api: KubeApiServer) -> None:
    """Add one core node, two invoker nodes and the default StorageClass gp3 to a cluster."""
    api.add_node("core-0", openwhisk_role="core")
    api.add_node("invoker-0", openwhisk_role="invoker")
    api.add_node("invoker-1", zone="us-east-1b", openwhisk_role="invoker")
    api.state.put("storageclasses", GP3)


def pass_time(api: KubeApiServer, seconds: float) -> None:
    """Advance the clock of a slow cluster and run everything that is due then."""
    assert isinstance(api.clock, ManualClock)
    api.clock.advance(seconds)
    api.tick()


def connect(api: KubeApiServer, *, token: str = "any") -> Any:
    """Return the official client's ApiClient for a cluster."""
    return library_client(api.url, api.ca_pem, token)


def library_client(url: str, authority: str, token: str) -> Any:
    """Return the official client's ApiClient for a URL and a CA (PEM text).

    From a kubeconfig the library would write the CA to a temporary file, which a fork would keep.
    """
    settings = client.Configuration(
        host=url, ca_cert_data=authority, api_key={"authorization": f"Bearer {token}"}
    )
    return client.ApiClient(settings)


def core(api: KubeApiServer) -> Any:
    """Return the official client of the core group."""
    return client.CoreV1Api(connect(api))


class StillClock:
    """A clock that passes in sleeps only; `slept` are their seconds.

    A test may set `on_sleep` to what happens meanwhile.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.seconds

    def today(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        self.on_sleep()


HELM = tuple(BINARY_PACKAGES)
"""The versions of helm on PyPI that the tests use."""


def tool(name: str, helm: str = "4.1") -> Path:
    """Return the path of `helm` or `kubectl`; skips the test when PyPI does not provide it.

    With the environment variable CI set, that is a failure.
    """
    try:
        return helm_or_kubectl_path(name, helm=helm)
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
