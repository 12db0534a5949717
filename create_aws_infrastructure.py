#!/usr/bin/env python3
"""Builds, shows and removes λFS's infrastructure on AWS: network, machines, their software, EKS."""

from __future__ import annotations

from pathlib import Path

from aws_setup import preflight, summary
from aws_setup.cli import script_command, secret_asker
from aws_setup.commands import Script
from aws_setup.hosts.sql.account import RememberedPassword
from aws_setup.hosts.table import RememberedHosts, left_out, software
from aws_setup.resources.tables import everything, infrastructure

SCRIPT = Script(
    name="create_aws_infrastructure.py",
    verbs=("create", "plan", "status", "destroy"),
    help="""Build λFS's infrastructure on AWS, show it, or remove it.

    \b
    create   make what is missing, after showing it with its price (the default)
    plan     show exactly what create would do
    status   show what exists and how it is
    destroy  remove everything of the deployment, and look whether anything is left
    """,
    table=lambda config: [*infrastructure(config), *software(config, ask=secret_asker())],
    removal=lambda config: [*everything(config), RememberedHosts(), RememberedPassword()],
    infrastructure=True,
    prepare=preflight.prepare,
    preflight=preflight.run,
    left_out=left_out,
    epilogue=lambda ctx: (
        *summary.lines(ctx.config, ctx.found),
        "Next: python configure_eks_cluster.py",
    ),
)

if __name__ == "__main__":
    script_command(SCRIPT, beside=Path(__file__).resolve().parent)()
