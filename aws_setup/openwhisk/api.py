"""The API host from outside: does its name resolve, in which scheme does it answer, who is well."""

from __future__ import annotations

import hashlib
import socket
import ssl
import warnings
from dataclasses import dataclass

import urllib3

SECONDS = 10.0


@dataclass(frozen=True)
class ApiProbe:
    """An API host that answers: its URL, and the SHA-256 of its certificate with https."""

    url: str
    fingerprint: str = ""


def resolves(host: str) -> bool:
    """Say whether this computer's DNS knows a host name."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except socket.gaierror:
        return False


def find_scheme(host: str, port: int) -> ApiProbe | str:
    """Return how OpenWhisk answers at a host and port, else why it does not.

    Without TLS in the chart its port 443 speaks plain http, so https is tried first, then http.
    """
    said = ""
    for scheme in ("https", "http"):
        url = f"{scheme}://{host}:{port}"
        status, text = _get(f"{url}/ping")
        # nginx sends plain http to a port with TLS a 400 of its own.
        if status == 200 or (status and status != 400 and status < 500):
            seen = _certificate(host, port) if scheme == "https" else ""
            return ApiProbe(url, seen)
        said = said or f"{url}: {text or status}"
    return said


def healthy_invokers(url: str) -> int | str:
    """Return how many invokers OpenWhisk calls healthy, else why it does not say."""
    status, text = _get(f"{url}/invokers/healthy/count")
    body = text.strip()
    if status == 200 and body.isdigit():
        return int(body)
    return f"HTTP {status}: {body[:80]}" if status else body


def _get(url: str) -> tuple[int, str]:
    """Return status and text; status 0 and the reason when nobody answered.

    The certificate is self-signed and pinned later by its fingerprint, so it is not checked here,
    and nothing secret is sent.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        try:
            with urllib3.PoolManager(ssl_context=context) as pool:
                answer = pool.request("GET", url, timeout=SECONDS, retries=False)
                return int(answer.status), answer.data[:500].decode("utf-8", "replace")
        except urllib3.exceptions.HTTPError as error:
            return 0, " ".join(str(error).split())[-120:]


def _certificate(host: str, port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
    except OSError:
        return ""
    return hashlib.sha256(shown).hexdigest() if shown else ""
