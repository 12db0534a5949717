"""Reviews, which are answered and not stored: access, rules, the caller, tokens.

https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta

from aws_setup.rehearsal.kubernetes.api import bodies, schema
from aws_setup.rehearsal.kubernetes.api.errors import (
    KubeObject,
    bad_request,
    invalid,
    method_not_allowed,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.http_requests import Request, User
from aws_setup.rehearsal.kubernetes.api.kinds import REVIEWS

TOKEN_SECONDS = 3600
"""Lifetime of a service account's token, unless the request names another."""

SHORTEST_TOKEN_SECONDS = 600


def review(request: Request) -> KubeObject | None:
    """Return the answer to a review; None for any other path.

    Raises:
        ApiError: 405 for another method than POST, 400 or 422 for an invalid review.
    """
    name = REVIEWS.get(request.path.removeprefix("/apis/"))
    if name is None:
        return None
    if request.method != "POST":
        raise method_not_allowed()
    group_version = request.path.removeprefix("/apis/").rpartition("/")[0]
    named = {"kind": name, "apiVersion": group_version, "metadata": {}}
    body = _read(request, f"{group_version}/{name}")
    return named | ANSWERS[name](request.user, body)


def _read(request: Request, key: str) -> KubeObject:
    value = bodies.read(request)
    try:
        return schema.decode(key, value).obj
    except schema.WrongType as error:
        name = key.rpartition("/")[2]
        raise bad_request(
            f'{name} in version "v1" cannot be handled as a {name}: {error}'
        ) from error


def _access(user: User, body: KubeObject) -> KubeObject:
    spec = body.get("spec") or {}
    both = [key for key in ("resourceAttributes", "nonResourceAttributes") if spec.get(key)]
    if len(both) != 1:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid(
            "SelfSubjectAccessReview.authorization.k8s.io",
            "",
            wrong("spec.resourceAttributes", spec.get("resourceAttributes"), why),
        )
    return {"spec": spec, "status": {"allowed": user.admin}}


def _rules(user: User, body: KubeObject) -> KubeObject:
    spec = body.get("spec") or {}
    if not spec.get("namespace"):
        raise bad_request("no namespace on request")
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    status = {
        "resourceRules": [everything] if user.admin else [],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}] if user.admin else [],
        "incomplete": False,
    }
    return {"spec": {}, "status": status}


def _caller(user: User, body: KubeObject) -> KubeObject:
    return {"status": {"userInfo": {"username": user.name, "groups": list(user.all_groups)}}}


ANSWERS: dict[str, Callable[[User, KubeObject], KubeObject]] = {
    "SelfSubjectAccessReview": _access,
    "SelfSubjectRulesReview": _rules,
    "SelfSubjectReview": _caller,
}


def service_account_token(request: Request, account: KubeObject, *, now: datetime) -> KubeObject:
    """Return the answer to a TokenRequest for a service account.

    Raises:
        ApiError: 422, the requested lifetime is too short.
    """
    body = _read(request, "authentication.k8s.io/v1/TokenRequest")
    spec = body.get("spec") or {}
    seconds = spec.get("expirationSeconds", TOKEN_SECONDS)
    if seconds < SHORTEST_TOKEN_SECONDS:
        why = "may not specify a duration less than 10 minutes"
        raise invalid("TokenRequest", "", wrong("spec.expirationSeconds", seconds, why))
    meta = account["metadata"]
    subject = f"system:serviceaccount:{meta['namespace']}:{meta['name']}"
    ends = now + timedelta(seconds=seconds)
    claims = {"sub": subject, "exp": int(ends.timestamp()), "iss": "rehearsal"}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "spec": spec | {"expirationSeconds": seconds},
        "status": {
            # Nothing in the rehearsal accepts this token: it has no signature.
            "token": f"{token}.",
            "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
