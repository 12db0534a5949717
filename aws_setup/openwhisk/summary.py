"""The last lines of a successful run: the API host, how to reach it, and the next command."""

from __future__ import annotations

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import STEP_TAG
from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.engine.wording import shell_word
from aws_setup.openwhisk.addresses import chart_port
from aws_setup.openwhisk.public_address import audience

CLIENT = "lambda-fs client"
"""Step of the VM that is in the VPC and has a public address."""

LOCAL_PORT = 8443
"""Port on this computer for the SSH tunnel."""


def summary_lines(ctx: Context) -> list[str]:
    """Return the lines that end a successful run."""
    api, file = ctx.found.get("openwhisk api"), ctx.found.get("hand-over file")
    internal = ctx.config.openwhisk_internal
    lines = [f"OpenWhisk: {api.id} ({api.state})"] if api else []
    if api:
        lines.append(f"OpenWhisk is reachable from {audience(ctx)}.")
    if api and internal:
        local = f"{_scheme(api)}://localhost:{LOCAL_PORT}"
        lines.append(f"The load balancer is internal. SSH tunnel: {tunnel_command(ctx)}")
        lines.append(f"With the tunnel OpenWhisk answers at {local}")
    if file:
        lines.append(f"Its key is in {file.id} (for wsk: WSK_CONFIG_FILE={shell_word(file.id)})")
    return lines


def next_command(config: Config) -> str:
    """Return the command that creates the NameNodes, with the jar of the client VM."""
    option = " --tunnel cluster" if config.openwhisk_internal else ""
    count = f"-n {config.num_namenode_deployments}"
    return (
        f"python whisk_helper.py --create {count} --concurrency 4 -j ssh:// --configure-jar{option}"
    )


def tunnel_command(ctx: Context) -> str:
    """Return the ssh command that forwards a local port to an internal load balancer."""
    host, port = ctx.of("openwhisk address").id, chart_port(ctx)
    key = shell_word(str(ctx.config.ssh_key_path))
    return f"ssh -N -i {key} -L {LOCAL_PORT}:{host}:{port} ubuntu@{_client_address(ctx)}"


def _client_address(ctx: Context) -> str:
    """Return the public address of the client VM, a placeholder where there is none."""
    for instance in ctx.inventory.all("instances"):
        if tag_of(instance, STEP_TAG) == CLIENT and instance.get("PublicIpAddress"):
            return str(instance["PublicIpAddress"])
    return "<address of a machine in the VPC>"


def _scheme(api: Found) -> str:
    return api.id.partition("://")[0]
