"""Fault rules as data: calls that fail, answers that are lost, reads that are stale."""

from __future__ import annotations

import fnmatch
import random
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from aws_setup.rehearsal.core.protocol import HttpAnswer
from aws_setup.rehearsal.core.random_faults import FaultKind, RandomFaults
from aws_setup.rehearsal.core.settings import StrictModel
from aws_setup.rehearsal.core.types import AwsError, Call


class CallMatcher(StrictModel):
    """The calls that a fault affects: an action, and its n-th call, or a share of its calls."""

    action: str = "*"
    """The action, alone or with its service, `*` and `?` allowed: "RunInstances", "ec2.Create*"."""
    calls: list[int] = Field(default_factory=list)
    """Numbers of the affected calls of this action, from 1; empty: by `percent`."""
    percent: float = Field(default=100, ge=0, le=100)
    """Share of the affected calls, drawn with the cloud's seed."""
    times: int = 0
    """Maximum number of injections; 0: no limit."""


class FailCalls(CallMatcher):
    """Calls that fail and do nothing."""

    fault: Literal["fail"]
    code: str
    message: str = "injected by the rehearsal cloud"
    status: int = Field(default=400, ge=400, le=599)


class LoseResponse(CallMatcher):
    """Calls that are executed, but drop the connection instead of answering."""

    fault: Literal["lose-answer"]


class ForeignAnswer(CallMatcher):
    """Calls that are executed and that a proxy answers with its own page and status 200."""

    fault: Literal["foreign-answer"]
    body: str = "<html><body>Please log in to the network</body></html>"


class CutAnswer(CallMatcher):
    """Calls that are executed and of whose answer only the first half of the body arrives."""

    fault: Literal["cut-answer"]


class StaleReads(CallMatcher):
    """Create calls whose resource is not visible to other calls for some seconds."""

    fault: Literal["stale-read"]
    seconds: float = Field(ge=0)


class NoCapacity(StrictModel):
    """A zone without capacity for (some) instance types."""

    fault: Literal["no-capacity"]
    zone: str
    instance_type: str = "*"


class LaunchFailure(StrictModel):
    """Machines that RunInstances accepts and that end while they start, as with a refused key."""

    fault: Literal["launch-failure"]
    code: str = "Client.InternalError"
    message: str = "Client.InternalError: Client error on launch"
    instance_type: str = "*"


class ResourceFailure(StrictModel):
    """Resources that fail after AWS has accepted the request, with AWS's code and message.

    A kind alone fails while it is made; a cluster whose deletion fails is ACTIVE again.
    """

    fault: Literal["resource-failure"]
    kind: Literal[
        "addon",
        "addon-update",
        "addon-deletion",
        "cluster",
        "cluster-deletion",
        "nat-gateway",
        "nodegroup-deletion",
    ]
    name: str = "*"
    """Name of the add-on, cluster or node group, `*` and `?` allowed; of a NAT gateway it is its
    subnet's id."""
    code: str = "InternalFailure"
    message: str = "injected by the rehearsal cloud"
    times: int = 0
    """Maximum number of injections; 0: no limit."""


class HealthIssue(StrictModel):
    """A cluster or node group that exists and has a health issue; a node group is DEGRADED then."""

    fault: Literal["health-issue"]
    kind: Literal["cluster", "nodegroup"]
    name: str = "*"
    code: str
    message: str = "injected by the rehearsal cloud"


class OutOfService(StrictModel):
    """Classic Load Balancers whose health checks fail at every instance: they answer nobody."""

    fault: Literal["out-of-service"]
    name: str = "*"
    description: str = (
        "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
    )


class Stuck(StrictModel):
    """Disks but the first, or network interfaces, of VMs that stay in a state; `error` of disks."""

    fault: Literal["stuck"]
    kind: Literal["volume", "interface"]
    state: Literal["attaching", "detaching", "pending", "error"] = "attaching"


class LeaveInterfaces(StrictModel):
    """Node groups whose deletion leaves network interfaces of the CNI plug-in."""

    fault: Literal["leave-interfaces"]


class DropConnections(StrictModel):
    """All calls from call N on: the connection drops, nothing is executed."""

    fault: Literal["drop"]
    from_call: int = Field(ge=1)
    """Number of the first call that is dropped, of all calls since the start or `clear`."""


Fault = Annotated[
    FailCalls
    | ForeignAnswer
    | CutAnswer
    | LoseResponse
    | StaleReads
    | NoCapacity
    | LaunchFailure
    | ResourceFailure
    | HealthIssue
    | OutOfService
    | Stuck
    | LeaveInterfaces
    | DropConnections,
    Field(discriminator="fault"),
]
FAULT_RULES: TypeAdapter[list[Fault]] = TypeAdapter(list[Fault])


class ConnectionDropped(Exception):
    """The server closes the connection instead of answering."""


