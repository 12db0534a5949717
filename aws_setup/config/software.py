"""Keys of the software on the machines: SSH, ZooKeeper, MySQL NDB, clients."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated

from pydantic import Field, SecretStr

from aws_setup.config.base import LocalPath, Section, of_form

SQL_SCRIPTS = (
    "git clone --depth 1 https://github.com/ds2-lab/LambdaFS, and set ndb_sql_scripts_dir to its "
    "folder aws-setup/sql_scripts"
)
"""How to get HopsFS's and λFS's SQL scripts."""

MORE_SQL_SCRIPTS = (
    "copy it into that folder, from hops-metadata-dal-impl-ndb/schema of "
    "https://github.com/ds2-lab/LambdaFS for example"
)
"""Where a script is that the folder of SQL_SCRIPTS lacks."""

Memory = Annotated[str, of_form(r"^[1-9][0-9]*[MG]$", "an amount of memory, such as 500M or 80G")]
Identifier = Annotated[
    str,
    of_form(
        r"^[A-Za-z][A-Za-z0-9_]{0,31}$",
        "1 to 32 letters of a to z, digits and _, beginning with a letter",
    ),
]


class Software(Section):
    """Software on the virtual machines, over SSH; with all switches off, none is contacted."""

    ssh_config_path: LocalPath = "~/.ssh/config"
    """Your OpenSSH client configuration; HostName, Port, User, IdentityFile and proxies apply."""

    require_host_keys: bool = False
    """Never trust a machine's SSH host key on first use: refuse one that neither the machine's
    console output nor the known hosts confirm."""

    start_zookeeper_cluster: bool = True
    """Configure and start ZooKeeper on its VMs."""

    populate_zookeeper_cluster: bool = True
    """Create the znodes that λFS needs."""

    num_namenode_deployments: int = Field(default=20, ge=1, le=1000)
    """Number of serverless NameNode deployments; znodes are created for each, always for 20."""

    zookeeper_jvm_heap_size: int = Field(default=4000, ge=256)
    """JVM heap of ZooKeeper's server and client, in MB; the published evaluation used 12000."""

    zk_node_public_IPs: tuple[IPv4Address, ...] = ()
    """Public addresses of existing ZooKeeper machines, used if create_zookeeper_vms is False."""

    start_ndb_cluster: bool = True
    """Configure and start MySQL NDB on its VMs."""

    populate_mysql_ndb_tables: bool = True
    """Create the database user and the tables of HopsFS and λFS."""

    format_filesystem: bool = True
    """Format the file system once, after the tables are created."""

    ndb_num_cpus: int | None = Field(default=None, ge=1, le=1024, examples=[16])
    """NumCPUs of the NDB data nodes; if omitted, the vCPUs of ndb_datanode_instance_type."""

    ndb_data_memory: Memory | None = Field(default=None, examples=["8G"])
    """DataMemory of each NDB data node; if omitted, a sixteenth of the instance type's memory."""

    ndb_shared_global_memory: Memory | None = Field(default=None, examples=["512M"])
    """SharedGlobalMemory of each data node; if omitted, a 256th of the instance type's memory."""

    ndb_sql_scripts_dir: LocalPath | None = Field(default=None, examples=["./sql"])
    """Folder with the SQL scripts of HopsFS and λFS: aws-setup/sql_scripts of
    https://github.com/ds2-lab/LambdaFS. Without it there are no tables, and λFS does not work."""

    ndb_database: Identifier | None = Field(default=None, examples=["vanilla_hopsfs"])
    """Database of HopsFS and λFS in MySQL NDB; if omitted, that of the λFS client's image.
    Another name than before makes another database, with an empty file system; the first stays."""

    ndb_user: Identifier | None = Field(default=None, examples=["user"])
    """Database user of HopsFS and λFS; if omitted, that of the λFS client's image, with which the
    published NameNode image logs in, too."""

    ndb_password: SecretStr | None = Field(default=None, examples=["<in the environment>"])
    """Password of that user, best set as LAMBDA_FS_NDB_PASSWORD; if omitted, that of the image."""

    configure_clients: bool = True
    """Set this deployment's addresses, NameNodes and database in the clients' hdfs-site.xml,
    ndb-config.properties and benchmark configuration; only these values, with a copy kept."""

    ndb_root_password: SecretStr | None = Field(default=None, examples=["<in the environment>"])
    """Password of the MySQL root user on the NDB manager, if the image has set one."""

    sftp_ssh_key: bool = True
    """Allow SSH from the client VMs to the other machines, with a key pair created for this."""

    copy_operator_key: bool = False
    """With sftp_ssh_key: copy your private key (ssh_key_path) instead of creating a key pair."""
