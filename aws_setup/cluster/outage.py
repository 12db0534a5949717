"""helm while the API server restarts or refuses a token: begun again once the server answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aws_setup.cluster.door import kube
from aws_setup.cluster.helm import HelmFailed
from aws_setup.cluster.kube import NAMESPACE
from aws_setup.steps import Context

T = TypeVar("T")

TRIES = 5
"""Starts in all of one piece of work."""

UNANSWERED = (
    "cluster unreachable",
    "failed to delete release",
    "connection refused",
    "connection reset",
    "connection lost",
    "EOF",
    "handshake timeout",
    "i/o timeout",
    "currently unable to handle the request",
    "server closed",
    "ServiceUnavailable",
    "etcdserver",
    "provide credentials",
    "Unauthorized",
)
"""What helm says when the API server does not answer it, or does not take its token."""


def through_outages(ctx: Context, act: Callable[[bool], T]) -> T:
    """Return what `act` returns; it begins anew, after a wait, when helm found no API server.

    Args:
        ctx: the step's context.
        act: the work; told whether a helm of this very run has failed in it before.

    Raises:
        SetupError: helm failed for another reason, or the API server does not come back.
    """
    for attempt in range(1, TRIES):
        try:
            return act(attempt > 1)
        except HelmFailed as error:
            if not any(text in error.said for text in UNANSWERED):
                raise
            ctx.note("helm lost the cluster's API server: it begins again once that answers")
            # This waits through a restart, and names the reason when it is something else.
            kube(ctx).get(NAMESPACE, ctx.config.openwhisk_namespace)
            ctx.clock.sleep(2.0 * attempt)
    return act(True)
