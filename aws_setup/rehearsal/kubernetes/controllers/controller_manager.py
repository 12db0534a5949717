"""Runs the controllers after every change and every due delay.

Each controller compares the actual with the desired state and applies the difference; the only
other state is the end of each delay.
"""

from __future__ import annotations

from aws_setup.rehearsal.core.clock import CloudClock
from aws_setup.rehearsal.kubernetes.api import deletion
from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.faults import KubernetesFaults
from aws_setup.rehearsal.kubernetes.api.http_requests import Request
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore
from aws_setup.rehearsal.kubernetes.controllers import (
    daemonsets,
    jobs,
    load_balancers,
    nodes_and_namespaces,
    pods,
    volumes,
    workloads,
)
from aws_setup.rehearsal.kubernetes.controllers.context import CloudProvider, ControllerContext

MAX_PASSES = 100
"""Maximum number of passes; more are an error of the emulator."""

RECONCILERS = (
    nodes_and_namespaces.reconcile_namespaces,
    nodes_and_namespaces.reconcile_nodes,
    workloads.reconcile_deployments,
    workloads.reconcile_statefulsets,
    daemonsets.reconcile_daemonsets,
    jobs.reconcile_jobs,
    volumes.reconcile_claims,
    pods.reconcile_pods,
    load_balancers.reconcile_load_balancers,
)


class ControllerManager:
    """All controllers of one cluster."""

    def __init__(
        self,
        state: ObjectStore,
        clock: CloudClock,
        faults: KubernetesFaults,
        cloud_provider: CloudProvider,
    ) -> None:
        """Reconcile `state` with the delays of `clock`."""
        self.context = ControllerContext(state, clock, faults, cloud_provider, wake=self._wake)
        self._seen: tuple[int, int] | None = None

    @property
    def drivers(self) -> set[str]:
        """The available storage drivers; a claim of another driver is not bound."""
        return self.context.drivers

    def run(self) -> None:
        """Reconcile until nothing changes; called before and after each request."""
        self.context.runs += 1
        for _ in range(MAX_PASSES):
            now = (self.context.state.version, self.context.faults.version)
            if now == self._seen:
                if self.context.retry_pending:
                    self.context.retry_pending, self._seen = False, None
                return
            self._seen = now
            for reconcile in RECONCILERS:
                reconcile(self.context)
            deletion.collect_garbage(self.context.state)
        raise RuntimeError("the controllers of the emulated cluster do not converge")

    def invalidate(self) -> None:
        """Reconcile everything in the next run, after a change outside the state."""
        self._seen = None

    def _wake(self) -> None:
        self.invalidate()
        self.run()

    def log(self, pod: KubeObject, request: Request) -> str:
        """Return a pod's log; raises ApiError 400 while its container has not started."""
        if pod["metadata"]["name"] and pod.get("status", {}).get("phase") == "Pending":
            name = pod["spec"]["containers"][0]["name"]
            raise ApiError(
                400,
                "BadRequest",
                f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start: '
                "ContainerCreating",
            )
        return pods.pod_log(self.context, pod, tail=int(request.query.get("tailLines") or 0))
