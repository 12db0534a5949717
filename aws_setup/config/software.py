"""Keys of the software on the machines: SSH, ZooKeeper, MySQL NDB, clients."""

from __future__ import annotations

from ipaddress import IPv4Address

from pydantic import Field

from aws_setup.config.base import Section


class Software(Section):
    """What is configured and started over SSH; with every switch off no machine is contacted."""

    ssh_config_path: str = "~/.ssh/config"
    """Your OpenSSH configuration: HostName, Port, User, IdentityFile and proxies are honoured."""

    start_zookeeper_cluster: bool = True
    """Configure and start ZooKeeper on its VMs."""

    populate_zookeeper_cluster: bool = True
    """Make the znodes that λFS needs."""

    num_namenode_deployments: int = Field(default=20, ge=1, le=1000)
    """Number of serverless NameNode deployments; ZooKeeper gets znodes for each."""

    zookeeper_jvm_heap_size: int = Field(default=4000, ge=256)
    """JVM heap of ZooKeeper's server and client, in MB; the published evaluation used 12000."""

    zk_node_public_IPs: tuple[IPv4Address, ...] = ()
    """Public addresses of existing ZooKeeper machines, when create_zookeeper_vms is False."""

    start_ndb_cluster: bool = True
    """Configure and start MySQL NDB on its VMs."""

    populate_mysql_ndb_tables: bool = True
    """Make the database user and the tables of HopsFS and λFS."""

    format_filesystem: bool = True
    """Format the file system once, after the tables are there."""
