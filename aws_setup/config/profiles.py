"""The sizes of a deployment: `profile` sets many keys at once; keys of the file override it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PAPER = "paper"
"""The profile whose values are the defaults: the sizes of λFS's published evaluation."""

_SMALL: Mapping[str, Any] = {
    "lfs_client_vm_instance_type": "m5.xlarge",
    "hopsfs_client_vm_instance_type": "m5.large",
    "lambdafs_zk_instance_type": "m5.large",
    "ndb_manager_instance_type": "m5.large",
    "ndb_datanode_instance_type": "r5.xlarge",
    "num_ndb_datanodes": 2,
    "lfs_client_autoscaling_group_instance_type": "m5.xlarge",
    "hopsfs_client_autoscaling_group_instance_type": "m5.large",
    "hopsfs_namenode_autoscaling_group_instance_type": "m5.xlarge",
    "autoscaling_group_max_size": 4,
    "num_openwhisk_core_vms": 2,
    "num_openwhisk_invoker_vms": 2,
    "openwhisk_invoker_instance_type": "r5.2xlarge",
    "openwhisk_action_memory": 8_000,
    "num_namenode_deployments": 8,
}

_SMOKE: Mapping[str, Any] = {
    **_SMALL,
    "lfs_client_vm_instance_type": "t3.large",
    "create_hops_fs_client_vm": False,
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
    "num_lambda_fs_zk_vms": 1,
    "lambdafs_zk_instance_type": "t3.medium",
    "zookeeper_jvm_heap_size": 2000,
    "ndb_manager_instance_type": "t3.medium",
    "ndb_datanode_instance_type": "r5.large",
    "num_openwhisk_core_vms": 1,
    "openwhisk_core_instance_type": "t3.xlarge",
    "num_openwhisk_invoker_vms": 1,
    "openwhisk_invoker_instance_type": "r5.xlarge",
    "num_namenode_deployments": 2,
}

PROFILES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {PAPER: {}, "small": _SMALL, "smoke": _SMOKE}
)
"""Profile -> the keys that it sets; every other key has its default.

ZooKeeper's heap leaves its machine half of its memory (m5.large: 8 GiB, t3.medium: 4 GiB). NDB's
sizes follow its instance type (ndb/config_files.py), the memory for NameNodes that of the invokers
(openwhisk/values.py); preflight refuses NameNodes that do not fit there.
"""


def profile_defaults(name: object) -> Mapping[str, Any]:
    """Return the keys that a profile sets; none for an unknown one, which validation refuses."""
    return PROFILES.get(str(name), {})


def profile_values(key: str) -> Mapping[str, Any]:
    """Return profile -> value of a key, for the profiles that set it."""
    return {name: keys[key] for name, keys in PROFILES.items() if key in keys}
