#!/usr/bin/env python3
"""Creates, shows and deletes λFS's infrastructure on AWS: network, VMs, their software, EKS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_setup.cli.installed import required

with required("create"):
    from aws_setup.cli.app import script_command
    from aws_setup.cli.options import ConfigOption
    from aws_setup.cli.script import Script, Story

if TYPE_CHECKING:
    from aws_setup.aws.context import Context, Step
    from aws_setup.config import Config
    from aws_setup.engine.plan import Row
    from aws_setup.preflight.checks import Preflight


def story() -> Story:
    """Return what the commands do; its imports take longer than --help may."""
    from aws_setup.config.cross_checks import skipped_features
    from aws_setup.config.lock_file import INFRASTRUCTURE
    from aws_setup.config.ssh_switches import needs_ssh
    from aws_setup.infrastructure.ssh_login import update_login_file
    from aws_setup.infrastructure.summary import summary_lines
    from aws_setup.preflight import public_ip
    from aws_setup.tables.infrastructure import infrastructure_steps

    def create(config: Config) -> list[Step]:
        steps = infrastructure_steps(config)
        if not needs_ssh(config):
            return steps
        from aws_setup.tables.software import software_steps

        return [*steps, *software_steps(config)]

    def preflight(ctx: Context, rows: Sequence[Row]) -> Preflight:
        from aws_setup.preflight import checks

        return checks.run(ctx, rows)

    def removal(config: Config) -> list[Step]:
        from aws_setup.tables.teardown import removal_steps

        return removal_steps(config)

    def resume(config: Config) -> list[Step]:
        from aws_setup.tables.resume import resume_steps

        return resume_steps(config)

    def record(ctx: Context, fresh: bool) -> Mapping[str, Any]:
        from aws_setup.lockfile.infrastructure import infrastructure_part

        return infrastructure_part(ctx, fresh=fresh)

    return Story(
        table=create,
        removal=removal,
        prepare=public_ip.prepare,
        preflight=preflight,
        skipped_features=skipped_features,
        epilogue=summary_lines,
        local_files=update_login_file,
        next_command=lambda _: "python configure_eks_cluster.py",
        resume=resume,
        part=INFRASTRUCTURE,
        record=record,
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
    with required("create"):
        script_command(SCRIPT, folder=Path(__file__).resolve().parent)()
