"""The run lock where the Parameter Store does not answer: never, or no longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from botocore import exceptions as no_answer

from aws_setup.aws.run_lock import RunLock
from aws_setup.aws.session import Aws
from aws_setup.config import Config

pytestmark = [pytest.mark.kind("A6"), pytest.mark.usefixtures("cloud")]

URL = "https://ssm.us-east-1.amazonaws.com"
FORBIDDEN = urllib3.exceptions.ProxyError("no", OSError("Tunnel connection failed: 403 Forbidden"))
SILENT: list[tuple[type[Exception], dict[str, Any]]] = [
    (no_answer.EndpointConnectionError, {"endpoint_url": URL}),
    (no_answer.ConnectTimeoutError, {"endpoint_url": URL}),
    (no_answer.ReadTimeoutError, {"endpoint_url": URL}),
    (no_answer.ConnectionClosedError, {"endpoint_url": URL}),
    (no_answer.SSLError, {"endpoint_url": URL, "error": OSError("self-signed certificate")}),
    (no_answer.ProxyConnectionError, {"proxy_url": "http://p:3128", "error": FORBIDDEN}),
]
"""Classes and their arguments: an exception that was raised keeps the frames of its test."""


@pytest.fixture
def aws() -> Iterator[Aws]:
    """A session with the cloud."""
    session = Aws(region="us-east-1")
    yield session
    session.close()


def observed(aws: Aws) -> RunLock:
    """Return the lock of a new run that has looked at it."""
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem", aws_region="us-east-1")
    lock = RunLock(aws, config, verb="create")
    lock.observe()
    return lock


@pytest.mark.parametrize(("kind", "words"), SILENT, ids=[kind.__name__ for kind, _ in SILENT])
def test_a_parameter_store_that_never_answers_is_no_failure(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], words: dict[str, Any]
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    def lost(**_: Any) -> None:
        raise kind(**words)

    aws.ssm.meta.events.register("before-send.*", lost)
    lock = observed(aws)
    lock.acquire()
    lock.check()
    assert not lock.held
    assert "ssm" in lock.unavailable or "403 Forbidden" in lock.unavailable


@pytest.mark.parametrize(("kind", "words"), SILENT, ids=[kind.__name__ for kind, _ in SILENT])
def test_a_lock_that_was_seen_is_not_passed_by_when_the_network_breaks(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], words: dict[str, Any]
) -> None:
    """Another run may take it meanwhile, and a lock whose answer was lost may be this run's."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lock = observed(aws)

    def lost(**_: Any) -> None:
        raise kind(**words)

    aws.ssm.meta.events.register("before-send.*", lost)
    with pytest.raises(kind):
        lock.acquire()
    assert not lock.unavailable
