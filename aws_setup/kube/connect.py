"""One Kubernetes client for each run, shared by every step that needs one."""

from __future__ import annotations

import base64
import ssl
import threading
from weakref import WeakKeyDictionary

from aws_setup.aws.cluster import active_cluster, cluster_of
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import Aws
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config
from aws_setup.errors import Problem, Refused, SetupError
from aws_setup.kube.answers import Answers
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterEndpoint
from aws_setup.kube.eks_token import Tokens, sign
from aws_setup.kube.errors import KubeUnreachable
from aws_setup.kube.objects import NAMESPACE

ENDING_CLUSTER_SECONDS = 18.0
"""Seconds for one request, with its repeats, to a cluster that is about to be deleted."""

_LOCK = threading.Lock()
_PROBE_LOCK = threading.Lock()
_CAUSES: WeakKeyDictionary[Aws, tuple[Problem | None]] = WeakKeyDictionary()


def kube_client(ctx: Context) -> KubeClient:
    """Return the client of the cluster's API server.

    Raises:
        Refused: there is no cluster, or it has no API server (yet).
        KubeUnreachable: the cluster is to be deleted, and its API server cannot be asked.
    """
    if not ctx.cluster_ends:
        return _client(ctx)
    if problem := _unusable(ctx, again=False):
        raise KubeUnreachable(
            "the API server cannot be asked", _text(problem), problem.hint, status=0
        )
    return _client(ctx)


def why_unusable(ctx: Context, *, again: bool = False) -> str:
    """Return why the API server of a cluster to be deleted cannot be asked; '' when it can.

    What is inside the cluster ends with it, so the server is asked once: the steps run in parallel,
    and each would wait as long as the first.

    Args:
        ctx: the context of the run.
        again: ask a server that has answered before, too.
    """
    problem = _unusable(ctx, again=again)
    return _text(problem) if problem else ""


def _text(problem: Problem) -> str:
    return f"{problem.what}: {problem.why}"


def _unusable(ctx: Context, *, again: bool) -> Problem | None:
    """Return `why_unusable` with its fix; a tuple is kept, so that None is known, too."""
    with _PROBE_LOCK:
        known = _CAUSES.get(ctx.aws)
        if known is None or (again and known == (None,)):
            known = _CAUSES[ctx.aws] = (_probe(ctx),)
        return known[0]


def _probe(ctx: Context) -> Problem | None:
    try:
        # An object, which exists always: /version answers while etcd does not.
        # https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
        _client(ctx).get(NAMESPACE, "kube-system")
    except SetupError as error:
        return error.problems[0]
    return None


def _client(ctx: Context) -> KubeClient:
    cluster = active_cluster(ctx) or cluster_of(ctx, fresh=True)
    if cluster is None or not cluster.get("endpoint"):
        name = ctx.config.eks_cluster_name
        what = f"the EKS cluster {name} has no API server"
        why = f"its status is {cluster['status']}" if cluster else ""
        if cluster is None:
            what = f"no EKS cluster {name} exists in {ctx.aws.region}"
        raise Refused(what, why, "run python create_aws_infrastructure.py first")
    with _LOCK:
        endpoint, known = ctx.aws.shared.get(KubeClient, ("", None))
        if known is None or endpoint != cluster["endpoint"]:
            known = _connect(ctx, cluster)
            ctx.aws.shared[KubeClient] = str(cluster["endpoint"]), known
        answers = ctx.aws.shared.get(Answers)
        client: KubeClient = known.with_progress(ctx.note).with_answers(answers)
    return client.with_limit(ENDING_CLUSTER_SECONDS) if ctx.cluster_ends else client


def _connect(ctx: Context, cluster: Item) -> KubeClient:
    config = ctx.config
    if config.kubeconfig_path or config.kube_context:
        return _from_kubeconfig(ctx, endpoint_of(cluster))
    name = str(cluster["name"])
    sts = ctx.aws.client("sts")
    # Kubernetes answers 401 to an expired AWS session, too; the error of AWS names the cause.
    tokens = Tokens(
        lambda: sign(ctx.aws, name), ctx.clock, check_credentials=sts.get_caller_identity
    )
    return KubeClient.of_eks(endpoint_of(cluster), tokens, ctx.clock)


def _from_kubeconfig(ctx: Context, endpoint: ClusterEndpoint) -> KubeClient:
    """Return the client that the user's kubeconfig describes; refuses another cluster's."""
    config = ctx.config
    client = of_kubeconfig(ctx)
    other = client.points_to_other_cluster(endpoint)
    if other:
        raise Refused(
            f"kubeconfig_path points to another cluster than {config.eks_cluster_name}",
            f"it points to {other} without the CA of the cluster, whose endpoint is "
            f"{endpoint.server}",
            "set kube_context to the cluster's own context, or remove both keys",
        )
    return client


def of_kubeconfig(ctx: Context) -> KubeClient:
    """Return the client that the user's kubeconfig describes, of whatever cluster.

    Raises:
        Refused: the kubeconfig cannot be used, or others could read what is sent.
    """
    try:
        config = ctx.config
        return KubeClient.of_kubeconfig(config.kubeconfig_path, config.kube_context, ctx.clock)
    except SetupError as error:
        raise Refused.all(error.problems) from error


def endpoint_of(cluster: Item) -> ClusterEndpoint:
    """Return the URL of a cluster's API server and the CA of its certificate.

    Raises:
        SetupError: EKS's certificate data are no certificate.
    """
    authority = cluster.get("certificateAuthority") or {}
    try:
        pem = base64.b64decode(authority.get("data") or "", validate=True).decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ValueError, OSError) as error:
        raise SetupError(
            f"the certificate data of EKS cluster {cluster['name']} cannot be read",
            " ".join(str(error).split()) or "they are empty",
            f"look at `aws eks describe-cluster --name {cluster['name']}`: its certificateAuthority"
            " has to be a PEM certificate in base64",
        ) from error
    return ClusterEndpoint(str(cluster["endpoint"]), pem)


MANAGED = {"app.kubernetes.io/managed-by": "lambda-fs"}


def owner_labels(config: Config) -> dict[str, str]:
    """Return the labels of the objects that this deployment creates in the cluster."""
    return MANAGED | {DEPLOYMENT_TAG.replace(":", "/"): config.deployment_name}
