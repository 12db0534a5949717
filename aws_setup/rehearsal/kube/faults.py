"""What can go wrong, as data.

Names are shell patterns (`owdev-invoker*`). A fault lasts until it is cleared, or for `times`
requests where it says so.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from aws_setup.rehearsal.kube.chaos import RandomApiFaults


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PodNotReady(_Fault):
    """Pods run and never become ready; a warning event says why."""

    fault: Literal["pod-not-ready"] = "pod-not-ready"
    pod: str
    reason: str = "Unhealthy"
    message: str = "Readiness probe failed: connection refused"
    log: str = ""


class PodCrashes(_Fault):
    """Containers end with exit code 1 again and again; a Job's pod fails."""

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
    """The driver cannot make the volume of a claim."""

    fault: Literal["claim-unbound"] = "claim-unbound"
    claim: str = "*"
    message: str = (
        'failed to provision volume with StorageClass "gp3": rpc error: code = Internal desc = '
        "Could not create volume: UnauthorizedOperation: You are not authorized to perform this "
        "operation."
    )


class LoadBalancerPending(_Fault):
    """The load balancer of a Service is not made."""

    fault: Literal["balancer-pending"] = "balancer-pending"
    service: str = "*"
    message: str = "Error syncing load balancer: could not find any suitable subnets"


class NodeNotReady(_Fault):
    """A node does not become ready, or stops being so."""

    fault: Literal["node-not-ready"] = "node-not-ready"
    node: str = "*"
    message: str = "container runtime network not ready: cni plugin not initialized"


class ApiServerRestarting(_Fault):
    """The API server breaks connections before it answers, for some requests."""

    fault: Literal["restarting"] = "restarting"
    times: int = 5


class ApiServerDown(_Fault):
    """The API server stops listening for some real seconds when it gets such a request."""

    fault: Literal["down"] = "down"
    seconds: float = Field(default=2.0, ge=0, le=600)
    verb: str = "*"
    resource: str = "*"
    agent: str = "*"
    times: int = 1


class ErrorStatus(_Fault):
    """Some requests get an error status instead of their answer."""

    fault: Literal["status"] = "status"
    status: int
    verb: str = "*"
    resource: str = "*"
    times: int = 1
    retry_after: int | None = None


class ConcurrentWriter(_Fault):
    """Somebody else changes the object right before a write arrives, which then conflicts."""

    fault: Literal["second-writer"] = "second-writer"
    resource: str
    name: str = "*"
    change: dict[str, Any] = Field(
        default_factory=lambda: {"metadata": {"annotations": {"second-writer": "was-here"}}}
    )
    times: int = 1


Fault = Annotated[
    PodNotReady
    | PodCrashes
    | ImagePullFails
    | ClaimUnbound
    | LoadBalancerPending
    | NodeNotReady
    | ApiServerRestarting
    | ApiServerDown
    | ErrorStatus
    | ConcurrentWriter,
    Field(discriminator="fault"),
]
FAULTS: TypeAdapter[Fault] = TypeAdapter(Fault)


class KubernetesFaults:
    """The faults in force."""

    def __init__(self) -> None:
        """Start without any."""
        self.rules: list[Fault] = []
        self.version = 0
        self.chaos: RandomApiFaults | None = None

    def add(self, *rules: Fault | dict[str, Any]) -> None:
        """Put faults in force, given as objects or as their JSON."""
        self.rules += [FAULTS.validate_python(one) for one in rules]
        self.version += 1

    def clear(self) -> None:
        """Let everything go well from now on."""
        self.rules.clear()
        self.version += 1

    def pod(self, name: str) -> PodNotReady | PodCrashes | ImagePullFails | None:
        """Return what is wrong with a pod."""
        for one in self.rules:
            if isinstance(one, PodNotReady | PodCrashes | ImagePullFails) and fnmatchcase(
                name, one.pod
            ):
                return one
        return None

    def claim(self, name: str) -> str:
        """Return why a claim is not bound; empty when nothing is wrong."""
        found = (one for one in self.rules if isinstance(one, ClaimUnbound))
        return next((one.message for one in found if fnmatchcase(name, one.claim)), "")

    def balancer(self, service: str) -> str:
        """Return why a Service gets no load balancer; empty when nothing is wrong."""
        found = (one for one in self.rules if isinstance(one, LoadBalancerPending))
        return next((one.message for one in found if fnmatchcase(service, one.service)), "")

    def node(self, name: str) -> str:
        """Return why a node is not ready; empty when nothing is wrong."""
        found = (one for one in self.rules if isinstance(one, NodeNotReady))
        return next((one.message for one in found if fnmatchcase(name, one.node)), "")

    def breaks(self) -> bool:
        """Say whether this connection breaks because the server restarts; counts."""
        for one in self.rules:
            if isinstance(one, ApiServerRestarting) and one.times > 0:
                one.times -= 1
                return True
        return False

    def down(self, verb: str, resource: str, agent: str) -> float:
        """Return for how many seconds a request takes the server down; 0 for not; counts."""
        for one in self.rules:
            if not isinstance(one, ApiServerDown) or one.times <= 0:
                continue
            asked = ((verb, one.verb), (resource, one.resource), (agent, one.agent))
            if all(fnmatchcase(value, pattern) for value, pattern in asked):
                one.times -= 1
                return one.seconds
        return 0.0

    def status(self, verb: str, resource: str) -> ErrorStatus | None:
        """Return the error that a request gets instead of its answer; counts."""
        for one in self.rules:
            if not isinstance(one, ErrorStatus) or one.times <= 0:
                continue
            if fnmatchcase(verb, one.verb) and fnmatchcase(resource, one.resource):
                one.times -= 1
                return one
        return None

    def second_writer(self, resource: str, name: str) -> dict[str, Any]:
        """Return what somebody else writes to an object now; empty for nothing; counts."""
        for one in self.rules:
            if not isinstance(one, ConcurrentWriter) or one.times <= 0:
                continue
            if one.resource == resource and fnmatchcase(name, one.name):
                one.times -= 1
                return one.change
        return {}
