"""A kubeconfig for the stand-in."""

from __future__ import annotations

import base64

from aws_setup.rehearsal.kube.errors import KubeObject


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
