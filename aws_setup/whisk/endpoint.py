"""What is known about an OpenWhisk API host: its URL, its key, its certificate."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aws_setup.errors import Refused

WELL_KNOWN_GUEST = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
"""User part of the key that every OpenWhisk has until it is changed (apache/openwhisk,
ansible/files/auth.guest); it is public, so it protects nothing."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenWhisk API host and how to be let in.

    `fingerprint` is the SHA-256 of the certificate that the host must show, in hex; with
    `insecure` any certificate will do. `cert` and `key` are files of a client certificate.
    """

    url: str
    auth: str = field(repr=False)
    source: str = ""
    api_version: str = "v1"
    fingerprint: str = ""
    insecure: bool = False
    cert: str = ""
    key: str = field(default="", repr=False)

    @property
    def well_known_key(self) -> bool:
        """Whether the key is the one that everybody knows."""
        return self.auth.startswith(WELL_KNOWN_GUEST + ":")


def host_url(text: str) -> str:
    """Return an API host as a URL, as `wsk` reads it: https unless it says http.

    Raises:
        Refused: it is no host, or has more than scheme, host and port.
    """
    match = re.match(r"https?://", text.strip(), re.IGNORECASE)
    scheme = match[0] if match else "https://"
    url = scheme + (text.strip()[len(scheme) :] if match else text.strip()).rstrip("/")
    try:
        parts = urlsplit(url)
        sound = parts.hostname and (parts.port or True) and not re.search(r"\s", url)
    except ValueError:
        sound, parts = False, urlsplit("")
    if not sound or parts.path or parts.query or parts.username:
        raise Refused(
            f"{text!r} is not an API host",
            "it must be a host name or address, with http:// or https:// and a port if need be",
            "for example --apihost http://my-load-balancer.us-east-1.elb.amazonaws.com:80",
        )
    return url


def check_auth(auth: str, *, source: str) -> str:
    """Return the key; raises Refused when it does not look like `uuid:key`."""
    user, _, secret = auth.strip().partition(":")
    if not user or not secret or re.search(r"\s", auth.strip()):
        raise Refused(
            "the OpenWhisk key is not in the form uuid:key",
            f"it came from {source}",
            "copy it whole, as one line",
        )
    return auth.strip()
