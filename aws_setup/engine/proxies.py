"""The proxy that the environment names: for which hosts, with which login, and why it refuses."""

from __future__ import annotations

import base64
import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from aws_setup.engine.http_deadline import AT_PROXY, POOLS
from aws_setup.errors import SetupError

HINT_LOGIN = (
    "write your user name and password for the proxy in HTTPS_PROXY, as in "
    "http://USER:PASSWORD@HOST:PORT, special characters percent-encoded"
)
HINT_FORBIDDEN = (
    "ask who runs the proxy of HTTPS_PROXY to let this host through, or add the host to NO_PROXY "
    "if it can be reached without the proxy"
)
HINT_ADDRESS = "check HTTPS_PROXY: the proxy that it names does not answer"

_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""What http.client says of a proxy's answer to CONNECT (CPython, Lib/http/client.py, _tunnel)."""


def proxy_of(url: str) -> str:
    """Return the proxy that the environment names for a URL, '' for none.

    This computer itself, where tunnels end, is never behind a proxy.
    """
    parts = urlsplit(url)
    if _is_loopback(parts.hostname or ""):
        return ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return "" if not proxy or proxy_bypass(parts.netloc) else proxy


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def login_headers(proxy: str | None) -> dict[str, str]:
    """Return the headers with the user name and password of an http proxy's URL; {} without.

    urllib3, and libraries that use it, ignore them in the URL:
    https://urllib3.readthedocs.io/en/stable/advanced-usage.html#http-and-https-proxies.
    SOCKS has a login of its own.
    """
    parts = urlsplit(proxy or "")
    if not parts.scheme.startswith("http") or parts.username is None or parts.password is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password)}".encode()
    return {"proxy-authorization": f"Basic {base64.b64encode(login).decode()}"}


def pools_for(url: str, **options: Any) -> urllib3.PoolManager:
    """Return urllib3's pools for a URL, through the environment's proxy if it names one.

    The requests can be limited by `guarded`.

    Args:
        url: what is to be reached; of another scheme or host the proxy may differ.
        options: those of urllib3's PoolManager.

    Raises:
        SetupError: the proxy's URL cannot be used.
    """
    proxy = proxy_of(url)
    try:
        pools = _pools(proxy, options)
    except (ImportError, ValueError) as error:
        missing = isinstance(error, ImportError)
        host = urlsplit(url).hostname
        raise SetupError(
            f"{host} cannot be reached through the proxy that the environment names",
            # Not the library's text: the URL that it shows may have a password.
            "PySocks is not installed" if missing else "it is no URL of a proxy",
            "write HTTPS_PROXY as http://HOST:PORT (for socks://: `pip install PySocks`), or add "
            f"{host} to NO_PROXY",
        ) from None
    # Before the first request, so that every connection has a deadline.
    pools.pool_classes_by_scheme = POOLS
    return pools


def _pools(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    if not proxy:
        return urllib3.PoolManager(**options)
    if proxy.startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager

        return SOCKSProxyManager(proxy, **options)
    return urllib3.ProxyManager(proxy, proxy_headers=login_headers(proxy), **options)


def tunnel_refusal(status: str) -> str:
    """Return the reason of a proxy's own answer to plain http, as if it were one to CONNECT."""
    return f"{AT_PROXY}: Tunnel connection failed: {status}"


def refused_by_proxy(why: str) -> bool:
    """Return whether a proxy refuses a request for good: a login is missing, or it is forbidden."""
    found = _STATUS.search(why)
    return found is not None and found[1] in {"403", "407"}


def proxy_hint(why: str) -> str:
    """Return the fix where the proxy does not connect; '' where it is not to blame.

    Args:
        why: what why_broken says of the error.
    """
    if AT_PROXY not in why:
        return ""
    found = _STATUS.search(why)
    if not found:
        return HINT_ADDRESS
    return {"407": HINT_LOGIN, "403": HINT_FORBIDDEN}.get(found[1], "")
