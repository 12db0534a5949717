"""The nodes of MySQL NDB: how many NameNodes can use the database at the same time."""

from __future__ import annotations

from aws_setup.config.model import Config

MAX_NODES = 255
"""Nodes of a cluster in total.
https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-limitations-limits.html"""


def namenode_nodes(config: Config) -> int:
    """Return how many NameNodes NDB has node ids for.

    The management server, each data node and mysqld have one each, and a NameNode at least one:
    OpenWhisk may start several containers of it.
    """
    return MAX_NODES - 1 - config.num_ndb_datanodes - 1
