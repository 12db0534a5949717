#!/usr/bin/env python3
"""Creates, shows and deletes λFS's infrastructure on AWS: network, VMs, their software, EKS."""

from __future__ import annotations

from pathlib import Path

from aws_setup.cli.app import script_command
from aws_setup.cli.options import ConfigOption
from aws_setup.cli.script import Script, Story


def story() -> Story:
    """Return what the commands do; its imports take longer than --help may."""
    from aws_setup.cli.prompts import secret_prompt_function
    from aws_setup.config.cross_checks import skipped_features
    from aws_setup.config.lock_file import INFRASTRUCTURE
    from aws_setup.infrastructure.ssh_login import update_login_file
    from aws_setup.infrastructure.summary import summary_lines
    from aws_setup.lockfile.infrastructure import infrastructure_part
    from aws_setup.preflight import checks
    from aws_setup.software.sql.account import PasswordFile
    from aws_setup.software.ssh_access import KnownHostsFile
    from aws_setup.tables import (
        infrastructure_steps,
        infrastructure_teardown_steps,
        resume_steps,
        software_steps,
    )

    return Story(
        table=lambda config: [
            *infrastructure_steps(config),
            *software_steps(config, ask=secret_prompt_function()),
        ],
        removal=lambda config: [
            *infrastructure_teardown_steps(config),
            KnownHostsFile(),
            PasswordFile(),
        ],
        prepare=checks.prepare,
        preflight=checks.run,
        skipped_features=skipped_features,
        epilogue=summary_lines,
        local_files=update_login_file,
        next_command=lambda _: "python configure_eks_cluster.py",
        resume=lambda config: resume_steps(config, ask=secret_prompt_function()),
        part=INFRASTRUCTURE,
        record=lambda ctx, fresh: infrastructure_part(ctx, fresh=fresh),
    )


SCRIPT = Script(
    name="create_aws_infrastructure.py",
    verbs=(
        "create",
        "plan",
        "status",
        "verify",
        "pause",
        "resume",
        "extend",
        "allow-my-ip",
        "destroy",
    ),
    help="""Create λFS's infrastructure on AWS, show it, or delete it.

    \b
    create       show the plan with its price, then create and update (default)
    plan         show exactly what create would do
    status       show what exists, its state and its costs
    verify       check that λFS works: machines, services, NameNodes, file system
    pause        stop all machines; data, cluster and NameNodes are kept
    resume       start a paused deployment and wait until it is healthy
    extend       move the time at which AWS stops it by itself: extend 6h
    allow-my-ip  allow your present address in all rules, not the earlier one
    destroy      delete all resources of the deployment; report any that remain
    """,
    story=story,
    infrastructure=True,
    flags=(
        ConfigOption(
            "--copy-amis", "copy_amis", True, "Copy the AMIs from us-east-1 where there are none."
        ),
    ),
)

if __name__ == "__main__":
    script_command(SCRIPT, folder=Path(__file__).resolve().parent)()
