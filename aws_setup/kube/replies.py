"""The outcome of one try of a request, and whether a repeat would help."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.engine.retry import (
    SERVER_BUSY,
    SERVER_ERROR,
    SERVER_RESTARTING,
    SERVER_UNREACHABLE,
    RetryPolicy,
)

UNAVAILABLE = frozenset({0, 429, 502, 503, 504})
"""HTTP statuses of a server that is down or overloaded; 0: it did not answer."""


@dataclass(frozen=True)
class Reply:
    """The outcome of one try of a request.

    `status` is the HTTP status, 0 when the server did not answer: `text` is then the reason, and
    `no_cluster` says that no cluster was reached: its host name does not resolve, or another server
    presented its certificate. `retry_after` is in seconds.
    """

    status: int
    text: str
    retry_after: float | None = None
    no_cluster: bool = False


def retry_policy(reply: Reply, *, answered: bool) -> RetryPolicy | None:
    """Return how a failed request is repeated; None when a repeat would not help.

    Args:
        reply: the outcome of the last try.
        answered: whether the server has answered any request of this run.
    """
    if reply.status == 500:
        return SERVER_ERROR
    # The host name of an endpoint is deleted with its cluster, and a proxy that inspects traffic
    # stays: a retry would only take time. A network that was changed meanwhile may come back.
    if reply.status not in UNAVAILABLE or (reply.no_cluster and not answered):
        return None
    if not answered:
        return SERVER_UNREACHABLE
    return SERVER_BUSY if reply.status else SERVER_RESTARTING
