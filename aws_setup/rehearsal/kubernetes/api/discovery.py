"""The paths that describe the server: health, version, groups, schemas.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api import kinds, openapi
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject, no_such_path
from aws_setup.rehearsal.kubernetes.api.http_requests import Request, forbidden_path
from aws_setup.rehearsal.kubernetes.api.responses import ApiResponse

HEALTH = {"/healthz", "/readyz", "/livez"}
OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Media type of the old schema; with an empty one clients skip their own validation."""


def answer(request: Request, *, version: str) -> ApiResponse | None:
    """Return the answer to such a path; None for any other.

    Raises:
        ApiError: 403 for an anonymous caller of what only known ones may read, 404 for a schema
            of a group that is not served.
    """
    path = request.path
    if path in HEALTH:
        return ApiResponse(200, "ok")
    if path == "/version":
        return ApiResponse(200, _version(version))
    found = _document(path)
    if request.user.anonymous and (found or not path.startswith(("/api/", "/apis/"))):
        raise forbidden_path(request)
    if path == "/openapi/v2":
        return ApiResponse(200, "", OPENAPI_V2)
    if path.startswith("/openapi/") and found is None:
        raise no_such_path()
    return ApiResponse(200, found) if found else None


def _document(path: str) -> KubeObject | None:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return kinds.groups()
    if path == "/openapi/v3":
        return openapi.index()
    if path.startswith("/openapi/v3/"):
        return openapi.document(path.removeprefix("/openapi/v3/"))
    if path.startswith(("/api/", "/apis/")):
        name = path.removeprefix("/apis/").removeprefix("/api/")
        return kinds.resources(name) or kinds.group(name)
    return None


def _version(version: str) -> KubeObject:
    major, minor = version.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.26",
        "compiler": "gc",
        "platform": "linux/amd64",
    }
