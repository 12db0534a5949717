"""Every step of the two scripts on AWS, in reading order; namenodes.step has whisk_helper.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.config.cross_checks import fixed_addresses
from aws_setup.config.durations import NEVER
from aws_setup.eks.access_entries import AccessEntries
from aws_setup.eks.active_cluster import ActiveCluster, SkipIfUnreachable
from aws_setup.eks.addons import ADDONS, addon_step
from aws_setup.eks.aws_auth import AwsAuth
from aws_setup.eks.kubeconfig import Kubeconfig
from aws_setup.eks.node_groups import NodeGroup
from aws_setup.eks.node_labels import NodeLabels
from aws_setup.eks.node_launch_template import node_group_specs, node_template_step
from aws_setup.eks.oidc import OidcProvider
from aws_setup.eks.storage import EbsServiceAccount, StorageClass, StorageProbe
from aws_setup.infrastructure.address_reservations import (
    ReservedAddresses,
    after_fixed_addresses,
)
from aws_setup.infrastructure.ami_copies import AmiCopyCleanup
from aws_setup.infrastructure.ami_copy_steps import with_ami_copies
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.cleanup import NodeGroupCleanup, OrphanCleanup, VpcCleanup
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.existing_network import ExistingSubnet, ExistingVpc
from aws_setup.infrastructure.iam import ClusterRole, NodeRole
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.internet_gateway import InternetGateway, after_public_addresses
from aws_setup.infrastructure.launch_templates import LaunchTemplate, auto_scaling_specs
from aws_setup.infrastructure.nat_gateway import ElasticIp, NatGateway
from aws_setup.infrastructure.network import Subnet, Vpc
from aws_setup.infrastructure.node_ingress import NodeIngress
from aws_setup.infrastructure.routing import PUBLIC_ROUTING, routing_steps
from aws_setup.infrastructure.security_group import SecurityGroup
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.openwhisk.api import OpenWhiskApi
from aws_setup.openwhisk.certificate_steps import NginxSecret, ServerCertificate
from aws_setup.openwhisk.credentials_file import CredentialsFile, read_credentials
from aws_setup.openwhisk.load_balancer import LoadBalancerAddress
from aws_setup.openwhisk.public_address import PublicAddress, for_deletion
from aws_setup.openwhisk.readiness import OpenWhiskReady
from aws_setup.openwhisk.release import HelmRelease
from aws_setup.openwhisk.secrets import SecretsStep
from aws_setup.pause.deadline import Deadline, deadline_steps
from aws_setup.pause.table import resumed_infrastructure
from aws_setup.software import ssh_access
from aws_setup.software.clients import step as client_configuration
from aws_setup.software.clients.namenode_record import NameNodeRecordFile
from aws_setup.software.clients.step import ClientConfiguration
from aws_setup.software.cluster_ssh_keys import CLIENTS, ClusterSshKeys
from aws_setup.software.hdfs_format import HOPS_FS, LAMBDA_FS, FormatFileSystem
from aws_setup.software.machines import ZOOKEEPER, machine_steps, needs_ssh
from aws_setup.software.ndb.data_nodes import DataNodes
from aws_setup.software.ndb.management_server import ManagementServer
from aws_setup.software.ndb.mysqld import MysqlServer
from aws_setup.software.questions import questions
from aws_setup.software.sql import schema_step
from aws_setup.software.zookeeper.steps import ENSEMBLE, Ensemble, Znodes
from aws_setup.ssh import MachinePool
from aws_setup.ssh.keys import Ask

SUBNETS = (
    ("public subnet 1", True, 0),
    ("public subnet 2", True, 1),
    ("private subnet 1", False, 0),
    ("private subnet 2", False, 1),
)
"""Subnet step, whether it is public, and the index of its zone."""


def infrastructure_steps(config: Config) -> list[Step]:
    """Return every step of create_aws_infrastructure.py that the configuration switches on."""
    groups = vm_groups(config)
    parts = [
        *network_steps(config),
        *eks_cluster_steps(config),
        *(VmGroupStep(group) for group in groups),
        *auto_scaling_steps(config),
    ]
    steps = with_ami_copies(parts, config)
    with_addresses = [group.step for group in groups if group.addresses]
    fixed = [ReservedAddresses.name] if config.create_vpc else with_addresses
    machines = [step.name for step in steps if isinstance(step, VmGroupStep | AutoScalingGroup)]
    deadline = deadline_steps(config, follows=machines) if machines else []
    return [*after_fixed_addresses(steps, fixed=fixed), *deadline]


def network_steps(config: Config) -> list[Step]:
    """Return the steps of the network: of a new one, or of an existing VPC."""
    if not config.create_vpc:
        existing = [ExistingSubnet(name, public, index) for name, public, index in SUBNETS]
        return [ExistingVpc(), *existing, SecurityGroup()]
    return [
        Vpc(),
        *(Subnet(name, public=public, index=index) for name, public, index in SUBNETS),
        *([ReservedAddresses()] if fixed_addresses(config) else []),
        InternetGateway(),
        ElasticIp(),
        NatGateway(),
        *routing_steps(),
        SecurityGroup(),
    ]


def eks_cluster_steps(config: Config) -> list[Step]:
    """Return the steps of the EKS cluster, its role, and the traffic from its nodes."""
    if not config.create_eks_cluster:
        return []
    return [ClusterRole(adopted=not config.create_eks_iam_role), EksCluster(), NodeIngress()]


def auto_scaling_steps(config: Config) -> list[Step]:
    """Return the steps of the launch templates and their groups."""
    steps: list[Step] = []
    if config.create_launch_templates:
        steps += [LaunchTemplate(kind) for kind in auto_scaling_specs(config)]
    if config.create_autoscaling_groups:
        steps += [AutoScalingGroup(kind) for kind in auto_scaling_specs(config)]
    return steps


def resume_steps(config: Config, *, ask: Ask | None = None) -> list[Step]:
    """Return the steps of `resume`: those of create, which start what `pause` stopped."""
    steps = resumed_infrastructure(config, infrastructure_steps(config))
    return restrict_needs([*steps, *software_steps(config, ask=ask)])


def software_steps(config: Config, *, ask: Ask | None = None) -> list[Step]:
    """Return the steps over SSH that the configuration switches on; without any, SSH is not used.

    Args:
        config: the configuration.
        ask: asks for the private key's passphrase; None when there is no terminal.
    """
    pool = MachinePool(config, ask=ask)
    return [
        *zookeeper_steps(config, pool),
        *ndb_steps(config, pool),
        *client_steps(config, pool),
    ]


def zookeeper_steps(config: Config, pool: MachinePool) -> list[Step]:
    """Return the SSH step, the ensemble and its znodes, as far as they are switched on."""
    steps: list[Step] = []
    has_zookeeper = config.create_zookeeper_vms or config.zk_node_public_IPs
    machines = machine_steps(config)
    if needs_ssh(config) and (machines or has_zookeeper):
        # Without a route no machine answers: a failed one would be waited for in vain.
        routes = PUBLIC_ROUTING if config.create_vpc else ()
        asked = partial(questions, config)
        steps.append(ssh_access.SshAccess(pool, needs=(*machines, *routes), questions=asked))
    if config.start_zookeeper_cluster and has_zookeeper:
        steps.append(Ensemble(pool))
    if config.populate_zookeeper_cluster and has_zookeeper:
        ensemble = (ENSEMBLE,) if config.start_zookeeper_cluster else ()
        steps.append(Znodes(pool, needs=(ssh_access.NAME, *ensemble)))
    return steps


def ndb_steps(config: Config, pool: MachinePool) -> list[Step]:
    """Return the steps of MySQL NDB that the configuration switches on, in their order."""
    if not (config.create_ndb_cluster and config.start_ndb_cluster):
        return []
    return [ManagementServer(pool), DataNodes(pool), MysqlServer(pool)]


def client_steps(config: Config, pool: MachinePool) -> list[Step]:
    """Return the steps of the SSH keys between machines, the tables and the formatting."""
    machines = machine_steps(config)
    clients = tuple(step for step in CLIENTS if step in machines)
    steps: list[Step] = []
    if config.sftp_ssh_key and clients:
        steps.append(ClusterSshKeys(pool, clients=clients, needs=(ssh_access.NAME, *machines)))
    if config.configure_clients and clients:
        known = tuple(step for step in ("ndb manager", ZOOKEEPER) if step in machines)
        groups = tuple(
            step.name for step in auto_scaling_steps(config) if isinstance(step, AutoScalingGroup)
        )
        needs = (ssh_access.NAME, *clients, *known, *groups)
        steps.append(ClientConfiguration(pool, api_host, needs=needs, groups=groups))
    if not (config.create_ndb_cluster and config.start_ndb_cluster):
        return steps
    if config.populate_mysql_ndb_tables:
        steps.append(schema_step.SchemaStep(pool, needs=(ssh_access.NAME, "mysqld", *clients)))
    if config.format_filesystem:
        steps += _format_steps(config, pool, clients)
    return steps


def _format_steps(config: Config, pool: MachinePool, clients: tuple[str, ...]) -> list[Step]:
    """Return the formatting of both file systems in sequence, because they share the tables."""
    tables = (schema_step.NAME,) if config.populate_mysql_ndb_tables else ()
    files = (client_configuration.NAME,) if config.configure_clients else ()
    steps: list[Step] = []
    for system in (LAMBDA_FS, HOPS_FS):
        if system.client in clients:
            earlier = tuple(step.name for step in steps)
            needs = (ssh_access.NAME, system.client, "mysqld", *tables, *files, *earlier)
            steps.append(FormatFileSystem(pool, system, needs=needs))
    return steps


def api_host(config: Config) -> str:
    """Return the URL of OpenWhisk's API within the VPC, from the credentials file; '' without."""
    credentials = read_credentials(config)
    return credentials.inside if credentials else ""


