"""A way to an API host that this computer cannot reach itself: an internal load balancer's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from aws_setup.whisk.endpoint import Endpoint


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
