"""Container images: which contents their names have at present, as their registries answer.

Only HEAD requests without credentials: nothing is downloaded, and Docker Hub does not count them
as pulls (https://docs.docker.com/docker-hub/usage/pulls/). Libraries for registries bring a second
HTTP library, read credentials of the user's (~/.netrc) and do not bound answers; what is needed of
the protocol is one request.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from aws_setup.config.version import USER_AGENT

VARIABLE = "AWS_SETUP_REGISTRY"
"""Environment variable with a URL that precedes the host name of each registry."""

DOCKER_HUB = "registry-1.docker.io"

TIMEOUT_SECONDS = 8.0
"""Seconds for all images together; they are asked for side by side."""

MOST = 60
"""Images that are asked for; a deployment has about twenty."""

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Both forms of lists first: of an image for several platforms, the digest of the list is recorded.

https://docs.docker.com/reference/api/registry/latest/
"""

_TOKEN_BYTES = 64 * 1024
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_REPOSITORY = re.compile(r"^[a-z0-9]+((\.|_|__|-+|/)[a-z0-9]+)*$")
_HOST = re.compile(r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?$")
_REFERENCE = re.compile(r"^(\w[\w.-]{0,127}|sha256:[0-9a-f]{64})$")
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"')


@dataclass(frozen=True)
class Image:
    """An image in a registry; `reference` is a tag or a digest."""

    host: str
    repository: str
    reference: str


@dataclass(frozen=True)
class RegistryAnswer:
    """What a registry answers about an image: its digest, that it has none, or no answer (why)."""

    digest: str = ""
    gone: bool = False
    why: str = ""


def image_of(name: str) -> Image | None:
    """Return where an image is pulled from, None for a name that is none.

    https://github.com/distribution/reference (the first part is a host when it has a dot or a port,
    or is localhost; what has no host is in Docker Hub, in `library` when it has one part).
    """
    path, _, digest = name.partition("@")
    before, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        before, tag = path, "latest"
    first, slash, rest = before.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, repository = first, rest
    else:
        host, repository = "docker.io", before
    if host in {"docker.io", "index.docker.io"}:
        host = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    found = Image(host, repository, digest or tag)
    right = _HOST.match(host) and _REPOSITORY.match(repository) and _REFERENCE.match(digest or tag)
    return found if right else None


def ask(names: Sequence[str], *, seconds: float = TIMEOUT_SECONDS) -> dict[str, RegistryAnswer]:
    """Return for each name of an image what its registry answers within some seconds."""
    answers: dict[str, RegistryAnswer] = {}

    def one(name: str, image: Image) -> None:
        answers[name] = _answer(image, seconds)

    asked = {name: image_of(name) for name in dict.fromkeys(names[:MOST])}
    threads = [
        # Daemons: the time-out of a socket does not end an answer of a byte a second.
        threading.Thread(target=one, args=(name, image), daemon=True)
        for name, image in asked.items()
        if image
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    known = dict(answers)
    late = RegistryAnswer(why=f"no answer within {seconds:g} s")
    invalid = RegistryAnswer(why="it is not the name of an image")
    missing = {name: late if image else invalid for name, image in asked.items()}
    return missing | known


def _answer(image: Image, seconds: float) -> RegistryAnswer:
    try:
        headers = _head(image, seconds)
    except HTTPError as error:
        return _refused(image, error)
    except (OSError, ValueError, HTTPException) as error:
        return RegistryAnswer(why=f"{image.host} did not answer: {_reason(error)}")
    digest = headers.get("Docker-Content-Digest", "")
    if not _DIGEST.match(digest):
        return RegistryAnswer(
            why=f"{image.host} answered without a digest: no registry, or a proxy"
        )
    return RegistryAnswer(digest)


def _refused(image: Image, error: HTTPError) -> RegistryAnswer:
    """Return what a status says: a registry hides a missing repository behind 401 or 403.

    https://docs.docker.com/reference/api/registry/auth/ (what the token lacks is `denied`)
    """
    error.close()
    why = f"{image.host} answered HTTP {error.code}"
    if error.code in {401, 403}:
        why = f"{image.host} shows it to nobody without a login, or has no such image"
    elif error.code == 429:
        why = f"{image.host} limits requests at present"
    return RegistryAnswer(gone=True) if error.code == 404 else RegistryAnswer(why=why)


def _head(image: Image, seconds: float) -> HTTPMessage:
    """Return the headers of an image's manifest; asks for a token when the registry wants one."""
    base = os.environ.get(VARIABLE, "").rstrip("/")
    root = f"{base}/{image.host}" if base else f"https://{image.host}"
    url = f"{root}/v2/{image.repository}/manifests/{image.reference}"
    headers = {"User-Agent": USER_AGENT, "Accept": ", ".join(MANIFESTS)}
    try:
        return _open("HEAD", url, headers, seconds)[0]
    except HTTPError as error:
        error.close()
        wanted = error.headers.get("WWW-Authenticate", "") if error.code == 401 else ""
        if not wanted.lower().startswith("bearer "):
            raise
    token = _token(dict(_CHALLENGE.findall(wanted)), image, seconds, secure=not base)
    return _open("HEAD", url, headers | {"Authorization": f"Bearer {token}"}, seconds)[0]


def _token(challenge: Mapping[str, str], image: Image, seconds: float, *, secure: bool) -> str:
    """Return a token for reading one repository, of nobody in particular.

    https://docs.docker.com/reference/api/registry/auth/
    """
    realm = challenge.get("realm", "")
    if urlsplit(realm).scheme not in ({"https"} if secure else {"https", "http"}):
        raise ValueError("it sends clients to an address without TLS")
    query = {"scope": f"repository:{image.repository}:pull"}
    if service := challenge.get("service"):
        query["service"] = service
    url = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}"
    body = _open("GET", url, {"User-Agent": USER_AGENT}, seconds)[1]
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    fields = answer if isinstance(answer, dict) else {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or not re.match(r"^[\x21-\x7e]+$", token):
        raise ValueError("it gave no token")
    return token


def _open(
    method: str, url: str, headers: Mapping[str, str], seconds: float
) -> tuple[HTTPMessage, bytes]:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{VARIABLE} is not a URL")
    request = urllib.request.Request(url, headers=dict(headers), method=method)
    # The URL is https, or what the user has set in the environment.
    with urllib.request.urlopen(request, timeout=seconds) as response:  # nosec B310
        return response.headers, response.read(_TOKEN_BYTES)


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return " ".join(str(getattr(inner, "strerror", None) or inner).split())[:120]
