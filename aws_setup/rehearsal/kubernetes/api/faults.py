"""Faults of the Kubernetes API and its objects, as data, and random faults.

Names are shell patterns (`owdev-invoker*`). A fault is active until it is cleared, or for `times`
requests if it has that field.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from aws_setup.rehearsal.core.clock import CloudClock
from aws_setup.rehearsal.core.random_faults import FaultKind, FaultProbabilities, RandomFaults
from aws_setup.rehearsal.kubernetes.api.errors import ApiError


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PodNotReady(_Fault):
    """Pods run and never become ready; a warning event has the reason."""

    fault: Literal["pod-not-ready"] = "pod-not-ready"
    pod: str
    reason: str = "Unhealthy"
    message: str = "Readiness probe failed: connection refused"
    log: str = ""


class PodCrashes(_Fault):
    """Containers exit with code 1 repeatedly; a Job's pod fails."""

    fault: Literal["pod-crashes"] = "pod-crashes"
    pod: str
    message: str = "Back-off restarting failed container"
    log: str = "fatal: the program ended"


class ImagePullFails(_Fault):
    """The image of a pod cannot be pulled."""

    fault: Literal["image-pull"] = "image-pull"
    pod: str
    message: str = "toomanyrequests: You have reached your pull rate limit"


class ClaimUnbound(_Fault):
    """The driver cannot create the volume of a claim."""

    fault: Literal["claim-unbound"] = "claim-unbound"
    claim: str = "*"
    message: str = (
        'failed to provision volume with StorageClass "gp3": rpc error: code = Internal desc = '
        "Could not create volume: UnauthorizedOperation: You are not authorized to perform this "
        "operation."
    )


class LoadBalancerPending(_Fault):
    """The load balancer of a Service is not created."""

    fault: Literal["balancer-pending"] = "balancer-pending"
    service: str = "*"
    message: str = "Error syncing load balancer: could not find any suitable subnets"


class NodeNotReady(_Fault):
    """A node does not become ready, or becomes not ready."""

    fault: Literal["node-not-ready"] = "node-not-ready"
    node: str = "*"
    message: str = "container runtime network not ready: cni plugin not initialized"


class ApiServerRestarting(_Fault):
    """The API server drops connections before it answers, for some requests."""

    fault: Literal["restarting"] = "restarting"
    times: int = 5


class ApiServerDown(_Fault):
    """The API server stops listening for some real seconds at a matching request."""

    fault: Literal["down"] = "down"
    seconds: float = Field(default=2.0, ge=0, le=600)
    verb: str = "*"
    resource: str = "*"
    agent: str = "*"
    times: int = 1


class ErrorStatus(_Fault):
    """Some requests are answered with an error status."""

    fault: Literal["status"] = "status"
    status: int
    verb: str = "*"
    resource: str = "*"
    times: int = 1
    retry_after: int | None = None


class ConcurrentWriter(_Fault):
    """Another client changes the object just before a write, which then conflicts."""

    fault: Literal["second-writer"] = "second-writer"
    resource: str
    name: str = "*"
    change: dict[str, Any] = Field(
        default_factory=lambda: {"metadata": {"annotations": {"second-writer": "was-here"}}}
    )
    times: int = 1


class ControllersStopped(_Fault):
    """Controllers do nothing: `controller` is a kind (`statefulsets`) or `scheduler`."""

    fault: Literal["controllers-stopped"] = "controllers-stopped"
    controller: str = "*"


class ControllersLag(_Fault):
    """Controllers see a change of an object only after some requests to the API server."""

    fault: Literal["controllers-lag"] = "controllers-lag"
    controller: str = "*"
    requests: int = Field(default=20, ge=1)


Fault = Annotated[
    PodNotReady
    | PodCrashes
    | ImagePullFails
    | ClaimUnbound
    | LoadBalancerPending
    | NodeNotReady
    | ControllersStopped
    | ControllersLag
    | ApiServerRestarting
    | ApiServerDown
    | ErrorStatus
    | ConcurrentWriter,
    Field(discriminator="fault"),
]
FAULTS: TypeAdapter[Fault] = TypeAdapter(Fault)


