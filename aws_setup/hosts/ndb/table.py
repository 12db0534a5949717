"""NDB's part of the script's table."""

from __future__ import annotations

from aws_setup.config import Config
from aws_setup.hosts.ndb.manager import ManagementServer
from aws_setup.hosts.ndb.server import MysqlServer
from aws_setup.hosts.ndb.storage import DataNodes
from aws_setup.hosts.ssh import Hosts
from aws_setup.steps import Step


def steps(config: Config, hosts: Hosts) -> list[Step]:
    """Return the steps of MySQL NDB that the configuration switches on, in their order."""
    if not (config.create_ndb_cluster and config.start_ndb_cluster):
        return []
    return [ManagementServer(hosts), DataNodes(hosts), MysqlServer(hosts)]
