"""The fix of a volume, or of the driver that makes volumes, by what it waits for."""

from __future__ import annotations

import re

NOT_AUTHORISED = "see docs/configure.md, 'The EBS CSI driver is not authorised'"

_DENIED = re.compile(r"UnauthorizedOperation|AccessDenied|WebIdentityErr|IAM permissions")
"""EC2's and STS's codes in the driver's events, and EKS's code of an add-on's health issue.

https://docs.aws.amazon.com/eks/latest/APIReference/API_AddonIssue.html
"""

_NO_NODE = re.compile(r"nodes are available|no nodes available")
"""The scheduler's message (kubernetes/kubernetes, pkg/scheduler/framework/types.go, FitError)."""

_NO_VOLUME = re.compile(r"PersistentVolume|persistent volume|volumes? to bind|binding volumes")
"""In the same message, where a node is missing no longer, but the volume itself."""


def volume_hint(state: str) -> str:
    """Return the fix of a claim that is not bound, by its state and newest event."""
    if _DENIED.search(state):
        return NOT_AUTHORISED
    if _NO_NODE.search(state) and not _NO_VOLUME.search(state):
        return (
            "give the pod a node: `kubectl get nodes`, `kubectl describe nodes`; then run "
            "configure again"
        )
    return (
        "read `kubectl -n kube-system logs deploy/ebs-csi-controller -c csi-provisioner`, then "
        "run configure again"
    )


def addon_hint(state: str) -> str:
    """Return the fix of an add-on that is not ACTIVE, by its status and health issues."""
    if _DENIED.search(state):
        return NOT_AUTHORISED
    return (
        "run `kubectl -n kube-system get pods`: its pods say what they wait for; then run "
        "configure again"
    )
