"""The token that EKS authenticates: a presigned GetCallerIdentity that names the cluster.

https://docs.aws.amazon.com/eks/latest/userguide/cluster-auth.html
https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

from aws_setup.aws.session import Aws
from aws_setup.engine.wait import Clock

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
URL_LIFETIME = 60
"""Seconds in the signature; the authenticator accepts the token for 15 minutes nevertheless."""

REFRESH = 600.0
"""Seconds after which a new token is signed; EKS refuses a token after 900."""

_PARAMETER = "LambdaFsCluster"


def sign(aws: Aws, cluster: str) -> str:
    """Return a new token for a cluster; no request is sent.

    EKS accepts the host names of AWS's own endpoints of STS, and no VPC endpoint's and none of
    dual stack: kubernetes-sigs/aws-iam-authenticator, pkg/regions (hosts), pkg/token (verifyHost).
    """
    sts = aws.signer("sts")
    events = sts.meta.events
    events.register(
        "provide-client-params.sts.GetCallerIdentity",
        _move_to_context,
        unique_id="lambda-fs-context",
    )
    events.register("before-sign.sts.GetCallerIdentity", _add_header, unique_id="lambda-fs-header")
    url = sts.generate_presigned_url(
        "get_caller_identity",
        Params={_PARAMETER: cluster},
        ExpiresIn=URL_LIFETIME,
        HttpMethod="GET",
    )
    return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _move_to_context(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Move the cluster's name out of the parameters, which STS would refuse, into the context."""
    if _PARAMETER in params:
        context[_PARAMETER] = params.pop(_PARAMETER)


def _add_header(request: Any, **_: Any) -> None:
    """Add the cluster's name to the signed headers."""
    cluster = request.context.get(_PARAMETER)
    if cluster:
        request.headers[CLUSTER_HEADER] = cluster


class Tokens:
    """The token of one cluster, renewed before it expires; safe to use from many threads."""

    def __init__(
        self,
        signer: Callable[[], str],
        clock: Clock,
        *,
        check_credentials: Callable[[], object] = lambda: None,
    ) -> None:
        """Begin without a token.

        Args:
            signer: returns a new token.
            clock: the clock that measures the age of the token.
            check_credentials: calls AWS; raises when AWS refuses the credentials.
        """
        self._signer, self._clock = signer, clock
        self.check_credentials = check_credentials
        self._lock = threading.Lock()
        self._token, self._signed = "", 0.0

    def get(self) -> str:
        """Return a token that is valid for five minutes at least."""
        with self._lock:
            if not self._token or self._clock.now() - self._signed >= REFRESH:
                self._token, self._signed = self._signer(), self._clock.now()
            return self._token

    def drop(self) -> None:
        """Discard the token: the cluster refused it."""
        with self._lock:
            self._token = ""

    def fresh(self) -> str:
        """Return a token that is signed now, valid for all of its 15 minutes."""
        self.drop()
        return self.get()
