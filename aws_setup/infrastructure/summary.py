"""The summary after a run: the machines by the names of their OpenSSH configuration."""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.context import Context
from aws_setup.config.paths import ssh_config_path
from aws_setup.infrastructure.ssh_login import login_command, machine_hosts
from aws_setup.ssh.login_config import include_line


def summary_lines(ctx: Context) -> Sequence[str]:
    """Return the last lines of a successful create: the machines, and how to log in to them."""
    hosts = machine_hosts(ctx, ctx.found)
    file = ssh_config_path(ctx.config)
    if not hosts or not file.is_file():
        return []
    rows = [("machine", "private address", "public address")]
    rows += [(host.name, host.private_ip, host.public_ip or "none") for host in hosts]
    width = max(len(name) for name, *_ in rows)
    table = [f"  {name:<{width}}  {private:<15}  {public}" for name, private, public in rows]
    return [
        "",
        *table,
        f"Log in: {login_command(ctx.config, hosts[0].name)}",
        f"For `ssh {hosts[0].name}` make this the first line of ~/.ssh/config:",
        f"  {include_line(file)}",
        "",
    ]
