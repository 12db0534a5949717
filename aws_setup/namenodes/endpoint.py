"""An OpenWhisk API host: its URL, its key, its certificate, and where they are configured."""

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
    missing_host,
    properties_file,
    read,
)

WELL_KNOWN_GUEST = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
"""User part of OpenWhisk's public default key (apache/openwhisk, ansible/files/auth.guest)."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenWhisk API host and the credentials for it.

    `fingerprint` is the SHA-256 of the certificate that the host must present, in hex; with
    `insecure` any certificate is accepted. `cert` and `key` are files of a client certificate.
    `internal_url` is the API host within the VPC, '' where only `url` is known.
    """

    url: str
    auth: str = field(repr=False)
    source: str = ""
    api_version: str = "v1"
    fingerprint: str = ""
    insecure: bool = False
    cert: str = ""
    key: str = field(default="", repr=False)
    internal_url: str = ""

    @property
    def inside(self) -> str:
        """The API host as it is reached within the VPC, past the public load balancer."""
        return self.internal_url or self.url

    @property
    def well_known_key(self) -> bool:
        """Whether the key is OpenWhisk's public default."""
        return self.auth.startswith(WELL_KNOWN_GUEST + ":")


def host_url(text: str) -> str:
    """Return an API host as a URL, as `wsk` reads it: https unless the scheme is http.

    Raises:
        Refused: it is not a host, or has more than scheme, host and port.
    """
    match = re.match(r"https?://", text.strip(), re.IGNORECASE)
    scheme = match[0] if match else "https://"
    url = scheme + (text.strip()[len(scheme) :] if match else text.strip()).rstrip("/")
    try:
        parts = urlsplit(url)
        is_valid = parts.hostname and (parts.port or True) and not re.search(r"\s", url)
    except ValueError:
        is_valid, parts = False, urlsplit("")
    if not is_valid or parts.path or parts.query or parts.username:
        raise Refused(
            f"{text!r} is not an API host",
            "it must be a host name or address, optionally with http:// or https:// and a port",
            "set it as in --apihost http://my-load-balancer.us-east-1.elb.amazonaws.com:80",
        )
    return url


def check_auth(auth: str, *, source: str) -> str:
    """Return the key; raises Refused when its form is not `uuid:key`."""
    user, _, secret = auth.strip().partition(":")
    if not user or not secret or re.search(r"\s", auth.strip()):
        raise Refused(
            "the OpenWhisk key is not in the form uuid:key",
            f"its source is {source}",
            "copy the complete key, as one line",
        )
    return auth.strip()


FLAG = "the command line"


@dataclass(frozen=True)
class EndpointOptions:
    """The API host on the command line; '' means not set."""

    apihost: str = ""
    auth: str = field(default="", repr=False)
    insecure: bool = False


@dataclass(frozen=True)
class EndpointSource:
    """A source of the deployment's credentials; `ask` returns None when it has none.

    A `remote` one is asked only when host or key is missing otherwise.
    """

    name: str
    ask: Callable[[], OpenWhiskCredentials | None]
    remote: bool = False


@dataclass(frozen=True)
class EndpointSources:
    """The search order: the environment, the home folder, then the deployment's sources."""

    environment: Mapping[str, str]
    home: Path
    deployment: tuple[EndpointSource, ...] = ()


def find_endpoint(options: EndpointOptions, sources: EndpointSources) -> Endpoint:
    """Return the API host with its key.

    Raises:
        Refused: no source has the API host or the key, or one is malformed.
    """
    known = read(sources.environment, sources.home)
    for key, value in (("APIHOST", options.apihost), ("AUTH", options.auth)):
        if value:
            known[key] = WskProperty(value, FLAG)
    url = host_url(known["APIHOST"].value) if "APIHOST" in known else ""
    complete = {"APIHOST", "AUTH"} <= known.keys()
    source, access = _deployment(sources, url, remote=not complete)
    if access:
        known = {"APIHOST": WskProperty(access.apihost, source)} | known
        known |= {} if "AUTH" in known else {"AUTH": WskProperty(access.auth, source)}
    _check_complete(known, sources)
    return Endpoint(
        url=host_url(known["APIHOST"].value),
        auth=check_auth(known["AUTH"].value, source=known["AUTH"].source),
        source=known["APIHOST"].source,
        api_version=_value(known, "APIVERSION") or "v1",
        fingerprint=access.fingerprint if access else "",
        internal_url=host_url(access.inside) if access else "",
        insecure=options.insecure,
        cert=_value(known, "CERT"),
        key=_value(known, "KEY"),
    )


def _value(known: Mapping[str, WskProperty], key: str) -> str:
    return known[key].value if key in known else ""


def _check_complete(known: Mapping[str, WskProperty], sources: EndpointSources) -> None:
    """Raise Refused when no source has the API host, or its key."""
    if "APIHOST" not in known:
        raise _no_endpoint(sources)
    if not _value(known, "AUTH"):
        host = known["APIHOST"]
        raise Refused(
            f"there is no key for the API host {host.value}",
            f"{host.source} sets the host, and no source sets a key",
            "set WHISK_AUTH or --auth, or run python configure_eks_cluster.py, which stores a key",
        )


def _deployment(
    sources: EndpointSources, url: str, *, remote: bool
) -> tuple[str, OpenWhiskCredentials | None]:
    """Return the first source of the deployment with an API host: with `url`, unless it is ''."""
    for source in sources.deployment:
        access = source.ask() if remote or not source.remote else None
        if access and (not url or url in {host_url(access.apihost), host_url(access.inside)}):
            return source.name, access
    return "", None


def _no_endpoint(sources: EndpointSources) -> Refused:
    tried = [
        "--apihost",
        "WHISK_APIHOST",
        str(properties_file(sources.environment, sources.home)),
        *(source.name for source in sources.deployment),
    ]
    file = missing_host(sources.environment, sources.home)
    return Refused(
        "cannot determine the OpenWhisk API host",
        f"none of these sets it: {', '.join(tried)}{f'; {file}' if file else ''}",
        "run python configure_eks_cluster.py first, or set --apihost and --auth",
    )
