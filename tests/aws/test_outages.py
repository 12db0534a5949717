"""A network that goes away between two calls: reads wait for it, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from socket import gaierror
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

from aws_setup.aws.outages import Outages
from aws_setup.aws.session import Aws
from aws_setup.errors import Interrupted

pytestmark = pytest.mark.usefixtures("cloud")


def unresolved() -> Exception:
    cause = NameResolutionError("ec2", HTTPConnection("ec2"), gaierror())
    return EndpointConnectionError(endpoint_url="https://ec2", error=cause)


def refused() -> Exception:
    cause = NewConnectionError(HTTPConnection("ec2"), "refused")
    cause.__cause__ = ConnectionRefusedError()
    return EndpointConnectionError(endpoint_url="https://ec2", error=cause)


@dataclass
class Network:
    """A network that is away for the next attempts, and the time that passes in pauses alone."""

    aws: Aws
    error: Callable[[], Exception] = unresolved
    away: int = 0
    seconds: float = 0.0
    attempts: int = 0
    notes: list[str] = field(default_factory=list)

    def send(self, **_: Any) -> None:
        self.attempts += 1
        if self.away:
            self.away -= 1
            raise self.error()

    def pause(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    for name in ("AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"):
        monkeypatch.delenv(name, raising=False)
    aws = Aws(region="us-east-1")
    made = Network(aws)
    aws.outages = Outages(now=lambda: made.seconds)
    aws.outages.note = made.notes.append
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=made.pause))
    aws.ec2.meta.events.register("before-send.*", made.send)
    yield made
    aws.close()


@pytest.mark.parametrize(
    "error", [unresolved, lambda: ConnectTimeoutError(endpoint_url="https://ec2")]
)
def test_a_read_waits_for_a_network_that_comes_back(
    network: Network, error: Callable[[], Exception]
) -> None:
    network.aws.ec2.describe_vpcs()
    network.error, network.away = error, 60
    assert network.aws.ec2.describe_vpcs()["Vpcs"] is not None
    assert 100 < network.seconds < 300
    assert network.notes == ["AWS cannot be reached: waiting for the network, up to 5 min."]
    network.away = 30
    network.aws.ec2.describe_vpcs()
    assert len(network.notes) == 2, "another outage is told of again"


def test_a_read_does_not_wait_for_ever(network: Network) -> None:
    network.aws.ec2.describe_vpcs()
    network.away = 1000
    with pytest.raises(EndpointConnectionError):
        network.aws.ec2.describe_vpcs()
    assert 300 <= network.seconds < 400


def test_before_the_first_answer_nothing_is_waited_for(network: Network) -> None:
    network.away = 1000
    with pytest.raises(EndpointConnectionError):
        network.aws.ec2.describe_vpcs()
    assert network.attempts == 9


def test_a_service_that_runs_go_on_without_is_given_up_soon(network: Network) -> None:
    scheduler = network.aws.scheduler
    scheduler.meta.events.register("before-send.*", network.send)
    network.error = lambda: ConnectTimeoutError(endpoint_url="https://scheduler")
    network.away = 1000
    with pytest.raises(ConnectTimeoutError):
        scheduler.list_schedules(GroupName="mine")
    assert network.attempts == 4
    network.away = 0
    scheduler.create_schedule_group(Name="mine")
    network.away = 30
    scheduler.list_schedules(GroupName="mine")
    assert network.seconds > 60, "once it has answered it is waited for as any other"


def test_neither_a_write_nor_a_server_that_refuses_is_waited_for(network: Network) -> None:
    network.aws.ec2.describe_vpcs()
    network.away = 1000
    with pytest.raises(EndpointConnectionError):
        network.aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")
    network.error = refused
    with pytest.raises(EndpointConnectionError):
        network.aws.ec2.describe_vpcs()
    assert network.attempts == 1 + 9 + 9
    assert network.notes == []


@pytest.mark.parametrize("call", ["describe_vpcs", "create_internet_gateway"])
def test_a_run_that_is_being_stopped_repeats_no_failed_call(network: Network, call: str) -> None:
    """With nine attempts of a minute each, Ctrl-C would have to be waited for."""
    network.aws.ec2.describe_vpcs()
    network.aws.outages.stopped = lambda: True
    assert network.aws.ec2.describe_vpcs()["Vpcs"] is not None, "one that succeeds is complete"
    network.away = 1000
    with pytest.raises(Interrupted):
        getattr(network.aws.ec2, call)()
    assert network.attempts == 3


@pytest.mark.parametrize("most", ["²", "9" * 5000, "0", "x"])
def test_a_wrong_number_of_attempts_leaves_the_run_lock_its_own(
    monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    aws = Aws(region="us-east-1")
    aws.ec2  # noqa: B018 -- botocore itself refuses such a variable at the first client
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", most)
    assert aws.ssm.meta.config.retries["total_max_attempts"] == 5
    aws.close()


def test_who_has_chosen_the_attempts_has_no_others(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    aws = Aws(region="us-east-1")
    aws.ec2.meta.events.register("before-send.*", network.send)
    aws.ec2.describe_vpcs()
    network.away = 1000
    with pytest.raises(EndpointConnectionError):
        aws.ec2.describe_vpcs()
    assert network.attempts == 1 + 2
    aws.close()
