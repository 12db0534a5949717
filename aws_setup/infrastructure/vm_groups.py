"""The VM groups of the configuration, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from aws_setup.config import Config

CLIENTS = ("lambda-fs client", "hopsfs client")
"""The steps of the VMs that run the experiments."""

NDB_MANAGEMENT = "ndb management server"
"""The step that knows the data nodes of a started NDB cluster."""

DESTROY_NDB = 'run destroy --only "ndb manager" --only "ndb data nodes 1" --only "ndb data nodes 2"'

RECREATE = f"{DESTROY_NDB}, then create, which makes an empty cluster"

KEEP_DATA_NODES = (
    "restore num_ndb_datanodes, and terminate no data node: NDB cannot give one up, and its peer "
    f"would have the only copy of its rows; or, to lose all data, {RECREATE}"
)
"""NDB has no command that removes data nodes with data: DROP NODEGROUP takes an empty group only.

https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-mgm-client-commands.html
"""

KEEP_CPUS = (
    "with data on them, set ndb_num_cpus to the vCPUs of the type before, too, and for a type with "
    "less memory ndb_data_memory to what config.ini on the NDB manager has"
)
"""NumCPUs and DataMemory follow the type where no key sets them, and NumCPUs cannot be changed."""


@dataclass(frozen=True)
class VmGroup:
    """A group of VMs that differ only by their index and, in some groups, by a fixed address.

    `title` is the Name tag; with `numbered` each VM's index is appended. `component` is the
    tag by which λFS's scripts on the VMs select. `ami_key` and `type_key` are the
    configuration keys to change when AWS refuses the AMI or the type. `role` is the short name for
    `ssh`, and `first` the number of VM 0 in it. `cluster` is the step that knows at which address a
    lost VM must be replaced. `surplus` is what to do about too many VMs and `renewal` how to have
    them of another type or AMI, where it is not the usual; `resizing` is what another type needs
    besides.
    """

    step: str
    title: str
    component: str
    ami: str
    instance_type: str
    count: int
    addresses: tuple[IPv4Address, ...] = ()
    numbered: bool = True
    ami_key: str = ""
    type_key: str = ""
    role: str = ""
    first: int = 0
    cluster: str = ""
    surplus: str = "restore the count, or terminate the surplus instances yourself"
    renewal: str = ""
    resizing: str = ""

    def name(self, index: int) -> str:
        """Return the Name tag of one VM."""
        return f"{self.title}-{index}" if self.numbered else self.title

    def host(self, name: str) -> str:
        """Return the short name of the VM with a Name tag; '' for a tag that is not the group's."""
        if not self.numbered:
            return self.role if name == self.title else ""
        index = name.removeprefix(f"{self.title}-")
        if not (index.isdecimal() and name == self.name(int(index))):
            return ""
        return f"{self.role}-{self.first + int(index)}"


def vm_groups(config: Config) -> Sequence[VmGroup]:
    """Return the groups that the configuration enables, with λFS's names and tags."""
    groups: list[VmGroup] = []
    if config.create_ndb_cluster:
        groups += _ndb(config)
    if config.create_zookeeper_vms:
        groups.append(_zookeeper(config))
    return [*groups, *_clients(config)]


def _ndb(config: Config) -> list[VmGroup]:
    half = config.num_ndb_datanodes // 2
    counts = {1: half, 2: config.num_ndb_datanodes - half}
    amis = {1: config.ndb_datanode1_ami, 2: config.ndb_datanode2_ami}
    manager = VmGroup(
        step="ndb manager",
        title="ndb-manager-node",
        component="NDB_MGM_VM",
        ami=config.ndb_manager_ami,
        instance_type=config.ndb_manager_instance_type,
        count=1,
        addresses=(config.ndb_manager_private_ip,),
        numbered=False,
        ami_key="ndb_manager_ami",
        type_key="ndb_manager_instance_type",
        role="ndb-manager",
    )
    nodes = [
        VmGroup(
            step=f"ndb data nodes {kind}",
            title=f"ndb-datanode-type{kind}",
            component="NDB_DataNodeVM",
            ami=amis[kind],
            instance_type=config.ndb_datanode_instance_type,
            count=counts[kind],
            ami_key=f"ndb_datanode{kind}_ami",
            type_key="ndb_datanode_instance_type",
            role="ndb-data",
            first=1 if kind == 1 else 1 + half,
            cluster=NDB_MANAGEMENT if config.start_ndb_cluster else "",
            surplus=KEEP_DATA_NODES,
            renewal=f"to lose all data, {DESTROY_NDB} first",
            resizing=KEEP_CPUS,
        )
        for kind in (1, 2)
    ]
    return [manager, *nodes]


def _zookeeper(config: Config) -> VmGroup:
    return VmGroup(
        step="zookeeper",
        title="lambdafs-zookeeper",
        component="ZooKeeperVM",
        ami=config.zookeeper_ami,
        instance_type=config.lambdafs_zk_instance_type,
        count=config.num_lambda_fs_zk_vms,
        addresses=config.zookeeper_private_ips[: config.num_lambda_fs_zk_vms],
        ami_key="zookeeper_ami",
        type_key="lambdafs_zk_instance_type",
        role="zookeeper",
    )


def _clients(config: Config) -> list[VmGroup]:
    groups = []
    if config.create_lambda_fs_client_vm:
        groups.append(
            VmGroup(
                step="lambda-fs client",
                title="lambda-fs-client-driver",
                component="PrimaryLambdaFSClientVM",
                ami=config.lambda_fs_client_ami,
                instance_type=config.lfs_client_vm_instance_type,
                count=1,
                numbered=False,
                ami_key="lambda_fs_client_ami",
                type_key="lfs_client_vm_instance_type",
                role="lambda-fs-client",
            )
        )
    if config.create_hops_fs_client_vm:
        groups.append(
            VmGroup(
                step="hopsfs client",
                title="hops-fs-client-driver",
                component="PrimaryHopsFSClientVM",
                ami=config.hopsfs_ami,
                instance_type=config.hopsfs_client_vm_instance_type,
                count=1,
                numbered=False,
                ami_key="hopsfs_ami",
                type_key="hopsfs_client_vm_instance_type",
                role="hopsfs-client",
            )
        )
    return groups