def cluster_steps(config: Config, *, ask: Ask | None = None) -> list[Step]:
    """Return every step of configure_eks_cluster.py that the configuration switches on.

    Args:
        config: the configuration.
        ask: asks for the private key's passphrase; None when there is no terminal.
    """
    groups = node_group_specs(config)
    names = tuple(kind.group for kind in groups)
    steps: list[Step] = [
        ActiveCluster(),
        NodeIngress(optional=True),
        *(addon_step(spec) for spec in ADDONS if not spec.on_nodes),
        NodeRole(),
        *(node_template_step(config, kind) for kind in groups),
        *(NodeGroup(kind) for kind in groups),
        *(addon_step(spec, names) for spec in ADDONS if spec.on_nodes and not spec.role),
        OidcProvider(),
        *(spec.role for spec in ADDONS if spec.role),
        *(addon_step(spec, names) for spec in ADDONS if spec.role),
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
        *([client_configuration_step(config, ask=ask)] if config.configure_clients else []),
        *([Deadline(follows=names, creates=False)] if config.auto_pause_after != NEVER else []),
    ]
    return restrict_needs(steps)


def client_configuration_step(config: Config, *, ask: Ask | None = None) -> ClientConfiguration:
    """Return the step of the clients' files for scripts that have no steps for the VMs."""
    pool = MachinePool(config, ask=ask)
    return ClientConfiguration(pool, api_host, needs=(CredentialsFile.name,), lookup=True)


