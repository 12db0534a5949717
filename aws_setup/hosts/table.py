"""The software's part of the script's table: the way in, ZooKeeper, MySQL NDB, clients."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.config import Config
from aws_setup.errors import Problem
from aws_setup.hosts import zookeeper
from aws_setup.hosts.clients import table as clients_table
from aws_setup.hosts.ndb import table as ndb_table
from aws_setup.hosts.ssh import Hosts
from aws_setup.hosts.ssh.identity import Ask
from aws_setup.hosts.ssh.known_hosts import KnownHosts
from aws_setup.hosts.ssh.pool import known_hosts_path
from aws_setup.steps import Context, Found, Step


def software(config: Config, *, ask: Ask | None = None) -> list[Step]:
    """Return the steps over SSH that the configuration switches on; none contacts no machine.

    Args:
        config: the configuration.
        ask: asks for the private key's passphrase; None when there is no terminal.
    """
    hosts = Hosts(config, ask=ask)
    return [
        *zookeeper.steps(config, hosts),
        *ndb_table.steps(config, hosts),
        *clients_table.steps(config, hosts),
    ]


def left_out(config: Config) -> list[Problem]:
    """Return what a switch asks for and another key prevents, one line for each part."""
    return [*_zookeeper_left_out(config), *_ndb_left_out(config)]


def _zookeeper_left_out(config: Config) -> list[Problem]:
    asked = _on(config, "start_zookeeper_cluster", "populate_zookeeper_cluster")
    if not asked or config.create_zookeeper_vms or config.zk_node_public_IPs:
        return []
    why = "create_zookeeper_vms is False and zk_node_public_IPs names no machine"
    return [Problem("ZooKeeper is left out", f"{why}, so {asked} has no effect", "")]


def _ndb_left_out(config: Config) -> list[Problem]:
    asked = _on(config, "start_ndb_cluster", "populate_mysql_ndb_tables", "format_filesystem")
    after = _on(config, "populate_mysql_ndb_tables", "format_filesystem")
    if asked and not config.create_ndb_cluster:
        why = f"create_ndb_cluster is False, so {asked} has no effect"
        return [Problem("MySQL NDB is left out", why, "")]
    if after and not config.start_ndb_cluster:
        why = f"start_ndb_cluster is False, so {after} has no effect"
        return [Problem("MySQL NDB is not started", why, "")]
    if config.populate_mysql_ndb_tables and not config.ndb_sql_scripts_dir:
        what = "ndb tables and the formatting are skipped"
        if not config.format_filesystem:
            what = "ndb tables are skipped"
        why = "ndb_sql_scripts_dir names no folder with HopsFS's and λFS's SQL scripts"
        return [Problem(what, why, "")]
    return []


def _on(config: Config, *switches: str) -> str:
    """Return those of the switches that are on, in words; '' when all are off."""
    return ", ".join(switch for switch in switches if getattr(config, switch))


@dataclass(frozen=True)
class RememberedHosts(Step):
    """The deployment's known hosts on this computer, which go when the machines go."""

    name: str = "known hosts"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return the file, None when there is none."""
        path = known_hosts_path(ctx.config)
        return Found(str(path)) if path.exists() else None

    def create(self, ctx: Context) -> Found:
        """Do nothing: the file is written when a machine is first reached."""
        return Found(str(known_hosts_path(ctx.config)))

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove the file."""
        KnownHosts(known_hosts_path(ctx.config)).forget()
