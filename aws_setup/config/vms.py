"""Keys of the virtual machines: AMIs, instance types, launch templates, auto-scaling groups."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Self

from pydantic import Field

from aws_setup.config.amis import DEFAULT_AMIS, ami_for_region
from aws_setup.config.base import AmiId, Count, InstanceType, Section


class Vms(Section):
    """Virtual machines outside the EKS cluster."""

    create_lambda_fs_client_vm: bool = True
    """Create the primary λFS client VM, which also drives the experiments."""

    lfs_client_vm_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the primary λFS client VM."""

    create_hops_fs_client_vm: bool = True
    """Create the primary HopsFS client VM."""

    hopsfs_client_vm_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the primary HopsFS client VM."""

    create_zookeeper_vms: bool = True
    """Create the ZooKeeper VMs."""

    num_lambda_fs_zk_vms: int = Field(default=3, ge=1, le=15)
    """Number of ZooKeeper VMs; it should be odd."""

    lambdafs_zk_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the ZooKeeper VMs."""

    zookeeper_private_ips: tuple[IPv4Address, ...] = (
        IPv4Address("10.0.8.233"),
        IPv4Address("10.0.4.113"),
        IPv4Address("10.0.14.89"),
    )
    """Fixed private addresses of the first ZooKeeper VMs (baked into the NameNode image)."""

    create_ndb_cluster: bool = True
    """Create the VMs of MySQL NDB: one management node and the data nodes."""

    num_ndb_datanodes: int = Field(default=4, ge=2, le=48)
    """Number of NDB data nodes; it must be even, as every row is stored twice."""

    ndb_manager_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the NDB manager."""

    ndb_datanode_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the NDB data nodes."""

    ndb_manager_private_ip: IPv4Address = IPv4Address("10.0.6.227")
    """Fixed private address of the NDB manager (baked into the NameNode image)."""

    lambda_fs_client_ami: AmiId = DEFAULT_AMIS["lambda_fs_client_ami"].id
    """AMI of the λFS client."""

    zookeeper_ami: AmiId = DEFAULT_AMIS["zookeeper_ami"].id
    """AMI of the ZooKeeper VMs."""

    ndb_manager_ami: AmiId = DEFAULT_AMIS["ndb_manager_ami"].id
    """AMI of the NDB manager."""

    ndb_datanode1_ami: AmiId = DEFAULT_AMIS["ndb_datanode1_ami"].id
    """AMI of the first half of the NDB data nodes."""

    ndb_datanode2_ami: AmiId = DEFAULT_AMIS["ndb_datanode2_ami"].id
    """AMI of the second half of the NDB data nodes."""

    hopsfs_ami: AmiId = DEFAULT_AMIS["hopsfs_ami"].id
    """AMI of the HopsFS client and NameNodes."""

    copy_amis: bool = False
    """In a region without the λFS AMIs, copy them from us-east-1, encrypted (as --copy-amis)."""

    create_launch_templates: bool = True
    """Create the launch templates of λFS clients, HopsFS clients and HopsFS NameNodes."""

    create_autoscaling_groups: bool = True
    """Create the three auto-scaling groups; they require the launch templates."""

    lfs_client_autoscaling_group_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the λFS clients of the auto-scaling group."""

    hopsfs_client_autoscaling_group_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the HopsFS clients of the auto-scaling group."""

    hopsfs_namenode_autoscaling_group_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the HopsFS NameNodes of the auto-scaling group."""

    autoscaling_group_min_size: Count = 0
    """Minimum number of machines in each auto-scaling group."""

    autoscaling_group_desired_capacity: Count = 0
    """Number of machines in each auto-scaling group; each is billed from its launch. `create`
    launches those that are missing, and a smaller number terminates machines with their disks."""

    autoscaling_group_max_size: Count = 8
    """Maximum number of machines in each auto-scaling group."""

    def with_amis_of(self, region: str) -> Self:
        """Return the configuration with each published AMI as the region has it."""
        keys = [key for key in Vms.model_fields if key.endswith("_ami")]
        amis = {key: ami_for_region(key, getattr(self, key), region) for key in keys}
        return self.model_copy(update=amis)
