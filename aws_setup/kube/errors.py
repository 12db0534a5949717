"""Errors of the Kubernetes API: one class for each answer that callers tell apart."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aws_setup.engine.decoding import json_of
from aws_setup.engine.http_deadline import NOT_ACCEPTED, clock_hint
from aws_setup.engine.proxies import proxy_hint
from aws_setup.errors import Place, SetupError, address_hint

HINT_ENDPOINT = address_hint(Place.ENDPOINT)
HINT_PROXY = (
    "check HTTPS_PROXY and the VPN: something between here and the endpoint answers instead of "
    "the cluster"
)
HINT_FORWARD = (
    "run the same command again; for 403 ask for the permission to create pods/portforward; a "
    "proxy must let WebSockets pass"
)
HINT_NAME = (
    "check this computer's DNS server and VPN, and that the cluster exists: `aws eks "
    "describe-cluster`; then run the same command again"
)
HINT_NETWORK = "check the network, the VPN and HTTPS_PROXY, then run the same command again"

HINTS: Mapping[int, str] = {
    401: "ask an administrator of the cluster to add your ARN to cluster_admins and to run this "
    "again, or use the credentials that created the cluster",
    403: "add your ARN to cluster_admins: your access entry lacks AmazonEKSClusterAdminPolicy",
}
"""HTTP status -> how to fix it."""

HINT_TERMINATING = "wait until the namespace is deleted, then run the same command again"

REFUSALS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("being terminated"), HINT_TERMINATING),
    (
        re.compile("(exceeded|failed) quota"),
        "raise the namespace's ResourceQuota (kubectl get resourcequota -A), or delete it",
    ),
    (
        re.compile("violates PodSecurity"),
        "let the namespace run these pods: kubectl label namespace NAME --overwrite "
        "pod-security.kubernetes.io/enforce=privileged",
    ),
    (
        re.compile(r"admission webhook \S+ denied|ValidatingAdmissionPolicy"),
        "ask who installed this policy in the cluster for an exception; `kubectl get "
        "validatingwebhookconfigurations,validatingadmissionpolicies` lists them",
    ),
    (
        re.compile("failed calling webhook"),
        "start the pods of this webhook, or delete its configuration: kubectl get "
        "validatingwebhookconfigurations,mutatingwebhookconfigurations",
    ),
)
"""What refuses a request beside authorisation, and the fix of each, whatever the HTTP status.

kubernetes/kubernetes: plugin/pkg/admission/resourcequota, podsecurity, admission/plugin/webhook.
"""
HINT_RERUN = "run the same command again; -v shows more"


class KubeError(SetupError):
    """A request to the API server failed; `status` is the HTTP status, 0 without an answer."""

    def __init__(self, what: str, why: str, hint: str, *, status: int) -> None:
        super().__init__(what, why, hint)
        self.status = status


class KubeUnreachable(KubeError):
    """The API server did not answer (status 0)."""


class KubeBadRequest(KubeError):
    """The API server cannot do this with the object as it is (400)."""


class KubeUnauthorized(KubeError):
    """The API server does not accept the credentials (401)."""


class KubeForbidden(KubeError):
    """The credentials are accepted, but do not allow the request (403)."""


class KubeNotFound(KubeError):
    """The object, its namespace or its type does not exist (404)."""


class KubeConflict(KubeError):
    """The object exists already, or has changed since it was read (409)."""


NO_ACCESS = (KubeUnauthorized, KubeForbidden)

_CLASSES: Mapping[int, type[KubeError]] = {
    0: KubeUnreachable,
    400: KubeBadRequest,
    401: KubeUnauthorized,
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
}


def to_kube_error(method: str, path: str, status: int, text: str) -> KubeError:
    """Return the error of a failed request.

    Args:
        method: the HTTP method.
        path: the path of the request.
        status: the HTTP status, 0 when the server did not answer.
        text: the body of the answer, or the reason why there is none.
    """
    kind = _CLASSES.get(status, KubeError)
    if not status:
        what = "the cluster's API server does not answer"
        return kind(what, text, silence_hint(text), status=status)
    why = _reason(status, text)
    what = f"Kubernetes refused {method} {path.rsplit('/', 1)[-1]} ({status})"
    return kind(what, why, _hint(status, why), status=status)


def _hint(status: int, why: str) -> str:
    """Return the fix; only some of the 403s are about permissions, the others are admission's."""
    if hint := refusal_hint(why):
        return hint
    if status != 403:
        return HINTS.get(status, HINT_RERUN)
    return HINTS[status] if NO_PERMISSION.search(why) else HINT_RERUN


def refusal_hint(text: str) -> str:
    """Return the fix of what refuses a request beside authorisation, '' for anything else."""
    return next((hint for pattern, hint in REFUSALS if pattern.search(text)), "")


UNRESOLVED = "its host name does not resolve"
"""The beginning of the reason when there is no address to connect to."""


def silence_hint(why: str) -> str:
    """Return the fix where the API server does not answer: only packets are dropped by address."""
    if hint := proxy_hint(why):
        return hint
    if UNRESOLVED in why:
        return HINT_NAME
    if NOT_ACCEPTED in why:
        return clock_hint(why) or HINT_PROXY
    timed_out = "timed out" in why or "no complete answer" in why
    return HINT_ENDPOINT if timed_out else HINT_NETWORK


NO_PERMISSION = re.compile(r"\bcannot [a-z]+ (resource|path)\b")
"""What the API server's authorisation says (kubernetes, endpoints/handlers/responsewriters)."""


def _reason(status: int, text: str) -> str:
    """Return the message of the API's Status object, or the text that came instead of one."""
    if status == 401:
        return "your IAM principal has no access to this cluster's Kubernetes objects"
    try:
        why = str(json_of(text).get("message") or text)
    except (ValueError, AttributeError):
        why = text
    return " ".join(why.split())