def writes_kubeconfig(config: Config) -> bool:
    """Whether the cluster is added to a kubeconfig; not if the configured one has it already."""
    configured = config.kubeconfig_path or config.kube_context
    return config.write_kubeconfig and (not configured or bool(config.kubeconfig_file))


def infrastructure_teardown_steps(config: Config) -> list[Step]:
    """Return every step that destroy must inspect, whatever is switched on today.

    Deletion follows the needs backwards: first the cluster, then what Kubernetes left in the VPC,
    then the subnets and groups that it used.
    """
    choices = {"create_vpc", "create_eks_iam_role"}
    switches = [name for name in type(config).model_fields if name.startswith("create_")]
    on = {name: True for name in switches if name not in choices} | {"copy_amis": False}
    steps = [AmiCopyCleanup(), *infrastructure_steps(config.model_copy(update=on))]
    steps += steps_deleted_with_cluster(config)
    others = NodeGroupCleanup(known=tuple(kind.group for kind in node_group_specs(config)))
    names = {step.name for step in steps}
    cleanup = VpcCleanup(needs=tuple(need for need in VpcCleanup.needs if need in names))
    steps = [
        replace(step, needs=(*step.needs, cleanup.name)) if isinstance(step, EksCluster) else step
        for step in steps
    ]
    return [*after_public_addresses([*map(_deleted_beside, steps)]), cleanup, others]


def _deleted_beside(step: Step) -> Step:
    """Return a step for deletion: no machine waits for the deadline, and none takes it along."""
    return replace(step, follows=()) if isinstance(step, Deadline) else step


def cluster_teardown_steps(config: Config) -> list[Step]:
    """Return every step that destroy must inspect: what this script owns, whatever is switched on.

    Steps that only read (readiness, API) or end with the cluster are not among them, nor the
    address, whose Service ends with the release. Both load balancers use the certificate, so they
    are deleted before it.
    """
    on = {"manage_aws_auth": False, "write_kubeconfig": True, "storage_probe": True}
    on["configure_clients"] = False
    unset = {"kubeconfig_path": None, "kube_context": None}
    counts = {"num_openwhisk_core_vms": 1, "num_openwhisk_invoker_vms": 1}
    every = cluster_steps(config.model_copy(update={**on, **unset, **counts}))
    read_only = (LoadBalancerAddress, OpenWhiskReady, OpenWhiskApi, EbsServiceAccount, NodeLabels)
    kept = [for_deletion(step) for step in every if not isinstance(step, (*read_only, Deadline))]
    return restrict_needs([*kept, NameNodeRecordFile(), OrphanCleanup()])


def steps_deleted_with_cluster(config: Config) -> list[Step]:
    """Return the steps to delete when the cluster itself ends, without the cluster.

    The deployment's node groups are deleted before all others, and beside everything else: the
    volumes that Kubernetes does not delete any more are deleted after the cluster.
    """
    steps = cluster_teardown_steps(config)
    groups = tuple(step.name for step in steps if isinstance(step, NodeGroup))
    return [
        SkipIfUnreachable(step, also=(NodeGroupCleanup.name,))
        if isinstance(step, NodeGroup)
        else SkipIfUnreachable(step, beside=(*groups, NodeGroupCleanup.name))
        for step in steps
        if not isinstance(step, (ActiveCluster, NodeIngress))
    ]


def restrict_needs(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with needs among themselves only: a switched-off step is not waited for."""
    names = {step.name for step in steps}
    found = []
    for step in steps:
        kept = {
            field: tuple(name for name in before if name in names)
            for field, before in (("needs", step.needs), ("follows", step.follows))
            if set(before) - names
        }
        found.append(replace(step, **kept) if kept else step)  # type: ignore[type-var]
    return found
