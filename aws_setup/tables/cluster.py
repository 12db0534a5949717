"""The steps of configure_eks_cluster.py, in reading order, and those that its destroy inspects."""

from __future__ import annotations

from dataclasses import replace

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.config.durations import NEVER
from aws_setup.eks.access_entries import AccessEntries
from aws_setup.eks.active_cluster import ActiveCluster, SkipIfUnreachable
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.eks.addon_upgrades import AddonUpgrades
from aws_setup.eks.addons import addon_step
from aws_setup.eks.aws_auth import AwsAuth
from aws_setup.eks.kubeconfig import Kubeconfig
from aws_setup.eks.node_groups import NodeGroup
from aws_setup.eks.node_labels import NodeLabels
from aws_setup.eks.node_launch_template import (
    every_node_group,
    node_group_specs,
    node_template_step,
)
from aws_setup.eks.oidc import OidcProvider
from aws_setup.eks.storage import EbsServiceAccount, StorageClass, StorageProbe
from aws_setup.eks.unused_node_group import UnusedNodeGroup
from aws_setup.infrastructure.cleanup import NodeGroupCleanup, OrphanCleanup
from aws_setup.infrastructure.deadline_role import DeadlineRole
from aws_setup.infrastructure.iam import NodeRole
from aws_setup.infrastructure.node_ingress import NodeIngress
from aws_setup.openwhisk.api import OpenWhiskApi
from aws_setup.openwhisk.certificate_steps import NginxSecret, ServerCertificate
from aws_setup.openwhisk.credentials_file import CredentialsFile
from aws_setup.openwhisk.load_balancer import LoadBalancerAddress
from aws_setup.openwhisk.public_address import PublicAddress, for_deletion
from aws_setup.openwhisk.readiness import OpenWhiskReady
from aws_setup.openwhisk.release import HelmRelease
from aws_setup.openwhisk.secrets_step import SecretsStep
from aws_setup.pause.deadline import Deadline
from aws_setup.pause.deadline_steps import deadline_steps
from aws_setup.pause.ended_deadline import EndedDeadline, EndedDeadlineRole
from aws_setup.software.clients.namenode_record import NameNodeRecordFile
from aws_setup.tables.needs import restrict_needs
from aws_setup.tables.software import client_configuration_step


def cluster_steps(config: Config) -> list[Step]:
    """Return every step of configure_eks_cluster.py that the configuration switches on."""
    groups = node_group_specs(config)
    names = tuple(kind.group for kind in groups)
    every = tuple(kind.group for kind in every_node_group(config))
    steps: list[Step] = [
        ActiveCluster(),
        NodeIngress(optional=True),
        *(addon_step(spec) for spec in ADDONS if not spec.on_nodes),
        NodeRole(),
        *(node_template_step(config, kind) for kind in groups),
        *(NodeGroup(kind) for kind in groups),
        *(UnusedNodeGroup(kind) for kind in every_node_group(config) if not kind.count),
        *(addon_step(spec, names) for spec in ADDONS if spec.on_nodes and not spec.role),
        OidcProvider(),
        *(spec.role for spec in ADDONS if spec.role),
        *(addon_step(spec, names) for spec in ADDONS if spec.role),
        AddonUpgrades(names),
        AccessEntries(),
        *([AwsAuth()] if config.manage_aws_auth else []),
        *([Kubeconfig()] if writes_kubeconfig(config) else []),
        NodeLabels(tuple(groups)),
        EbsServiceAccount(),
        StorageClass(),
        *([StorageProbe()] if config.storage_probe else []),
        SecretsStep(),
        LoadBalancerAddress(),
        PublicAddress(),
        ServerCertificate(),
        NginxSecret(),
        HelmRelease(),
        OpenWhiskReady(),
        OpenWhiskApi(),
        CredentialsFile(),
        *([client_configuration_step(config)] if config.configure_clients else []),
        *(deadline_steps(config, follows=every) if config.auto_pause_after != NEVER else []),
    ]
    return restrict_needs(steps)


def writes_kubeconfig(config: Config) -> bool:
    """Whether the cluster is added to a kubeconfig; not if the configured one has it already."""
    configured = config.kubeconfig_path or config.kube_context
    return config.write_kubeconfig and (not configured or bool(config.kubeconfig_file))


def cluster_teardown_steps(config: Config) -> list[Step]:
    """Return every step that destroy must inspect: what this script owns, whatever is switched on.

    Steps that only read (readiness, API) or end with the cluster are not among them, nor the
    address, whose Service ends with the release, nor the deadline, which the VMs have, too. Both
    load balancers use the certificate, so they are deleted before it.
    """
    on = {"manage_aws_auth": False, "write_kubeconfig": True, "storage_probe": True}
    on["configure_clients"] = False
    unset = {"kubeconfig_path": None, "kube_context": None}
    counts = {"num_openwhisk_core_vms": 1, "num_openwhisk_invoker_vms": 1}
    every = cluster_steps(config.model_copy(update={**on, **unset, **counts}))
    read_only = (LoadBalancerAddress, OpenWhiskReady, OpenWhiskApi, EbsServiceAccount, NodeLabels)
    left_out = (*read_only, AddonUpgrades, Deadline, DeadlineRole)
    kept = [for_deletion(step) for step in every if not isinstance(step, left_out)]
    return restrict_needs([*kept, NameNodeRecordFile(), OrphanCleanup()])


def cluster_removal_steps(config: Config) -> list[Step]:
    """Return the steps of configure's destroy: also the deadline, where only the nodes have it."""
    return [*cluster_teardown_steps(config), EndedDeadlineRole(), EndedDeadline()]


def steps_deleted_with_cluster(config: Config) -> list[Step]:
    """Return the steps to delete when the cluster itself ends, without the cluster.

    The deployment's node groups are deleted before all others, and beside everything else: the
    volumes that Kubernetes does not delete any more are deleted after the cluster. So is the
    certificate: a load balancer that Kubernetes does not delete any more uses it until then.
    """
    steps = [_free_of_certificate(step) for step in cluster_teardown_steps(config)]
    groups = tuple(step.name for step in steps if isinstance(step, NodeGroup))
    return [
        SkipIfUnreachable(step, also=(NodeGroupCleanup.name,))
        if isinstance(step, NodeGroup)
        else SkipIfUnreachable(step, beside=(*groups, NodeGroupCleanup.name))
        for step in steps
        if not isinstance(step, (ActiveCluster, NodeIngress))
    ]


def _free_of_certificate(step: Step) -> Step:
    """Return a step for deletion, of which the cluster does not wait for the certificate."""
    if isinstance(step, ServerCertificate):
        return replace(step, needs=())
    if ServerCertificate.name in step.needs:
        # These were ordered through the certificate: whose they are is in the Secret.
        return replace(step, needs=(*step.needs, SecretsStep.name))  # type: ignore[type-var]
    return step
