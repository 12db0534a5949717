"""The emulated image registries, as far as reading the digest of an image goes.

Every repository exists, and has every tag, with contents that follow from its name; unlike a real
registry it cannot say of a name that it never existed, and it has no contents to pull.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest

PREFIX = "registry/"
LISTS = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
DOCKER_HUB = "registry-1.docker.io"


@dataclass
class ImageRegistries:
    """What differs from "everything exists", by canonical name: docker.io/library/redis:4."""

    moved: dict[str, str] = field(default_factory=dict)
    """Name -> the digest that its tag has now."""
    gone: set[str] = field(default_factory=set)
    """Names, with a tag or a digest, that have been deleted."""
    private: set[str] = field(default_factory=set)
    """Repositories that nobody sees without a login."""
    down: set[str] = field(default_factory=set)
    """Hosts that answer 503."""


def canonical(image: str) -> str:
    """Return the full name of an image: with its registry, and with a tag if it has no digest.

    https://github.com/distribution/reference
    """
    name, _, digest = image.partition("@")
    path, _, last = name.rpartition("/")
    host = path.partition("/")[0]
    if not path:
        path = "docker.io/library"
    elif not (set(".:") & set(host) or host == "localhost"):
        path = f"docker.io/{path}"
    last, _, tag = last.partition(":")
    return f"{path}/{last}@{digest}" if digest else f"{path}/{last}:{tag or 'latest'}"


def digest_of(image: str) -> str:
    """Return the digest of an image of that name, as long as its tag has not moved."""
    name = canonical(image)
    digest = name.partition("@")[2]
    return digest or f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def answer(registries: ImageRegistries, request: HttpRequest, base: str) -> HttpAnswer:
    """Answer a request below /_rehearsal/registry/HOST/.

    https://docs.docker.com/reference/api/registry/latest/ and …/registry/auth/
    """
    url = urlsplit(request.target)
    host, _, path = url.path.partition(PREFIX)[2].partition("/")
    if host in registries.down:
        return _error(503, "UNAVAILABLE", "service unavailable")
    if path == "token":
        [scope] = parse_qs(url.query).get("scope") or [""]
        kind, _, rest = scope.partition(":")
        repository, _, actions = rest.rpartition(":")
        named = f"{'docker.io' if host == DOCKER_HUB else host}/{repository}"
        granted = kind == "repository" and actions == "pull" and named not in registries.private
        token = f"rehearsal.{repository if granted else ''}"
        return HttpAnswer(200, json.dumps({"token": token, "expires_in": 300}).encode())
    repository, slash, reference = path.removeprefix("v2/").partition("/manifests/")
    if not (path.startswith("v2/") and slash and repository and request.method in {"GET", "HEAD"}):
        return _error(404, "UNSUPPORTED", "the rehearsal's registry knows manifests only")
    if request.headers.get("authorization") != f"Bearer rehearsal.{repository}":
        realm = f"{base}/_rehearsal/{PREFIX}{host}/token"
        scope = f"repository:{repository}:pull"
        challenge = f'Bearer realm="{realm}",service="{host}",scope="{scope}"'
        refused = _error(401, "UNAUTHORIZED", "authentication required")
        return HttpAnswer(401, refused.body, refused.headers | {"WWW-Authenticate": challenge})
    return _manifest(registries, request, host, repository, reference)


def _manifest(
    registries: ImageRegistries, request: HttpRequest, host: str, repository: str, reference: str
) -> HttpAnswer:
    mark = "@" if reference.startswith("sha256:") else ":"
    name = f"{'docker.io' if host == DOCKER_HUB else host}/{repository}{mark}{reference}"
    if name in registries.gone:
        return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
    digest = registries.moved.get(name) or digest_of(name)
    accepted = {word.strip() for word in request.headers.get("accept", "").split(",")}
    if not accepted & LISTS and mark == ":":
        # To a client that does not know lists a registry gives the manifest of one platform.
        digest = f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}"
    return HttpAnswer(200, b"{}", {"Docker-Content-Digest": digest})


def _error(status: int, code: str, message: str) -> HttpAnswer:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return HttpAnswer(status, body, {"Content-Type": "application/json"})
