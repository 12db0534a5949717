"""Whether there is a deployment, before anything is inspected over SSH."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.cli.commands import ScriptRun
from aws_setup.errors import Refused
from aws_setup.infrastructure.renamed_cluster import refuse_renamed
from aws_setup.pause.deadline_targets import stoppable


def require_deployment(run: ScriptRun, verb: str) -> list[Mapping[str, Any]]:
    """Return the clusters of the deployment.

    Raises:
        Refused: it has neither machines nor a cluster, so that the verb has nothing to work on.
    """
    config, inventory = run.ctx.config, run.ctx.inventory
    run.ctx.refresh()
    refuse_renamed(run.ctx)
    clusters = [
        cluster
        for cluster in inventory.all("eks cluster")
        if tag_of(cluster, DEPLOYMENT_TAG) == config.deployment_name
    ]
    if clusters or any(inventory.all(kind) for kind in ("instances", "auto-scaling groups")):
        return clusters
    raise Refused(
        f"there is nothing to {verb}",
        f"{config.deployment_name} has no machines and no cluster in {run.ctx.aws.region}",
        "run python create_aws_infrastructure.py to create it",
    )


def require_running(run: ScriptRun) -> None:
    """Refuse a paused deployment, of which every check would fail with a cause of its own.

    Raises:
        Refused: none of its machines runs.
    """
    parts = stoppable(run.ctx)
    if parts and not any(part.runs for part in parts):
        hint = "run python create_aws_infrastructure.py resume"
        raise Refused("the deployment is paused", "none of its machines runs", hint)
