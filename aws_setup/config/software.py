"""Keys of the software on the machines: SSH, ZooKeeper, MySQL NDB, clients."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from aws_setup.config.base import LocalPath, Section

Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[MG]$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")]


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

    ndb_num_cpus: int | None = Field(default=None, ge=1, le=1024, examples=[16])
    """NumCPUs of the NDB data nodes; left out, the vCPUs of ndb_datanode_instance_type."""

    ndb_data_memory: Memory | None = Field(default=None, examples=["8G"])
    """DataMemory of each NDB data node; left out, a sixteenth of the instance type's memory."""

    ndb_shared_global_memory: Memory | None = Field(default=None, examples=["512M"])
    """SharedGlobalMemory of each data node; left out, a 256th of the instance type's memory."""

    ndb_sql_scripts_dir: LocalPath | None = Field(default=None, examples=["./sql"])
    """Folder with HopsFS's and λFS's SQL scripts; without it no tables are made, nor formatted."""

    ndb_database: Identifier = "vanilla_hopsfs"
    """Database of HopsFS and λFS in MySQL NDB."""

    ndb_user: Identifier = "lambdafs"
    """Database user of HopsFS and λFS, as the file system's configuration on the AMIs has it."""

    ndb_password: SecretStr | None = Field(default=None, examples=["<in the environment>"])
    """Password of ndb_user, better set as LAMBDA_FS_NDB_PASSWORD; left out, one is generated."""

    ndb_root_password: SecretStr | None = Field(default=None, examples=["<in the environment>"])
    """Password of MySQL's root on the NDB manager, where the image has set one."""

    sftp_ssh_key: bool = True
    """Let the client VMs reach the other machines by SSH, with a key pair made for them."""

    copy_operator_key: bool = False
    """With sftp_ssh_key: copy your own private key (ssh_key_path) instead, as was done before."""
