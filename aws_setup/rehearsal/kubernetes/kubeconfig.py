"""The kubeconfig of an emulated API server, and the check of its token."""

from __future__ import annotations

import base64
from collections.abc import Callable

from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.http_requests import ADMINS, User

Authenticate = Callable[[str], User]
"""Returns the user of an Authorization header; raises ApiError 401."""


def token_authenticator(*tokens: str) -> Authenticate:
    """Return an authenticator that accepts these tokens, as an administrator."""

    def check(header: str) -> User:
        if header.removeprefix("Bearer ") not in tokens:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return User("kubernetes-admin", admin=True, groups=(ADMINS,))

    return check


def kubeconfig_document(url: str, ca_pem: str, *, token: str, namespace: str) -> KubeObject:
    """Return a kubeconfig with one context and a bearer token."""
    ca = base64.b64encode(ca_pem.encode()).decode()
    context = {"cluster": "rehearsal", "user": "rehearsal", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "rehearsal", "cluster": {"server": url, "certificate-authority-data": ca}}
        ],
        "users": [{"name": "rehearsal", "user": {"token": token}}],
        "contexts": [{"name": "rehearsal", "context": context}],
        "current-context": "rehearsal",
    }
