"""The polls for the pod of a Job on an invoker node: its state, and what keeps it from starting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_setup.aws.context import Context
from aws_setup.eks.node_labels import not_ready
from aws_setup.eks.storage import last_event, newest_event
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.errors import refusal_hint
from aws_setup.kube.objects import NODE, POD, Json
from aws_setup.openwhisk.release_objects import name_of, phase_of, uid_of, unscheduled_reason
from aws_setup.verify.chain import CONFIGURE
from aws_setup.verify.check import Broken
from aws_setup.verify.cluster_checks import NODE_HINT, require_nodes

STUCK_POLLS = 15
"""Polls in a row with the same obstacle, until that is final: a registry that limits requests
answers again after some seconds, a subnet without a way to it never."""

PULL_FAILURES = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})
"""Reasons of a waiting container (https://kubernetes.io/docs/concepts/containers/images/)."""

PULL_HINT = (
    "give the nodes' subnets a route to public.ecr.aws (a NAT gateway, or eks_nodes_public: True), "
    "then run verify again; --quick starts no pod"
)

ENDED = frozenset({"Succeeded", "Failed"})

REFUSED = "FailedCreate"
"""Reason of the event of a Job whose pod the API server refuses, as over a quota.

https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/controller_utils.go
(FailedCreatePodReason)
"""


@dataclass(frozen=True)
class Obstacle:
    """What keeps a pod from starting; a `lasting` one ends only when somebody acts."""

    what: str
    why: str
    fix: str
    lasting: bool = True


@dataclass
class PodPolls:
    """Polls the pod of a Job; `stuck` counts the last polls with an obstacle that lasts."""

    ctx: Context
    name: str
    image: str
    stuck: int = 0

    def poll(self) -> str | Pending:
        """Return the pod's name when it has ended.

        Raises:
            SetupError: it cannot start until somebody acts; the error says what to do.
        """
        pods = kube_client(self.ctx).list(POD, self._namespace, labels=f"job-name={self.name}")
        if pods and phase_of(pods[0]) in ENDED:
            return name_of(pods[0])
        found = self._pod_obstacle(pods[0]) if pods else self._job_obstacle()
        self.stuck = self.stuck + 1 if found and found.lasting else 0
        if found and self.stuck >= STUCK_POLLS:
            raise SetupError(found.what, found.why, found.fix)
        state = self._pod_state(pods[0]) if pods else self._job_state()
        return Pending(state.strip(), found.fix if found else "")

    @property
    def _namespace(self) -> str:
        return self.ctx.config.openwhisk_namespace

    def _job_state(self) -> str:
        return f"the Job has no pod yet {last_event(self.ctx, self.name, self._namespace)}"

    def _pod_state(self, pod: Json) -> str:
        return f"{_waiting(pod) or phase_of(pod)} {self._event(pod)}"

    def _event(self, pod: Json) -> str:
        return last_event(self.ctx, name_of(pod), self._namespace, uid=uid_of(pod))

    def _job_obstacle(self) -> Obstacle | None:
        """Return why the API server refuses the pod; None where the Job is still to be acted on."""
        event = newest_event(self.ctx, self.name, self._namespace)
        if event is None or event.get("reason") != REFUSED:
            return None
        why = str(event.get("message") or "")
        see = f"see `kubectl describe job {self.name} -n {self._namespace}` while verify runs"
        fix = f"{refusal_hint(why) or see}; then run verify again; --quick starts no pod"
        return Obstacle("Kubernetes does not create the pod on an invoker node", why, fix)

    def _pod_obstacle(self, pod: Json) -> Obstacle | None:
        """Return why no node runs the pod; None where it is being started."""
        reason = _waiting(pod)
        if reason in PULL_FAILURES:
            what = f"the node cannot pull the image {self.image}"
            return Obstacle(what, self._event(pod) or reason, PULL_HINT)
        if phase_of(pod) != "Pending":
            return None
        nodes, placed = kube_client(self.ctx).list(NODE), pod["spec"].get("nodeName")
        if not placed:
            return _unplaced(self.ctx, pod, nodes)
        unready = not_ready([node for node in nodes if name_of(node) == placed])
        what = "the pod on an invoker node does not start"
        return Obstacle(what, unready[0], NODE_HINT) if unready else None


def _unplaced(ctx: Context, pod: Json, nodes: Sequence[Json]) -> Obstacle | None:
    """Return why no node gets the pod, with what is wrong with the nodes, if anything is."""
    reason = unscheduled_reason(pod)
    if not reason:
        return None
    what = "no node runs the pod on an invoker node"
    try:
        require_nodes(ctx, nodes)
    except Broken as error:
        return Obstacle(what, f"{reason}; {error.cause}", error.fix)
    return Obstacle(what, reason, f"free or add an invoker node ({CONFIGURE})", lasting=False)


def _waiting(pod: Json) -> str:
    """Return why the pod's container waits, '' where it does not."""
    containers = pod.get("status", {}).get("containerStatuses") or [{}]
    return str(containers[0].get("state", {}).get("waiting", {}).get("reason", ""))
