"""How the API server of a cluster is reached: over urllib3, as the Kubernetes library does it.

The library imports its informers, its OAuth clients and much else with anything of it, which takes
longer than all requests of a destroy: an EKS cluster needs none of that but for port forwarding.
"""

from __future__ import annotations

import copy
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.util import ssl_

from aws_setup.engine.proxies import login_headers, pools_for, proxy_of
from aws_setup.engine.temporary_files import temporary_folder, write_temporary


@dataclass(frozen=True)
class ClusterEndpoint:
    """The URL of a cluster's API server, and the CA (PEM text) of its certificate."""

    server: str
    authority: str


@dataclass(frozen=True)
class ClusterConnection:
    """The server's URL, its connections, and what returns the library's settings for it.

    `authority` is the CA of an EKS cluster, '' where a kubeconfig names it.
    """

    server: str
    pools: Any
    settings: Callable[[], Any]
    authority: str = ""

    @classmethod
    def of_library(cls, api: Any) -> ClusterConnection:
        """Return the connection of the library's ApiClient, which a kubeconfig describes."""
        pools = api.rest_client.pool_manager
        if pools.connection_pool_kw.get("ca_certs"):
            pools.connection_pool_kw["ssl_context"] = _context()
        return cls(str(api.configuration.host), pools, lambda: api.configuration)

    @classmethod
    def of_eks(cls, endpoint: ClusterEndpoint) -> ClusterConnection:
        """Return the connection to an EKS cluster; the environment's proxies are used."""

        def settings() -> Any:
            from kubernetes import client

            return client.Configuration(
                host=endpoint.server,
                ca_cert_data=endpoint.authority,
                retries=False,
                proxy_headers=login_headers(proxy_of(endpoint.server)) or None,
            )

        return cls(endpoint.server, _pools(endpoint), settings, endpoint.authority)

    @contextmanager
    def web_socket_settings(self) -> Iterator[Any]:
        """Yield the library's settings for a WebSocket, which takes the CA from a file only."""
        if not self.authority:
            yield self.settings()
            return
        settings = copy.copy(self.settings())
        with temporary_folder() as folder:
            file = folder / "ca.pem"
            write_temporary(file, self.authority.encode())
            settings.ssl_ca_cert = str(file)
            yield settings


MOST_IDLE = 10
"""Idle connections that are kept: steps run in parallel."""


def _pools(endpoint: ClusterEndpoint) -> urllib3.PoolManager:
    # Each request says itself how often it is tried: KubeClient repeats.
    return pools_for(
        endpoint.server,
        cert_reqs="CERT_REQUIRED",
        ssl_context=_context(),
        ca_cert_data=endpoint.authority,
        maxsize=MOST_IDLE,
    )


def _context() -> ssl.SSLContext:
    """Return the TLS context for a CA of EKS: chain, host and time are checked, the form is not.

    Python 3.13 and newer ask for extensions that the CAs of clusters of 2020 and before lack:
    https://docs.python.org/3.13/whatsnew/3.13.html#ssl (VERIFY_X509_STRICT), and
    https://github.com/kubernetes-client/python/issues/2394.
    """
    context = ssl_.create_urllib3_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
