"""The key that a mistyped one means."""

from __future__ import annotations

import pytest

from aws_setup.config.closest_key import closest_key
from aws_setup.config.model import Config

MISTYPED = {
    # what the user of the original project writes from memory
    "num_zookeper": "num_lambda_fs_zk_vms",
    "num_zookeepers": "num_lambda_fs_zk_vms",
    "number_of_zk_nodes": "num_lambda_fs_zk_vms",
    "num_zk_vms": "num_lambda_fs_zk_vms",
    "num_datanodes": "num_ndb_datanodes",
    "num_ndb_data_nodes": "num_ndb_datanodes",
    "ndb_datanode_count": "num_ndb_datanodes",
    "num_invokers": "num_openwhisk_invoker_vms",
    "num_openwhisk_invokers": "num_openwhisk_invoker_vms",
    "num_core_nodes": "num_openwhisk_core_vms",
    "num_namenodes": "num_namenode_deployments",
    "namenode_deployments": "num_namenode_deployments",
    "zookeeper_instance_type": "lambdafs_zk_instance_type",
    "zk_instance_type": "lambdafs_zk_instance_type",
    "lambda_fs_client_instance_type": "lfs_client_vm_instance_type",
    "hops_fs_client_vm_instance_type": "hopsfs_client_vm_instance_type",
    "ndb_mgm_instance_type": "ndb_manager_instance_type",
    "data_node_instance_type": "ndb_datanode_instance_type",
    "invoker_instance_type": "openwhisk_invoker_instance_type",
    "namenode_autoscaling_group_instance_type": "hopsfs_namenode_autoscaling_group_instance_type",
    "zookeeper_heap_size": "zookeeper_jvm_heap_size",
    "zk_heap": "zookeeper_jvm_heap_size",
    "create_lfs_client_vm": "create_lambda_fs_client_vm",
    "create_hopsfs_client": "create_hops_fs_client_vm",
    "create_zookeeper": "create_zookeeper_vms",
    "create_zk_vms": "create_zookeeper_vms",
    "create_ndb": "create_ndb_cluster",
    "create_eks": "create_eks_cluster",
    "create_asg": "create_autoscaling_groups",
    "start_zookeeper": "start_zookeeper_cluster",
    "start_zk_cluster": "start_zookeeper_cluster",
    "start_mysql_cluster": "start_ndb_cluster",
    "populate_ndb_tables": "populate_mysql_ndb_tables",
    "populate_zookeeper": "populate_zookeeper_cluster",
    "format_hdfs": "format_filesystem",
    "ssh_key": "ssh_key_path",
    "ssh_private_key": "ssh_key_path",
    "ssh_key_pair": "ssh_keypair_name",
    "keypair_name": "ssh_keypair_name",
    "public_ip": "user_public_ip",
    "my_ip": "",
    "region": "aws_region",
    "profil": "profile",
    "account_id": "aws_account_id",
    "eks_role_name": "eks_iam_role_name",
    "cluster_name": "eks_cluster_name",
    "sg_name": "security_group_name",
    "security_group": "security_group_name",
    "k8s_version": "kubernetes_version",
    "action_memory": "openwhisk_action_memory",
    "max_size": "autoscaling_group_max_size",
    "mysql_password": "ndb_password",
    "Create_VPC": "create_vpc",
    "aws_regoin": "aws_region",
    "deploymentName": "deployment_name",
    "auto_pause": "auto_pause_after",
    "colour": "no_color",
    "wibble": "",
}
"""A mistyped key -> the key that its user means, '' for none."""


@pytest.mark.parametrize(("key", "meant"), MISTYPED.items())
def test_the_suggested_key_is_the_one_that_is_meant(key: str, meant: str) -> None:
    assert closest_key(key, Config.model_fields) == meant


def test_one_changed_character_in_any_key_is_found() -> None:
    for key in Config.model_fields:
        for mistyped in (key[:-1], f"{key[:2]}x{key[3:]}", key[0] + key[2] + key[1] + key[3:]):
            if mistyped not in Config.model_fields:
                assert closest_key(mistyped, Config.model_fields) == key, mistyped
