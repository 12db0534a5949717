"""What the Kubernetes API refused, in words: what, why, and the mend."""

from __future__ import annotations

import json

UNREACHED = (
    "your address may have changed: `create_aws_infrastructure.py create` opens the public "
    "endpoint for it again"
)
"""The mend when nobody answers."""

HINTS = {
    401: "have somebody who may add your ARN to cluster_admins and run this again, or use the "
    "credentials that made the cluster",
    403: "your access entry lacks AmazonEKSClusterAdminPolicy: add your ARN to cluster_admins",
}
"""HTTP status -> mend."""


def refusal(method: str, path: str, status: int, text: str) -> tuple[str, str, str]:
    """Return what was refused, why, and the mend; status 0 means that nobody answered."""
    if not status:
        return "the cluster's API server does not answer", text, UNREACHED
    try:
        why = str(json.loads(text).get("message") or text)
    except (ValueError, AttributeError):
        why = text
    if status == 401:
        why = "your IAM principal has no access to this cluster's Kubernetes objects"
    what = f"Kubernetes refused {method} {path.rsplit('/', 1)[-1]} ({status})"
    return what, " ".join(why.split()), HINTS.get(status, AGAIN)


AGAIN = "run the same command again; -v shows more"
