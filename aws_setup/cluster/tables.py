"""The table of configure_eks_cluster.py: every step, in a person's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aws_setup.cluster import chart, helm
from aws_setup.cluster.access import AccessEntries, AwsAuth
from aws_setup.cluster.addons import EBS_CSI, Addon
from aws_setup.cluster.certificate import own_pair
from aws_setup.cluster.door import cluster_of
from aws_setup.cluster.identity import EbsRole, NodeRole, OidcProvider
from aws_setup.cluster.keys import KeySecret
from aws_setup.cluster.kube import Kube, KubeError
from aws_setup.cluster.kubeconfig import Kubeconfig
from aws_setup.cluster.labels import NodeLabels
from aws_setup.cluster.nodegroups import NodeGroup
from aws_setup.cluster.nodes import kinds, node_template
from aws_setup.cluster.openwhisk import Address, Api, HandOver, Ready
from aws_setup.cluster.orphans import Orphans
from aws_setup.cluster.release import HelmRelease
from aws_setup.cluster.storage import DriverAccount, StorageClass, StorageProbe
from aws_setup.cluster.tls import NginxSecret, ServerCertificate
from aws_setup.cluster.values import user_values
from aws_setup.config import Config
from aws_setup.errors import Refused, SetupError
from aws_setup.resources.eks import EksCluster, failure
from aws_setup.resources.sweep import ClusterSweep
from aws_setup.steps import Context, Found, Step


@dataclass(frozen=True)
class ActiveCluster(EksCluster):
    """The cluster that create_aws_infrastructure.py made: used here, waited for, never changed."""

    needs: tuple[str, ...] = ()
    adopted: bool = True

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the cluster is ACTIVE; the steps after it see it as it is then."""
        ready = super().wait(ctx, found)
        ctx.inventory.all("eks cluster", fresh=True)
        return ready

    def charges(self, config: Config) -> tuple[Any, ...]:
        """Nothing: the first script counts it."""
        return ()


def configuration(config: Config) -> list[Step]:
    """Return every step of configure_eks_cluster.py that the configuration switches on."""
    groups = kinds(config)
    names = tuple(kind.group for kind in groups)
    steps: list[Step] = [
        ActiveCluster(),
        Addon("vpc-cni"),
        Addon("kube-proxy"),
        NodeRole(),
        *(node_template(config, kind) for kind in groups),
        *(NodeGroup(kind) for kind in groups),
        Addon("coredns", needs=("eks cluster", *names)),
        OidcProvider(),
        EbsRole(),
        Addon(EBS_CSI, needs=("eks cluster", *names, "ebs csi role"), role="ebs csi role"),
        AccessEntries(),
        *([AwsAuth()] if config.manage_aws_auth else []),
        *([Kubeconfig()] if writes_kubeconfig(config) else []),
        NodeLabels(tuple(groups)),
        DriverAccount(),
        StorageClass(),
        *([StorageProbe()] if config.storage_probe else []),
        KeySecret(),
        ServerCertificate(),
        NginxSecret(),
        HelmRelease(),
        Address(),
        Ready(),
        Api(),
        HandOver(),
    ]
    return within(steps)


def writes_kubeconfig(config: Config) -> bool:
    """Say whether the cluster goes into a kubeconfig: not beside one that leads there already."""
    given = config.kubeconfig_path or config.kube_context
    return config.write_kubeconfig and (not given or bool(config.kubeconfig_file))


def removal(config: Config) -> list[Step]:
    """Return every step that destroy must look for: what is ours alone, whatever is switched on.

    What only looks (address, readiness, API) and what goes with the cluster is not among them.
    """
    on = {"manage_aws_auth": False, "write_kubeconfig": True, "storage_probe": True}
    given = {"kubeconfig_path": None, "kube_context": None}
    counts = {"num_openwhisk_core_vms": 1, "num_openwhisk_invoker_vms": 1}
    every = configuration(config.model_copy(update={**on, **given, **counts}))
    looks = (Address, Ready, Api, DriverAccount, NodeLabels)
    kept = [step for step in every if not isinstance(step, looks)]
    return within([*(_removing(step) for step in kept), Orphans()])


@dataclass(frozen=True)
class WithCluster(Step):
    """A step of destroy for what ends with the cluster anyway: not reached means nothing to do.

    Load balancers and volumes that Kubernetes made are then taken away by the sweep of the VPC.
    """

    inner: Step
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.inner.name

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the step needs, and what goes after it beyond that."""
        return (*self.inner.needs, *self.also)

    def find(self, ctx: Context) -> Found | None:
        """Return the thing; None also when the API server does not answer or does not let in."""
        try:
            return self.inner.find(ctx)
        except KubeError as error:
            if error.status in (0, 401, 403):
                return None
            raise

    def create(self, ctx: Context) -> Found:
        """Never make anything."""
        raise AssertionError(f"{self.name} only deletes")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the thing."""
        self.inner.delete(ctx, found)


def ending(config: Config) -> list[Step]:
    """Return the steps to delete when the cluster itself ends, without the cluster.

    Our node groups go first and others' then: Kubernetes takes volumes and load balancers away
    while it still has nodes to run on.
    """
    return [
        WithCluster(step, also=(ClusterSweep.name,) if isinstance(step, NodeGroup) else ())
        for step in removal(config)
        if not isinstance(step, ActiveCluster)
    ]


def _removing(step: Step) -> Step:
    """Return the step that finds only what this deployment made."""
    if hasattr(step, "removing"):
        changed: Step = replace(step, removing=True)  # type: ignore[type-var]
        return changed
    return step


def within(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with needs among themselves only: a switched-off step is not waited for."""
    names = {step.name for step in steps}
    found = []
    for step in steps:
        missing = set(step.needs) - names
        kept = tuple(need for need in step.needs if need in names)
        found.append(replace(step, needs=kept) if missing else step)  # type: ignore[type-var]
    return found


def prepare(ctx: Context) -> None:
    """Refuse to begin without a cluster that may become usable, naming the script that makes it."""
    cluster, name = cluster_of(ctx), ctx.config.eks_cluster_name
    if cluster is None:
        raise Refused(
            f"there is no EKS cluster {name} in {ctx.aws.region}",
            "EKS knows none of this name with these credentials",
            "run python create_aws_infrastructure.py first, or correct eks_cluster_name",
        )
    if cluster["status"] == "FAILED":
        raise Refused.all(failure(cluster).problems)
    if cluster["status"] == "DELETING":
        raise Refused(
            f"the EKS cluster {name} is being deleted",
            "its status is DELETING",
            "wait until it is gone, then run python create_aws_infrastructure.py",
        )


def check(ctx: Context) -> None:
    """Refuse before the first write what would fail after half an hour.

    Raises:
        Refused: helm or git is missing, the chart, the user's certificate or kubeconfig cannot
            be used.
    """
    config = ctx.config
    helm.find_helm()
    chart.check_source(config)
    user_values(config)
    if bool(config.openwhisk_tls_cert) != bool(config.openwhisk_tls_key):
        raise Refused(
            "only one of openwhisk_tls_cert and openwhisk_tls_key is set",
            "a certificate serves only with its key",
            "set both, or neither",
        )
    if config.openwhisk_tls_cert and config.openwhisk_tls_key:
        cert, key = Path(config.openwhisk_tls_cert), Path(config.openwhisk_tls_key)
        own_pair(cert, key, now=ctx.clock.today())
    if config.kubeconfig_path or config.kube_context:
        try:
            Kube.of_kubeconfig(config.kubeconfig_path, config.kube_context, ctx.clock)
        except SetupError as error:
            raise Refused.all(error.problems) from error
