"""Names of keys: the ones that went away, what replaces them, and the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

INVERTED = {
    "skip_vpc_creation": "create_vpc",
    "skip_iam_role_creation": "create_eks_iam_role",
    "skip_eks": "create_eks_cluster",
    "skip_zookeeper_vm_creation": "create_zookeeper_vms",
    "skip_launch_templates": "create_launch_templates",
    "skip_autoscaling_groups": "create_autoscaling_groups",
}
"""Old switches and the switch of the opposite sense that replaces each."""

RENAMED = {
    "infrastructure_json_file_name": "infrastructure_json_path",
    "ndb_mgm_private_ipv4": "ndb_manager_private_ip",
}
"""Old keys and their new names; the value stays."""

DROPPED = {
    "lambda_fs_vm_public_ipv4": "the λFS client is found by its tags",
    "ndb_mgm_data_directory": "the NDB images keep their data in /var/lib/mysql-cluster",
    "ndb_datanode_data_directory": "the NDB images keep their data in /usr/local/mysql/data",
}
"""Old keys that nothing replaces, and why."""


def replacement(key: str, value: Any) -> tuple[str, str] | None:
    """Return why an old key is refused and how to write it now; None for any other key."""
    if key in INVERTED:
        skipped = str(value).strip().lower() in {"true", "yes", "on", "1"}
        return "this key is no longer used", f"write {INVERTED[key]}: {not skipped} instead"
    if key in RENAMED:
        return "this key has another name now", f"write {RENAMED[key]} instead"
    if key in DROPPED:
        return f"this key is no longer used: {DROPPED[key]}", "remove the line"
    return None


def closest_match(key: str, known: Iterable[str]) -> str:
    """Return the known name most like `key`, or '' when none is."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""
