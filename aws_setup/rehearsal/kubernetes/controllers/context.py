"""The context of the controllers: state, clock, faults, delays, and the cloud provider."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from aws_setup.rehearsal.core.clock import CloudClock
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.faults import ControllersLag, KubernetesFaults
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore

LOG = logging.getLogger(__name__)
EBS_DRIVER = "ebs.csi.aws.com"

DELAYS: dict[str, float] = {
    "node ready": 20.0,
    "image pulled": 12.0,
    "container started": 4.0,
    "job pod runs": 25.0,
    "pod stops": 5.0,
    "volume created": 6.0,
    "load balancer created": 25.0,
    "load balancer deleted": 10.0,
    "job pod retry": 10.0,
    "retry": 10.0,
}
"""Seconds of the cluster's clock."""


@dataclass(frozen=True)
class PodDependency:
    """A part of a release whose pods are not ready (Jobs: do not end) before another's pods."""

    part: str
    on: str


@dataclass(frozen=True)
class SecretDependency:
    """A part of a release that fails with this log without the Secret <release>-<secret>."""

    part: str
    secret: str
    log: str


JobEffect = Callable[[KubeObject], None]
"""Called once with each pod of a Job whose container starts: what the program does."""


def labels_of(obj: KubeObject) -> dict[str, str]:
    """Return an object's labels, none where it has none."""
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels


def part_of(pod: KubeObject) -> tuple[str, str]:
    """Return (release, part) of a pod, from the labels `release` and `name` of the chart."""
    labels = labels_of(pod)
    release = labels.get("release", "")
    return release, labels.get("name", "").removeprefix(f"{release}-") if release else ""


class ControllerContext:
    """What the controllers of one cluster share."""

    def __init__(
        self,
        state: ObjectStore,
        clock: CloudClock,
        faults: KubernetesFaults,
        cloud_provider: CloudProvider,
        *,
        wake: Callable[[], None],
    ) -> None:
        """Share these parts; `wake` is called when a delay is over."""
        self.state, self.clock, self.faults, self.cloud_provider = (
            state,
            clock,
            faults,
            cloud_provider,
        )
        self.delays = dict(DELAYS)
        self.drivers = {EBS_DRIVER}
        self.pod_dependencies: list[PodDependency] = []
        self.secret_dependencies: list[SecretDependency] = []
        self.job_effects: list[JobEffect] = []
        self.initialised: set[str] = set()
        """Databases whose init-couchdb job has ended, by the uid of their claim."""
        self.retry_pending = False
        self._retry_scheduled = False
        self.failures: list[str] = []
        self.applied_load_balancers: dict[str, str] = {}
        self._wake = wake
        self._ends: dict[tuple[str, str], float] = {}
        self._done: set[tuple[str, str]] = set()
        self.runs = 0
        """How often the controllers have run, before and after each request to the API server."""
        self._changed_at: dict[tuple[str, int], int] = {}
        self._hashes: dict[str, tuple[int, str]] = {}

    def retry(self) -> None:
        """Schedule another reconciliation: a call of the cloud provider failed.

        One at a time: each fails again, and with a second one scheduled by each, 2^n would be.
        """
        self.retry_pending = True
        if self.clock.speed and not self._retry_scheduled:
            self._retry_scheduled = True
            self.clock.after(self.delays["retry"], self._retry_now)

    def _retry_now(self) -> None:
        self._retry_scheduled = False
        self._wake()

    @contextmanager
    def guard(self, obj: KubeObject) -> Iterator[None]:
        """Log an error about one object, once, so that it does not stop the other objects."""
        try:
            yield
        except Exception as error:
            text = f"{obj['kind']} {obj['metadata']['name']}: {error!r}"
            if text not in self.failures:
                self.failures.append(text)
                LOG.exception("the emulated controllers cannot handle %s", text)

    def acts(self, controller: str, obj: KubeObject) -> bool:
        """Return whether a controller acts on an object now: it is not stopped, and sees it.

        A lagging one sees each generation of an object late; until then its status is the old one.
        In a namespace that is being deleted controllers can create nothing, and its own controller
        deletes what is there.
        https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#namespacelifecycle
        """
        namespace = self.state.read("namespaces", obj["metadata"].get("namespace", ""))
        if namespace is not None and is_being_deleted(namespace):
            return False
        fault = self.faults.controller(controller)
        if not isinstance(fault, ControllersLag):
            return fault is None
        generation = int(obj["metadata"].get("generation") or 0)
        if obj.get("status", {}).get("observedGeneration") == generation:
            return True
        began = self._changed_at.setdefault((obj["metadata"]["uid"], generation), self.runs)
        late = self.runs - began < 2 * fault.requests
        self.retry_pending = self.retry_pending or late
        return not late

    def hash_of_template(self, owner: KubeObject) -> str:
        """Return the hash of an owner's template of pods; each generation is hashed once."""
        meta = owner["metadata"]
        generation, known = self._hashes.get(meta["uid"], (0, ""))
        if generation != meta["generation"]:
            known = template_hash(owner["spec"]["template"])
            self._hashes[meta["uid"]] = meta["generation"], known
        return known

    def once(self, obj: KubeObject, deed: str) -> bool:
        """Return True at the first call for an object, False afterwards."""
        key = (obj["metadata"]["uid"], deed)
        first = key not in self._done
        self._done.add(key)
        return first

    def due(self, obj: KubeObject, delay: str, *, stage: str = "", times: float = 1.0) -> bool:
        """Return whether a delay is over that began with the first call for the object."""
        key = (obj["metadata"]["uid"], stage or delay)
        seconds = self.delays[delay] * times if self.clock.speed else 0.0
        if key not in self._ends:
            self._ends[key] = self.clock.now() + seconds
            if seconds:
                self.clock.after(seconds, self._wake)
        return self.clock.now() >= self._ends[key]


