"""One door to the cluster for each run, shared by every step that needs Kubernetes."""

from __future__ import annotations

import base64
import threading
from weakref import WeakKeyDictionary

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import Aws
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config
from aws_setup.errors import Refused
from aws_setup.kube.client import ClusterEndpoint, KubeClient
from aws_setup.kube.eks_token import Tokens, sign

_LOCK = threading.Lock()
_DOORS: WeakKeyDictionary[Aws, tuple[str, KubeClient]] = WeakKeyDictionary()


def cluster_of(ctx: Context, *, fresh: bool = False) -> Item | None:
    """Return the cluster as EKS describes it; None when EKS knows none of that name."""
    items = ctx.inventory.all("eks cluster", fresh=fresh)
    return items[0] if items else None


def active_cluster(ctx: Context) -> Item | None:
    """Return the cluster when its API server can hold objects; None when it cannot."""
    cluster = cluster_of(ctx)
    return cluster if cluster and cluster.get("endpoint") and is_active(cluster) else None


def is_active(cluster: Item) -> bool:
    """Say whether EKS runs the cluster's API server."""
    return cluster["status"] in ("ACTIVE", "UPDATING")


def kube_client(ctx: Context) -> KubeClient:
    """Return the door to the cluster's API server.

    Raises:
        Refused: there is no cluster, or it has no API server (yet).
    """
    cluster = active_cluster(ctx) or cluster_of(ctx, fresh=True)
    if cluster is None or not cluster.get("endpoint"):
        raise Refused(
            f"the EKS cluster {ctx.config.eks_cluster_name} has no API server",
            f"its status is {cluster['status']}" if cluster else "EKS knows no such cluster",
            "run create_aws_infrastructure.py first",
        )
    with _LOCK:
        known = _DOORS.get(ctx.aws)
        if known is None or known[0] != cluster["endpoint"]:
            known = (str(cluster["endpoint"]), _open(ctx, cluster))
            _DOORS[ctx.aws] = known
        return known[1].telling(ctx.note)


def _open(ctx: Context, cluster: Item) -> KubeClient:
    config = ctx.config
    if config.kubeconfig_path or config.kube_context:
        return _from_kubeconfig(ctx, endpoint_of(cluster))
    name = str(cluster["name"])
    sts = ctx.aws.client("sts")
    # A session that has ended reads as "Unauthorized" in Kubernetes; AWS itself says what it is.
    tokens = Tokens(lambda: sign(ctx.aws, name), ctx.clock, prove=sts.get_caller_identity)
    return KubeClient.of_eks(endpoint_of(cluster), tokens, ctx.clock)


def _from_kubeconfig(ctx: Context, reach: ClusterEndpoint) -> KubeClient:
    """Return the door that the user's kubeconfig opens, which must lead to this very cluster."""
    config = ctx.config
    door = KubeClient.of_kubeconfig(config.kubeconfig_path, config.kube_context, ctx.clock)
    other = door.elsewhere(reach)
    if other:
        raise Refused(
            f"kubeconfig_path leads to another cluster than {config.eks_cluster_name}",
            f"it leads to {other}, and EKS has the cluster at {reach.server}",
            "set kube_context to the cluster's own context, or remove both keys",
        )
    return door


def endpoint_of(cluster: Item) -> ClusterEndpoint:
    """Return where a cluster's API server answers and who vouches for it."""
    pem = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
    return ClusterEndpoint(str(cluster["endpoint"]), pem)


MANAGED = {"app.kubernetes.io/managed-by": "lambda-fs"}


def owner_labels(config: Config) -> dict[str, str]:
    """Return the labels of what we make in the cluster."""
    return MANAGED | {DEPLOYMENT_TAG.replace(":", "/"): config.deployment_name}
