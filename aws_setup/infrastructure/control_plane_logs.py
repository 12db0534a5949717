"""The setting of the logs of EKS's control plane, which it sends to CloudWatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.config import Config
from aws_setup.engine.step import Drift


def log_drift(ctx: Context, cluster: Item) -> Sequence[Drift]:
    """Return how the cluster's logs differ from the configured ones."""
    has, desired = enabled_logs(cluster), set[str](ctx.config.eks_log_types)
    if has == desired:
        return ()
    present, wanted = (", ".join(sorted(kinds)) or "none" for kinds in (has, desired))
    return (Drift("logging", present, wanted),)


def logging(config: Config) -> dict[str, Any]:
    """Return EKS's logging setting: every type, enabled or disabled."""
    every = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    on = [kind for kind in every if kind in config.eks_log_types]
    off = [kind for kind in every if kind not in config.eks_log_types]
    settings = [{"types": kinds, "enabled": flag} for kinds, flag in ((on, True), (off, False))]
    return {"clusterLogging": [setting for setting in settings if setting["types"]]}


def enabled_logs(cluster: Item) -> set[str]:
    """Return the control-plane logs that are enabled."""
    settings = cluster.get("logging", {}).get("clusterLogging", [])
    return {kind for setting in settings if setting["enabled"] for kind in setting["types"]}
