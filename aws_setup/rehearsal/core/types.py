"""What a rule is: a call decoded from the wire, an AWS error, and the tables that hold rules.

An area module (see areas.py) may export any of these plain tables, keyed by (service, action):

    ANSWERS  answers a call wholly, instead of moto
    BEFORE   refuses a call by raising AwsError, before anything is done
    AFTER    looks at, or changes in place, the answer (a dictionary) and moto's state
    exists   a function that lists what the area holds, for the snapshot
    start    a function called once when a cloud starts
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_setup.rehearsal.core.dispatch import Cloud

Key = tuple[str, str]
"""botocore's service name and the action, such as ("ec2", "CreateVpc")."""


class AwsError(Exception):
    """An error as AWS answers it; the wire layer gives it the shape of the service's protocol."""

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
        """The key under which rules for this call stand."""
        return self.service, self.action

    @property
    def reads(self) -> bool:
        """Whether the call changes nothing."""
        return self.action.startswith(READERS) or bool(self.params.get("DryRun"))


READERS = ("Describe", "List", "Get", "Simulate", "Search", "Lookup")
"""Beginnings of the names of actions that change nothing."""


@dataclass(frozen=True)
class Resource:
    """Something that exists in the cloud, for the snapshot."""

    service: str
    kind: str
    id: str
    region: str
    state: str = ""
    bills: bool = False
    """Whether AWS charges for it by the hour or by the gigabyte."""
    tags: dict[str, str] = field(default_factory=dict)


Answer = Callable[["Cloud", Call], dict[str, Any]]
Before = Callable[["Cloud", Call], None]
After = Callable[["Cloud", Call, dict[str, Any]], None]
