"""Fixtures of the rehearsal cloud; a test module imports those that it wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_setup.rehearsal.clock import ManualClock
from aws_setup.rehearsal.server import RehearsalCloud, serve
from aws_setup.rehearsal.settings import Settings


@pytest.fixture
def settings() -> Settings:
    """The settings of the test's cloud; a module or a test overrides it."""
    return Settings(speed=0)


@pytest.fixture
def cloud(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[RehearsalCloud]:
    """A cloud of the test's own, in which every delay is nothing; boto3 talks to it."""
    with serve(settings) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        monkeypatch.setenv("AWS_SETUP_PACE", "0")
        yield running


@pytest.fixture
def slow_cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[RehearsalCloud]:
    """A cloud with real delays, whose clock the test moves by `slow_cloud.clock.advance`."""
    with serve(Settings(), clock=ManualClock()) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def client(service: str, region: str = "us-east-1") -> Any:
    """Return a boto3 client that does not retry, so that a test sees each error."""
    once = Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=40)
    return boto3.client(service, region_name=region, config=once)  # type: ignore[call-overload]


def refused(call: Any, **params: Any) -> str:
    """Return the code with which AWS refuses a call; the test fails when it does not."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])
