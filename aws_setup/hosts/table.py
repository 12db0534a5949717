"""The software's part of the script's table: the way in, ZooKeeper, MySQL NDB, clients."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.config import Config
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
