"""A way to an API host that this computer cannot reach itself: an internal load balancer's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from aws_setup.whisk.endpoint import Endpoint, check_auth


class Cluster(Protocol):
    """The OpenWhisk of a deployment, as its cluster knows it."""

    def auth(self) -> str:
        """Return the key of the guest namespace."""

    def forward(self) -> AbstractContextManager[int]:
        """Yield a port on 127.0.0.1 that leads to the plain port of OpenWhisk's nginx."""


class Forwarder(Protocol):
    """What can lead a local port to an address that it sees."""

    def forward(self, host: str, port: int) -> AbstractContextManager[int]:
        """Yield a port on 127.0.0.1 that leads to `host`:`port`."""


@contextmanager
def through(forwarder: Forwarder, endpoint: Endpoint) -> Iterator[Endpoint]:
    """Yield the same API host, reached by a local port.

    The certificate of the load balancer is not made out to 127.0.0.1: with https it must be
    pinned, or -i given, and the check of the certificate says so otherwise.
    """
    parts = urlsplit(endpoint.url)
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    with forwarder.forward(parts.hostname or "", port) as local:
        yield replace(endpoint, url=f"{parts.scheme}://127.0.0.1:{local}")


@contextmanager
def through_cluster(cluster: Cluster, auth: str) -> Iterator[Endpoint]:
    """Yield OpenWhisk as reached through the cluster's API server, past any load balancer.

    The key is the deployment's own unless the command line gives one: `wsk`'s file and variables
    may belong to another OpenWhisk.
    """
    key = auth or cluster.auth()
    with cluster.forward() as local:
        yield Endpoint(
            url=f"http://127.0.0.1:{local}",
            auth=check_auth(key, source="the command line" if auth else "the cluster's secret"),
            source="--tunnel cluster",
        )