class KubernetesFaults:
    """The active faults."""

    def __init__(self) -> None:
        """Start empty."""
        self.rules: list[Fault] = []
        self.version = 0
        self.random_faults: RandomApiFaults | None = None

    def add(self, *rules: Fault | dict[str, Any]) -> None:
        """Activate faults, as objects or as JSON."""
        self.rules += [FAULTS.validate_python(rule) for rule in rules]
        self.version += 1

    def clear(self) -> None:
        """Remove all faults."""
        self.rules.clear()
        self.version += 1

    def pod(self, name: str) -> PodNotReady | PodCrashes | ImagePullFails | None:
        """Return the fault of a pod, if any."""
        for rule in self.rules:
            if isinstance(rule, PodNotReady | PodCrashes | ImagePullFails) and fnmatchcase(
                name, rule.pod
            ):
                return rule
        return None

    def claim(self, name: str) -> str:
        """Return why a claim is not bound; empty without a fault."""
        found = (rule for rule in self.rules if isinstance(rule, ClaimUnbound))
        return next((item.message for item in found if fnmatchcase(name, item.claim)), "")

    def balancer(self, service: str) -> str:
        """Return why a Service gets no load balancer; empty without a fault."""
        found = (rule for rule in self.rules if isinstance(rule, LoadBalancerPending))
        return next((item.message for item in found if fnmatchcase(service, item.service)), "")

    def node(self, name: str) -> str:
        """Return why a node is not ready; empty without a fault."""
        found = (rule for rule in self.rules if isinstance(rule, NodeNotReady))
        return next((item.message for item in found if fnmatchcase(name, item.node)), "")

    def controller(self, name: str) -> ControllersStopped | ControllersLag | None:
        """Return the fault of a controller, if any."""
        for rule in self.rules:
            if isinstance(rule, ControllersStopped | ControllersLag) and fnmatchcase(
                name, rule.controller
            ):
                return rule
        return None

    def breaks_connection(self) -> bool:
        """Return whether this connection is dropped for a restart; counts it."""
        for rule in self.rules:
            if isinstance(rule, ApiServerRestarting) and rule.times > 0:
                rule.times -= 1
                return True
        return False

    def outage_seconds(self, verb: str, resource: str, agent: str) -> float:
        """Return for how many seconds a request stops the server (0: it does not); counts it."""
        for rule in self.rules:
            if not isinstance(rule, ApiServerDown) or rule.times <= 0:
                continue
            requested = ((verb, rule.verb), (resource, rule.resource), (agent, rule.agent))
            if all(fnmatchcase(value, pattern) for value, pattern in requested):
                rule.times -= 1
                return rule.seconds
        return 0.0

    def status(self, verb: str, resource: str) -> ErrorStatus | None:
        """Return the error status of a request, if any; counts it."""
        for rule in self.rules:
            if not isinstance(rule, ErrorStatus) or rule.times <= 0:
                continue
            if fnmatchcase(verb, rule.verb) and fnmatchcase(resource, rule.resource):
                rule.times -= 1
                return rule
        return None

    def second_writer(self, resource: str, name: str) -> dict[str, Any]:
        """Return the change that another client makes to an object; empty for none; counts it."""
        for rule in self.rules:
            if not isinstance(rule, ConcurrentWriter) or rule.times <= 0:
                continue
            if rule.resource == resource and fnmatchcase(name, rule.name):
                rule.times -= 1
                return rule.change
        return {}


API_READ_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.06,
    FaultKind.FAILED: 0.04,
    FaultKind.DROPPED: 0.04,
    FaultKind.OUTAGE: 0.02,
}
API_WRITE_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.10,
    FaultKind.FAILED: 0.06,
    FaultKind.LOST: 0.08,
    FaultKind.DROPPED: 0.05,
    FaultKind.CONFLICT: 0.15,
    FaultKind.OUTAGE: 0.03,
}
API_WATCH_FAULTS: FaultProbabilities = {
    FaultKind.THROTTLED: 0.05,
    FaultKind.DROPPED: 0.05,
    FaultKind.WATCH: 0.4,
}
HELM_FAULT_FACTOR = 0.1
"""Factor of all probabilities for helm, which makes many more requests than the scripts."""

OUTAGE_SECONDS = (2.0, 12.0)
"""Duration of an outage, in the cloud's seconds: EKS replaces an API server."""

RETRY_AFTER = 1
"""Retry-After of a 429 in seconds, as the API server's priority and fairness sends it."""

FAILURES = (
    (500, "InternalError", "etcdserver: leader changed"),
    (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
)
_SUFFIX = re.compile(r"-[0-9a-f]{8,10}-[a-z0-9]{5}\b|[0-9a-f]{8,}")


class RandomApiFaults:
    """The random faults of the API servers of one cloud."""

    def __init__(self, chaos: RandomFaults, clock: CloudClock) -> None:
        """Draw from the cloud's random faults; outages use its clock."""
        self._random_faults, self._clock = chaos, clock
        self._down_until = 0.0

    def before(self, method: str, target: str, agent: str) -> FaultKind | None:
        """Return the fault of a request: DROPPED before it is executed, LOST after.

        Raises:
            ApiError: the request is throttled or fails.
        """
        if self._clock.now() < self._down_until:
            return FaultKind.DROPPED
        path, _, query = target.partition("?")
        identity = f"{method} {_SUFFIX.sub('*', path)}"
        watches = method == "GET" and "watch=" in query
        probabilities = (
            API_WATCH_FAULTS
            if watches
            else API_READ_FAULTS
            if method == "GET"
            else API_WRITE_FAULTS
        )
        if agent.startswith("Helm/"):
            identity = f"helm {identity}"
            probabilities = {
                kind: chance * HELM_FAULT_FACTOR for kind, chance in probabilities.items()
            }
        if not self._random_faults.timed:
            probabilities = {
                kind: chance
                for kind, chance in probabilities.items()
                if kind is not FaultKind.OUTAGE
            }
        fault = self._random_faults.next_fault(probabilities, identity)
        if fault is FaultKind.OUTAGE:
            least, most = OUTAGE_SECONDS
            lasts = least + (most - least) * self._random_faults.plan.draw("outage", identity)
            self._down_until = self._clock.now() + lasts
            return FaultKind.DROPPED
        if fault is FaultKind.THROTTLED:
            raise ApiError(
                429,
                "TooManyRequests",
                "the server has received too many requests (injected)",
                details={"retryAfterSeconds": RETRY_AFTER},
            )
        if fault is FaultKind.FAILED:
            code, reason, text = FAILURES[
                int(self._random_faults.plan.draw("status", identity) * len(FAILURES))
            ]
            raise ApiError(code, reason, f"{text} (injected)")
        return fault
