"""The part of the script's table that makes tables, formats, and links the machines by SSH."""

from __future__ import annotations

from aws_setup.config import Config
from aws_setup.hosts import access
from aws_setup.hosts.clients.formatting import HOPS_FS, LAMBDA_FS, Format
from aws_setup.hosts.clients.keys import CLIENTS, MachineKeys
from aws_setup.hosts.groups import machine_steps
from aws_setup.hosts.sql import tables
from aws_setup.hosts.ssh import Hosts
from aws_setup.steps import Step


def steps(config: Config, hosts: Hosts) -> list[Step]:
    """Return the steps that the configuration switches on, in their order."""
    there = machine_steps(config)
    clients = tuple(step for step in CLIENTS if step in there)
    wanted: list[Step] = []
    if config.sftp_ssh_key and clients:
        wanted.append(MachineKeys(hosts, clients=clients, needs=(access.NAME, *there)))
    if not (config.create_ndb_cluster and config.start_ndb_cluster):
        return wanted
    if config.populate_mysql_ndb_tables:
        wanted.append(tables.Tables(hosts))
    if config.format_filesystem:
        wanted += _formats(config, hosts, clients)
    return wanted


def _formats(config: Config, hosts: Hosts, clients: tuple[str, ...]) -> list[Step]:
    """Return the formatting of both file systems, one after the other: they share the tables."""
    before = (tables.NAME,) if config.populate_mysql_ndb_tables else ()
    found: list[Step] = []
    for system in (LAMBDA_FS, HOPS_FS):
        if system.client in clients:
            earlier = tuple(step.name for step in found)
            needs = (access.NAME, system.client, "mysqld", *before, *earlier)
            found.append(Format(hosts, system, needs=needs))
    return found
