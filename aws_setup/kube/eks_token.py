"""The token with which EKS lets a caller in: a signed GetCallerIdentity that names the cluster.

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
"""Seconds in the signature; the authenticator accepts the token for 15 minutes all the same."""

REFRESH = 600.0
"""Seconds after which a token is signed anew; EKS refuses it after 900."""

_PARAMETER = "LambdaFsCluster"


def sign(aws: Aws, cluster: str) -> str:
    """Return a fresh token for a cluster; nothing is sent."""
    sts = aws.client("sts")
    events = sts.meta.events
    events.register(
        "provide-client-params.sts.GetCallerIdentity", _take_cluster, unique_id="lambda-fs-take"
    )
    events.register("before-sign.sts.GetCallerIdentity", _add_header, unique_id="lambda-fs-add")
    url = sts.generate_presigned_url(
        "get_caller_identity",
        Params={_PARAMETER: cluster},
        ExpiresIn=URL_LIFETIME,
        HttpMethod="GET",
    )
    return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _take_cluster(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Move the cluster's name out of the parameters, which STS would refuse, into the context."""
    if _PARAMETER in params:
        context[_PARAMETER] = params.pop(_PARAMETER)


def _add_header(request: Any, **_: Any) -> None:
    """Put the cluster's name into the signed headers."""
    cluster = request.context.get(_PARAMETER)
    if cluster:
        request.headers[CLUSTER_HEADER] = cluster


class Tokens:
    """The token of one cluster, signed anew before EKS stops taking it; for many threads."""

    def __init__(
        self, signer: Callable[[], str], clock: Clock, *, prove: Callable[[], object] = lambda: None
    ) -> None:
        """Begin without a token.

        Args:
            signer: returns a fresh one.
            clock: the clock by which it ages.
            prove: asks AWS whether the credentials still count; raises when they do not.
        """
        self._signer, self._clock, self.prove = signer, clock, prove
        self._lock = threading.Lock()
        self._token, self._signed = "", 0.0

    def get(self) -> str:
        """Return a token that EKS takes for five minutes at least."""
        with self._lock:
            if not self._token or self._clock.now() - self._signed >= REFRESH:
                self._token, self._signed = self._signer(), self._clock.now()
            return self._token

    def drop(self) -> None:
        """Forget the token: the cluster refused it."""
        with self._lock:
            self._token = ""

    def fresh(self) -> str:
        """Return a token that is signed now: EKS takes it for all of its 15 minutes."""
        self.drop()
        return self.get()
