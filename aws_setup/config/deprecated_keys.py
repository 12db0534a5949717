"""Deprecated configuration keys and their replacements."""

from __future__ import annotations

from typing import Any

INVERTED = {
    "skip_vpc_creation": "create_vpc",
    "skip_iam_role_creation": "create_eks_iam_role",
    "skip_eks": "create_eks_cluster",
    "skip_zookeeper_vm_creation": "create_zookeeper_vms",
    "skip_launch_templates": "create_launch_templates",
    "skip_autoscaling_groups": "create_autoscaling_groups",
}
"""Deprecated switch -> the switch of the opposite sense that replaces it."""

RENAMED = {
    "infrastructure_json_file_name": "infrastructure_json_path",
    "ndb_mgm_private_ipv4": "ndb_manager_private_ip",
}
"""Deprecated key -> its new name; the value is the same."""

DROPPED = {
    "lambda_fs_vm_public_ipv4": "the λFS client is looked up by its tags",
    "ndb_mgm_data_directory": "the data directory of the NDB images is /var/lib/mysql-cluster",
    "ndb_datanode_data_directory": "the data directory of the NDB images is /usr/local/mysql/data",
}
"""Deprecated key without a replacement -> the reason."""


def replacement(key: str, value: Any) -> tuple[str, str] | None:
    """Return why a deprecated key is refused, and the fix; None for any other key."""
    if key in INVERTED:
        skipped = str(value).strip().lower() in {"true", "yes", "on", "1"}
        return "this key is no longer used", f"write {INVERTED[key]}: {not skipped} instead"
    if key in RENAMED:
        return "this key was renamed", f"write {RENAMED[key]} instead"
    if key in DROPPED:
        return f"this key is no longer used: {DROPPED[key]}", "remove the line"
    return None
