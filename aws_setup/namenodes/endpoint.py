"""What is known about an OpenWhisk API host: its URL, its key, its certificate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aws_setup.errors import Refused
from aws_setup.openwhisk.credentials_file import (
    OpenWhiskCredentials,
    WskProperty,
    properties_file,
    read,
)

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


FLAG = "the command line"


@dataclass(frozen=True)
class EndpointOptions:
    """What the command line says of the API host; '' is not given."""

    apihost: str = ""
    auth: str = field(default="", repr=False)
    insecure: bool = False


@dataclass(frozen=True)
class EndpointSource:
    """Something of the deployment that may know its OpenWhisk; None when it does not.

    A `remote` one is asked only when host or key would be missing otherwise.
    """

    name: str
    ask: Callable[[], OpenWhiskCredentials | None]
    remote: bool = False


@dataclass(frozen=True)
class EndpointSources:
    """Where to look: the environment, the home folder, and the deployment's sources in order."""

    environment: Mapping[str, str]
    home: Path
    deployment: tuple[EndpointSource, ...] = ()


def find_endpoint(given: EndpointOptions, places: EndpointSources) -> Endpoint:
    """Return the API host with its key.

    Raises:
        Refused: nobody knows the API host or the key, or one is malformed.
    """
    known = read(places.environment, places.home)
    for key, value in (("APIHOST", given.apihost), ("AUTH", given.auth)):
        if value:
            known[key] = WskProperty(value, FLAG)
    url = host_url(known["APIHOST"].value) if "APIHOST" in known else ""
    complete = {"APIHOST", "AUTH"} <= known.keys()
    source, access = _deployment(places, url, remote=not complete)
    if access:
        known = {"APIHOST": WskProperty(access.apihost, source)} | known
        known |= {} if "AUTH" in known else {"AUTH": WskProperty(access.auth, source)}
    _complete(known, places)
    return Endpoint(
        url=host_url(known["APIHOST"].value),
        auth=check_auth(known["AUTH"].value, source=known["AUTH"].source),
        source=known["APIHOST"].source,
        api_version=_value(known, "APIVERSION") or "v1",
        fingerprint=access.fingerprint if access else "",
        insecure=given.insecure,
        cert=_value(known, "CERT"),
        key=_value(known, "KEY"),
    )


def _value(known: Mapping[str, WskProperty], key: str) -> str:
    return known[key].value if key in known else ""


def _complete(known: Mapping[str, WskProperty], places: EndpointSources) -> None:
    """Raise Refused when nothing names the API host, or its key."""
    if "APIHOST" not in known:
        raise _no_endpoint(places)
    if not _value(known, "AUTH"):
        host = known["APIHOST"]
        raise Refused(
            f"there is no key for the API host {host.value}",
            f"{host.source} names the host, and nothing names a key",
            "give it by WHISK_AUTH or --auth; configure_eks_cluster.py keeps the deployment's own",
        )


def _deployment(
    places: EndpointSources, url: str, *, remote: bool
) -> tuple[str, OpenWhiskCredentials | None]:
    """Return the first deployment source that knows an API host: `url`, when there is one."""
    for source in places.deployment:
        access = source.ask() if remote or not source.remote else None
        if access and (not url or host_url(access.apihost) == url):
            return source.name, access
    return "", None


def _no_endpoint(places: EndpointSources) -> Refused:
    tried = [
        "--apihost",
        "WHISK_APIHOST",
        str(properties_file(places.environment, places.home)),
        *(source.name for source in places.deployment),
    ]
    return Refused(
        "nobody knows where OpenWhisk is",
        f"looked at {', '.join(tried)}",
        "run configure_eks_cluster.py first, or give --apihost and --auth",
    )
