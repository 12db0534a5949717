"""The vocabulary of a service module: a decoded call, an AWS error, and the cloud as it sees it.

A service module (registry.py lists them) may export any of these tables, keyed by
(service, action), and functions:

    ANSWERS         answers a call instead of moto
    BEFORE          rejects a call by raising AwsError, before anything is done
    AFTER           reads or changes in place the answer (a dictionary) and moto's state
    ADMIN_ROUTES    handlers below /_rehearsal, by (method, path)
    list_resources  lists the module's resources, for the snapshot
    start           is called once when a cloud starts
    check_call      rejects any call of a user by raising AwsError
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from aws_setup.rehearsal.core.clock import CloudClock
from aws_setup.rehearsal.core.settings import Settings

T = TypeVar("T")

Key = tuple[str, str]
"""botocore's service name and the action, such as ("ec2", "CreateVpc")."""


class AwsError(Exception):
    """An error as AWS answers it; `protocol` encodes it in the service's own format."""

    def __init__(
        self, code: str, message: str, *, status: int = 400, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Keep AWS's code, its message, the HTTP status and the error shape's other members."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.extra = dict(extra or {})


@dataclass(frozen=True)
class Call:
    """One API call, its parameters named as boto3 names them."""

    service: str
    action: str
    params: dict[str, Any]
    region: str
    account: str
    client: str = ""
    """The User-Agent of the caller."""
    access_key: str = ""

    @property
    def key(self) -> Key:
        """The key of this call in the tables of rules."""
        return self.service, self.action

    @property
    def reads(self) -> bool:
        """Whether the call changes nothing."""
        return self.action.startswith(READERS) or bool(self.params.get("DryRun"))


READERS = ("Describe", "List", "Get", "Simulate", "Search", "Lookup")
"""Prefixes of the actions that change nothing."""


@dataclass(frozen=True)
class Resource:
    """A resource of the cloud, as the snapshot lists it."""

    service: str
    kind: str
    id: str
    region: str
    state: str = ""
    bills: bool = False
    """Whether AWS charges for it by the hour or by the gigabyte."""
    tags: dict[str, str] = field(default_factory=dict)


class ServiceFaults(Protocol):
    """The faults that service modules inject themselves."""

    def no_capacity(self, zone: str, instance_type: str) -> bool:
        """Return whether a zone has no capacity for an instance type."""

    def launch_failure(self, instance_type: str) -> tuple[str, str] | None:
        """Return code and message with which a machine ends while it starts; None: it runs."""

    def resource_failure(self, kind: str, name: str) -> tuple[str, str] | None:
        """Return code and message with which a new resource fails; None: it becomes usable."""

    def health_issues(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the health issues of a cluster or node group, as EKS shows them."""

    def out_of_service(self, name: str) -> str:
        """Return why the instances of a load balancer are out of service; '' without a fault."""

    def stuck(self, kind: str) -> str:
        """Return the state in which a kind of a VM's parts stays; '' without a fault."""

    def leaves_interfaces(self) -> bool:
        """Return whether deleted node groups leave network interfaces."""


class CloudApi(Protocol):
    """The cloud as a service module uses it; `core.dispatch.Cloud` implements it."""

    settings: Settings
    clock: CloudClock
    latencies: dict[str, float]

    @property
    def faults(self) -> ServiceFaults:
        """The active faults."""

    def backend(self, service: str, region: str = "us-east-1") -> Any:
        """Return moto's backend of a service in a region."""

    def store_of(self, kind: type[T]) -> T:
        """Return the one object of a class in which a module keeps its state."""

    def schedule(self, latency: str, transition: Any) -> None:
        """Apply `transition` after the delay of that name in the table of latencies."""

    def ask(self, call: Call, /, **params: Any) -> dict[str, Any]:
        """Return moto's answer to a call, with some parameters replaced (None: removed)."""

    def ask_action(self, call: Call, action: str, /, **params: Any) -> dict[str, Any]:
        """Return moto's answer to another action of the call's service, in the same region."""

    def call(
        self, service: str, action: str, /, *, region: str = "us-east-1", **params: Any
    ) -> Any:
        """Make a call from inside the cloud, all rules applied; raises AwsError."""


Answer = Callable[[CloudApi, Call], dict[str, Any]]
Before = Callable[[CloudApi, Call], None]
After = Callable[[CloudApi, Call, dict[str, Any]], None]
