"""The parameters of requests: options of writes, selectors, pages and versions of lists.

https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import (
    ApiError,
    FieldError,
    KubeObject,
    bad_request,
    expired,
    invalid,
    not_allowed,
    required,
    too_long,
    unsupported,
)
from aws_setup.rehearsal.kubernetes.api.http_requests import Request

OPTIONS = {
    "POST": "CreateOptions",
    "PUT": "UpdateOptions",
    "PATCH": "PatchOptions",
    "DELETE": "DeleteOptions",
    "GET": "ListOptions",
}
VALIDATION_DIRECTIVES = ("", "Ignore", "Strict", "Warn")
POLICIES = ("Foreground", "Background", "Orphan")
MATCHES = ("Exact", "NotOlderThan")
MANAGER_BYTES = 128


def check_write(request: Request, *, applies: bool = False) -> None:
    """Check the parameters of a write; raises ApiError 422."""
    query, found = request.query, list[FieldError]()
    if query.get("dryRun") not in {None, "", "All"}:
        found.append(unsupported("dryRun", query["dryRun"], ("All",)))
    directive = query.get("fieldValidation", "")
    if directive not in VALIDATION_DIRECTIVES:
        found.append(unsupported("fieldValidation", directive, VALIDATION_DIRECTIVES))
    manager = query.get("fieldManager", "")
    if len(manager) > MANAGER_BYTES:
        found.append(too_long("fieldManager", MANAGER_BYTES))
    if applies and not manager:
        found.append(required("fieldManager", "is required for apply patch"))
    if request.method == "PATCH" and not applies and "force" in query:
        found.append(not_allowed("force", "may not be specified for non-apply patch"))
    _reject(request, found)


def check_delete(request: Request, options: KubeObject) -> None:
    """Check the options of a deletion; raises ApiError 422."""
    found = list[FieldError]()
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in POLICIES:
        found.append(unsupported("propagationPolicy", policy, (*POLICIES, "nil")))
    if policy is not None and options.get("orphanDependents") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        found.append(not_allowed("propagationPolicy", why))
    for value in options.get("dryRun") or []:
        if value != "All":
            found.append(unsupported("dryRun", value, ("All",)))
    _reject(request, found)


def _reject(request: Request, found: list[FieldError]) -> None:
    if found:
        raise invalid(f"{OPTIONS[request.method]}.meta.k8s.io", "", *found)


def number(request: Request, name: str, *, default: int = 0) -> int:
    """Return a whole number among the parameters; raises ApiError 400 for anything else."""
    text = request.query.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax ({name})') from error


def check_list(request: Request, *, version: int) -> None:
    """Check the parameters of a list or watch against the store's version.

    Raises:
        ApiError: 400 for an unreadable number, 422 for options that exclude each other, 504 for a
            version that does not exist yet.
    """
    query, found = request.query, list[FieldError]()
    number(request, "limit")
    number(request, "timeoutSeconds")
    match, wanted = query.get("resourceVersionMatch"), query.get("resourceVersion", "")
    initial = query.get("sendInitialEvents")
    if match and not wanted and not initial:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(not_allowed("resourceVersionMatch", why))
    if match and match not in MATCHES:
        found.append(unsupported("resourceVersionMatch", match, MATCHES))
    if match and request.watches and not initial:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        found.append(not_allowed("resourceVersionMatch", why))
    if initial and not match:
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        found.append(not_allowed("resourceVersionMatch", why))
    if match == "Exact" and wanted == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.append(not_allowed("resourceVersionMatch", why))
    _reject(request, found)
    if query.get("continue") and wanted not in {"", "0"}:
        raise bad_request("specifying resource version is not allowed when using continue")
    check_version(request, version=version)


def check_version(request: Request, *, version: int) -> int:
    """Return the resourceVersion of a read, 0 for any.

    Raises:
        ApiError: 400 when it is no number, 504 when the store has not reached it.
    """
    text = request.query.get("resourceVersion", "")
    if text and not text.isdigit():
        raise bad_request(
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
            "invalid syntax"
        )
    wanted = int(text or 0)
    if wanted > version:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise ApiError(
            504,
            "Timeout",
            f"Timeout: Too large resource version: {wanted}, current: {version}",
            details={"causes": [cause], "retryAfterSeconds": 1},
        )
    return wanted


def page(
    request: Request, items: list[KubeObject], *, version: int, oldest: int
) -> tuple[list[KubeObject], KubeObject]:
    """Return one page of a list, and the metadata that leads to the next one.

    Raises:
        ApiError: 400 for a continue token that the server did not make, 410 for an old one.
    """
    token, limit = request.query.get("continue", ""), number(request, "limit")
    if token:
        start, version = _read_token(token, oldest)
        items = [item for item in items if _key(item) > start]
    meta: KubeObject = {"resourceVersion": str(version)}
    rest = items[limit:] if limit > 0 else []
    if not rest:
        return items, meta
    shown = items[:limit]
    meta["continue"] = _make_token(_key(shown[-1]), version)
    if not request.query.get("labelSelector") and not request.query.get("fieldSelector"):
        meta["remainingItemCount"] = len(rest)
    return shown, meta


def _key(item: KubeObject) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _make_token(key: tuple[str, str], version: int) -> str:
    held = {"v": "meta.k8s.io/v1", "rv": version, "start": "/".join(key)}
    return base64.urlsafe_b64encode(json.dumps(held).encode()).decode().rstrip("=")


def _read_token(token: str, oldest: int) -> tuple[tuple[str, str], int]:
    try:
        held: Any = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = str(held["start"]).partition("/")
        version = int(held["rv"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
    if version < oldest:
        raise expired(
            "The provided continue parameter is too old to display a consistent list result. You "
            "can start a new list without the continue parameter."
        )
    return (namespace, name), version