def conditions(before: KubeObject, now: str, **desired: tuple[bool, str, str]) -> list[KubeObject]:
    """Return status conditions by type: (true?, reason, message); the time moves on a change."""
    old = {
        condition["type"]: condition for condition in before.get("status", {}).get("conditions", [])
    }
    found = []
    for kind, (true, reason, message) in desired.items():
        condition: KubeObject = {"type": kind, "status": "True" if true else "False"}
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        earlier = old.get(kind, {})
        same = earlier.get("status") == condition["status"]
        condition["lastTransitionTime"] = earlier["lastTransitionTime"] if same else now
        found.append(condition)
    return found


def is_ready(obj: KubeObject) -> bool:
    """Return whether a pod or node has the condition Ready."""
    found = obj.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in found)


def is_being_deleted(obj: KubeObject) -> bool:
    """Return whether an object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]


def template_hash(value: Any) -> str:
    """Return a hash of a template, ten characters."""
    raw = json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(raw).hexdigest()[:10]


INTERNAL = "service.beta.kubernetes.io/aws-load-balancer-internal"


class PortState(Enum):
    """The outcome of a TCP connection."""

    OPEN = auto()
    REFUSED = auto()
    DROPPED = auto()


class CloudProviderError(Exception):
    """An error of the cloud; the text becomes an event."""


class CloudProvider:
    """A cloud provider whose calls always succeed and have no effect."""

    def create_volume(
        self, claim: KubeObject, *, size: int, zone: str, parameters: dict[str, str]
    ) -> str:
        """Create a volume of `size` GiB for a claim with its class's parameters; returns its id."""
        return "vol-" + str(claim["metadata"]["uid"]).replace("-", "")[:17]

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume; already deleted is no error."""

    def ensure_load_balancer(self, service: KubeObject) -> str:
        """Create or update the load balancer of a Service; returns its host name."""
        prefix = "internal-" if is_internal(service) else ""
        return f"{prefix}{load_balancer_name(service)}-1234567890.us-east-1.elb.amazonaws.com"

    def delete_load_balancer(self, service: KubeObject) -> None:
        """Delete the load balancer of a Service; already deleted is no error."""

    def connect(self, node: str, host: str, port: int) -> PortState:
        """Return the outcome of a connection from a pod on a node to an address."""
        return PortState.OPEN


SOURCE_RANGES = "loadBalancerSourceRanges"
"""Key of a Service's spec: the address ranges from which its load balancer accepts traffic."""


def load_balancer_name(service: KubeObject) -> str:
    """Return the load balancer's name: `a` and the Service's uid, 32 characters in all."""
    uid = str(service["metadata"]["uid"]).replace("-", "")
    return f"a{uid}"[:32]


def is_internal(service: KubeObject) -> bool:
    """Return whether a Service's balancer is internal: any value but empty and "false"."""
    annotations = service["metadata"].get("annotations") or {}
    return annotations.get(INTERNAL, "false") not in {"", "false"}
