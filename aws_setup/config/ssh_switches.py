"""The configuration keys that switch on software, which is installed over SSH."""

from __future__ import annotations

from aws_setup.config.model import Config

SSH_SWITCHES = (
    "start_zookeeper_cluster",
    "populate_zookeeper_cluster",
    "start_ndb_cluster",
    "populate_mysql_ndb_tables",
    "format_filesystem",
    "sftp_ssh_key",
    "configure_clients",
)
"""The configuration keys of the steps that need SSH."""


def needs_ssh(config: Config) -> bool:
    """Tell whether any step on a machine is switched on; otherwise no machine is contacted."""
    return any(getattr(config, switch, False) for switch in SSH_SWITCHES)
