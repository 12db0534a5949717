#!/usr/bin/env python3
"""Builds, shows and removes λFS's infrastructure on AWS: network, machines, their software, EKS."""

from __future__ import annotations

from pathlib import Path

from aws_setup.cli.app import script_command, secret_asker
from aws_setup.cli.commands import Script
from aws_setup.config.cross_checks import left_out
from aws_setup.infrastructure import summary
from aws_setup.preflight import checks
from aws_setup.software.sql.account import RememberedPassword
from aws_setup.software.ssh_access import RememberedHosts
from aws_setup.tables import everything, infrastructure, software

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
    prepare=checks.prepare,
    preflight=checks.run,
    left_out=left_out,
    epilogue=lambda ctx: (
        *summary.lines(ctx.config, ctx.found),
        "Next: python configure_eks_cluster.py",
    ),
)

if __name__ == "__main__":
    script_command(SCRIPT, beside=Path(__file__).resolve().parent)()
