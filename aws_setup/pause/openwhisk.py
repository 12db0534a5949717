"""OpenWhisk after a pause: its pods come back by themselves when there are nodes for them."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import CostItem, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import CLAIM, STATEFUL_SET
from aws_setup.openwhisk.readiness import describe, find_blocker
from aws_setup.openwhisk.release import release_id
from aws_setup.pause.costs import balancer_charges, claim_charges


@dataclass(frozen=True)
class ResumedOpenWhisk(Step):
    """Every part of OpenWhisk is ready, on the volumes that it had before the pause."""

    needs: tuple[str, ...] = ()
    name: str = "openwhisk ready"
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return whether every part is ready; skipped without a cluster or without OpenWhisk.

        So it is for VMs alone, beside a cluster of others with the configured name.
        """
        if active_cluster(ctx) is None:
            return Found("", skipped="there is no cluster")
        groups = [ctx.found.get(name) for name in self.needs]
        if not ctx.config.create_eks_cluster and not any(it and it.id for it in groups):
            return Found("", skipped="the cluster has no nodes of this deployment")
        client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
        if not client.list(STATEFUL_SET, namespace) and not client.list(CLAIM, namespace):
            return Found("", skipped="OpenWhisk is not installed")
        blocker = find_blocker(ctx)
        state = describe(ctx, blocker) if blocker else "ready"
        return Found(release_id(ctx.config), state, ready=blocker is None)

    def disks(self, ctx: Context) -> list[CostItem]:
        """The load balancers and the volumes, which the cluster has kept; also those of users."""
        return [*balancer_charges(ctx), *claim_charges(ctx)]

    def create(self, ctx: Context) -> Found:
        """Return the release as starting; `wait` then polls its parts."""
        return Found(release_id(ctx.config), "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when nothing blocks any more; notes name the first part that is not ready."""

        def probe() -> Found | Pending:
            blocker = find_blocker(ctx)
            if blocker is None:
                return Found(found.id, "ready")
            text = describe(ctx, blocker)
            if blocker.failed:
                raise SetupError(
                    f"OpenWhisk's {blocker.kind} {blocker.name} {blocker.state}",
                    text,
                    "run `python configure_eks_cluster.py`, which creates the job again",
                )
            return Pending(text)

        return ctx.wait_until(
            "OpenWhisk becomes ready",
            probe,
            deadline=2400,
            pause=10,
            hint="find the cause in docs/configure.md, fix it and run resume again",
        )