class FaultRules:
    """The active fault rules, and how often each was injected."""

    def __init__(self, seed: int = 1, random_faults: RandomFaults | None = None) -> None:
        """Start without rules; `random_faults` adds faults drawn from a seed."""
        self.rules: list[Fault] = []
        self.random_faults = random_faults
        self._seed = seed
        self._random = random.Random(seed)
        self._matched: dict[int, int] = {}
        self._injected: dict[int, int] = {}
        self._calls = 0

    def add(self, *rules: dict[str, Any]) -> None:
        """Activate fault rules; raises pydantic's ValidationError for an unknown rule."""
        self.rules.extend(FAULT_RULES.validate_python(list(rules)))

    def clear(self) -> None:
        """Remove all rules; resets the counts and the random numbers."""
        self.rules.clear()
        self._random = random.Random(self._seed)
        self._calls = 0
        self._matched.clear()
        self._injected.clear()

    def before(self, call: Call) -> None:
        """Raise the error that a fault injects before a call is executed."""
        self._calls += 1
        for rule in self.rules:
            if isinstance(rule, DropConnections) and self._calls >= rule.from_call:
                raise ConnectionDropped
            if isinstance(rule, FailCalls) and self._matches(rule, call):
                raise AwsError(rule.code, rule.message, status=rule.status)
        if self.random_faults and self.random_faults.before(call) is FaultKind.DROPPED:
            raise ConnectionDropped

    def distort(self, call: Call, answer: HttpAnswer) -> HttpAnswer:
        """Return the answer to an executed call as it arrives at the client."""
        for rule in self.rules:
            if isinstance(rule, ForeignAnswer) and self._matches(rule, call):
                return HttpAnswer(200, rule.body.encode(), {"Content-Type": "text/html"})
            if isinstance(rule, CutAnswer) and self._matches(rule, call):
                return replace(answer, body=answer.body[: len(answer.body) // 2])
        return answer

    def loses_answer(self, call: Call) -> bool:
        """Return whether the answer of an executed call is lost; may raise a random fault."""
        matching = [r for r in self.rules if isinstance(r, LoseResponse) and self._matches(r, call)]
        lost = self.random_faults.after(call) if self.random_faults else None
        return bool(matching) or lost is FaultKind.LOST

    def stale_seconds(self, call: Call) -> float:
        """Return for how many seconds the new resource is not visible to other calls."""
        matching = [r for r in self.rules if isinstance(r, StaleReads) and self._matches(r, call)]
        drawn = self.random_faults.stale_seconds(call) if self.random_faults else 0.0
        return max((rule.seconds for rule in matching), default=drawn)

    def may_be_stale(self) -> bool:
        """Return whether a resource that is created now may be hidden for a while."""
        return bool(self.random_faults) or any(isinstance(rule, StaleReads) for rule in self.rules)

    def no_capacity(self, zone: str, instance_type: str) -> bool:
        """Return whether a zone has no capacity for an instance type."""
        if self.random_faults and self.random_faults.no_capacity(zone, instance_type):
            return True
        return any(
            isinstance(rule, NoCapacity)
            and rule.zone == zone
            and fnmatch.fnmatchcase(instance_type, rule.instance_type)
            for rule in self.rules
        )

    def launch_failure(self, instance_type: str) -> tuple[str, str] | None:
        """Return code and message with which a machine ends while it starts; None: it runs."""
        for rule in self.rules:
            if isinstance(rule, LaunchFailure) and fnmatch.fnmatchcase(
                instance_type, rule.instance_type
            ):
                return rule.code, rule.message
        return None

    def resource_failure(self, kind: str, name: str) -> tuple[str, str] | None:
        """Return code and message with which a resource fails; None: the request succeeds."""
        for rule in self.rules:
            if not (isinstance(rule, ResourceFailure) and rule.kind == kind):
                continue
            made = self._injected.get(id(rule), 0)
            if fnmatch.fnmatchcase(name, rule.name) and not (rule.times and made >= rule.times):
                self._injected[id(rule)] = made + 1
                return rule.code, rule.message
        return None

    def health_issues(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the health issues of a cluster or node group, as EKS shows them."""
        return [
            {"code": rule.code, "message": rule.message, "resourceIds": []}
            for rule in self.rules
            if isinstance(rule, HealthIssue)
            and rule.kind == kind
            and fnmatch.fnmatchcase(name, rule.name)
        ]

    def out_of_service(self, name: str) -> str:
        """Return why the instances of a load balancer are out of service; '' without a fault."""
        for rule in self.rules:
            if isinstance(rule, OutOfService) and fnmatch.fnmatchcase(name, rule.name):
                return rule.description
        return ""

    def stuck(self, kind: str) -> str:
        """Return the state in which a kind of a VM's parts stays; '' without a fault."""
        states = (
            rule.state for rule in self.rules if isinstance(rule, Stuck) and rule.kind == kind
        )
        return next(states, "")

    def leaves_interfaces(self) -> bool:
        """Return whether deleted node groups leave network interfaces."""
        return any(isinstance(rule, LeaveInterfaces) for rule in self.rules)

    def _matches(self, rule: CallMatcher, call: Call) -> bool:
        names = (call.action, f"{call.service}.{call.action}")
        if not any(fnmatch.fnmatchcase(name, rule.action) for name in names):
            return False
        rule_id = id(rule)
        self._matched[rule_id] = self._matched.get(rule_id, 0) + 1
        if rule.times and self._injected.get(rule_id, 0) >= rule.times:
            return False
        if rule.calls:
            matches = self._matched[rule_id] in rule.calls
        else:
            matches = self._random.random() * 100 < rule.percent
        self._injected[rule_id] = self._injected.get(rule_id, 0) + matches
        return matches
