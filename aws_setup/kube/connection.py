"""How the API server of a cluster is reached: over urllib3, as the Kubernetes library does it.

The library imports its informers, its OAuth clients and much else with anything of it, which takes
longer than all requests of a destroy: an EKS cluster needs none of that but for port forwarding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from aws_setup.engine.temporary_files import temporary_folder, write_temporary
from aws_setup.errors import SetupError


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
        return cls(
            str(api.configuration.host), api.rest_client.pool_manager, lambda: api.configuration
        )

    @classmethod
    def of_eks(cls, endpoint: ClusterEndpoint) -> ClusterConnection:
        """Return the connection to an EKS cluster; the environment's proxies are used."""

        def settings() -> Any:
            from kubernetes import client

            return client.Configuration(
                host=endpoint.server, ca_cert_data=endpoint.authority, retries=False
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
    options: Any = {
        "cert_reqs": "CERT_REQUIRED",
        "ca_cert_data": endpoint.authority,
        "maxsize": MOST_IDLE,
    }
    proxy = proxy_of(endpoint.server)
    if not proxy:
        return urllib3.PoolManager(**options)
    try:
        if proxy.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(proxy, **options)
        return urllib3.ProxyManager(proxy, **options)
    except (ImportError, ValueError) as error:
        missing = isinstance(error, ImportError)
        raise SetupError(
            "the cluster cannot be reached through the proxy that the environment names",
            # Not the library's text: the URL that it shows may have a password.
            "PySocks is not installed" if missing else "it is no URL of a proxy",
            "write HTTPS_PROXY as http://HOST:PORT (for socks://: `pip install PySocks`), or add "
            f"{urlsplit(endpoint.server).hostname} to NO_PROXY",
        ) from None


def proxy_of(url: str) -> str:
    """Return the proxy that the environment names for a URL, '' for none."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return "" if not proxy or proxy_bypass(parts.netloc) else proxy
