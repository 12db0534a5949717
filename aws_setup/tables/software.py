"""The steps over SSH of create_aws_infrastructure.py, in reading order."""

from __future__ import annotations

from functools import partial

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.config.ssh_switches import needs_ssh
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.routing import PUBLIC_ROUTING
from aws_setup.infrastructure.vm_groups import CLIENTS
from aws_setup.openwhisk.credentials_file import CredentialsFile, read_credentials
from aws_setup.software import ssh_access
from aws_setup.software.clients import step as client_configuration
from aws_setup.software.clients.step import ClientConfiguration
from aws_setup.software.cluster_ssh_keys import ClusterSshKeys
from aws_setup.software.hdfs_format import HOPS_FS, LAMBDA_FS, FormatFileSystem
from aws_setup.software.machines import ZOOKEEPER, machine_steps
from aws_setup.software.ndb.data_nodes import DataNodes
from aws_setup.software.ndb.management_server import ManagementServer
from aws_setup.software.ndb.mysqld import MysqlServer
from aws_setup.software.questions import questions
from aws_setup.software.sql import schema_step
from aws_setup.software.zookeeper.steps import ENSEMBLE, Ensemble, Znodes
from aws_setup.ssh.pool import MachinePool
from aws_setup.tables.infrastructure import auto_scaling_steps


def software_steps(config: Config) -> list[Step]:
    """Return the steps over SSH that the configuration switches on, if any."""
    pool = MachinePool(config)
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
    groups = tuple(
        step.name for step in auto_scaling_steps(config) if isinstance(step, AutoScalingGroup)
    )
    if config.sftp_ssh_key and clients:
        needs = (ssh_access.NAME, *machines, *groups)
        steps.append(ClusterSshKeys(pool, clients=clients, needs=needs))
    if config.configure_clients and clients:
        known = tuple(step for step in ("ndb manager", ZOOKEEPER) if step in machines)
        needs = (ssh_access.NAME, *clients, *known, *groups)
        steps.append(ClientConfiguration(pool, api_host, needs=needs))
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


def client_configuration_step(config: Config) -> ClientConfiguration:
    """Return the step of the clients' files for scripts that have no steps for the VMs."""
    pool = MachinePool(config)
    return ClientConfiguration(pool, api_host, needs=(CredentialsFile.name,), lookup=True)
