#!/usr/bin/env python3
"""Configures the EKS cluster and installs OpenWhisk: nodes, storage, access, Helm release."""

from __future__ import annotations

from pathlib import Path

from aws_setup.cli.installed import required

with required("configure"):
    from aws_setup.cli.app import script_command
    from aws_setup.cli.options import ConfigOption
    from aws_setup.cli.script import Script, Story


def story() -> Story:
    """Return what the commands do; its imports take longer than --help may."""
    from aws_setup.config.lock_file import CLUSTER
    from aws_setup.lockfile.cluster import cluster_part
    from aws_setup.openwhisk.summary import next_command, summary_lines
    from aws_setup.preflight import cluster
    from aws_setup.tables.cluster import cluster_removal_steps, cluster_steps

    return Story(
        table=cluster_steps,
        removal=cluster_removal_steps,
        prepare=cluster.prepare,
        preflight=cluster.run,
        epilogue=summary_lines,
        next_command=next_command,
        part=CLUSTER,
        record=lambda ctx, fresh: cluster_part(ctx, fresh=fresh),
    )


SCRIPT = Script(
    name="configure_eks_cluster.py",
    verbs=("configure", "plan", "status", "destroy"),
    help="""Configure the EKS cluster and install OpenWhisk, show its status, or remove it.

    \b
    configure  show the plan with its price, then create and update (the default)
    plan       show exactly what configure would do
    status     show the states of nodes, add-ons, OpenWhisk and its certificate
    destroy    delete OpenWhisk with its volumes, and the nodes; keep the cluster
    """,
    story=story,
    owns_deployment=False,
    flags=(
        ConfigOption(
            "--skip-storage-probe", "storage_probe", False, "Do not test that volumes work."
        ),
        ConfigOption(
            "--kubeconfig",
            "kubeconfig_file",
            True,
            "Add the cluster to this kubeconfig.",
            metavar="FILE",
        ),
        ConfigOption(
            "--set-context", "set_kube_context", True, "Make it kubectl's current context."
        ),
        ConfigOption(
            "--update-chart", "update_openwhisk_chart", True, "Use the newest commit of the chart."
        ),
        ConfigOption("--write-wskprops", "write_wskprops", True, "Also write ~/.wskprops for wsk."),
    ),
)

if __name__ == "__main__":
    with required("configure"):
        script_command(SCRIPT, folder=Path(__file__).resolve().parent)()
