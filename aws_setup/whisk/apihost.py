"""Where OpenWhisk is: flags, then wsk's variables and file, then the deployment, then the cluster.

API host and key are looked up one by one, as `wsk` does; but a deployment's key goes to that
deployment's API host only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.errors import Refused
from aws_setup.whisk import wskprops
from aws_setup.whisk.access import Access
from aws_setup.whisk.endpoint import Endpoint, check_auth, host_url
from aws_setup.whisk.wskprops import Property

FLAG = "the command line"


@dataclass(frozen=True)
class Given:
    """What the command line says of the API host; '' is not given."""

    apihost: str = ""
    auth: str = field(default="", repr=False)
    insecure: bool = False


@dataclass(frozen=True)
class Source:
    """Something of the deployment that may know its OpenWhisk; None when it does not.

    A `remote` one is asked only when host or key would be missing otherwise.
    """

    name: str
    ask: Callable[[], Access | None]
    remote: bool = False


@dataclass(frozen=True)
class Places:
    """Where to look: the environment, the home folder, and the deployment's sources in order."""

    environment: Mapping[str, str]
    home: Path
    deployment: tuple[Source, ...] = ()


def find_endpoint(given: Given, places: Places) -> Endpoint:
    """Return the API host with its key.

    Raises:
        Refused: nobody knows the API host or the key, or one is malformed.
    """
    known = wskprops.read(places.environment, places.home)
    for key, value in (("APIHOST", given.apihost), ("AUTH", given.auth)):
        if value:
            known[key] = Property(value, FLAG)
    url = host_url(known["APIHOST"].value) if "APIHOST" in known else ""
    complete = {"APIHOST", "AUTH"} <= known.keys()
    source, access = _deployment(places, url, remote=not complete)
    if access:
        known = {"APIHOST": Property(access.apihost, source)} | known
        known |= {} if "AUTH" in known else {"AUTH": Property(access.auth, source)}
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


def _value(known: Mapping[str, Property], key: str) -> str:
    return known[key].value if key in known else ""


def _complete(known: Mapping[str, Property], places: Places) -> None:
    """Raise Refused when nothing names the API host, or its key."""
    if "APIHOST" not in known:
        raise _nowhere(places)
    if not _value(known, "AUTH"):
        host = known["APIHOST"]
        raise Refused(
            f"there is no key for the API host {host.value}",
            f"{host.source} names the host, and nothing names a key",
            "give it by WHISK_AUTH or --auth; configure_eks_cluster.py keeps the deployment's own",
        )


def _deployment(places: Places, url: str, *, remote: bool) -> tuple[str, Access | None]:
    """Return the first deployment source that knows an API host: `url`, when there is one."""
    for source in places.deployment:
        access = source.ask() if remote or not source.remote else None
        if access and (not url or host_url(access.apihost) == url):
            return source.name, access
    return "", None


def _nowhere(places: Places) -> Refused:
    tried = [
        "--apihost",
        "WHISK_APIHOST",
        str(wskprops.properties_file(places.environment, places.home)),
        *(source.name for source in places.deployment),
    ]
    return Refused(
        "nobody knows where OpenWhisk is",
        f"looked at {', '.join(tried)}",
        "run configure_eks_cluster.py first, or give --apihost and --auth",
    )
