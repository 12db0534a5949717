"""How an EKS cluster differs from the configuration, and the updates that correct it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.engine.step import Drift
from aws_setup.infrastructure.control_plane_logs import log_drift, logging
from aws_setup.infrastructure.operators import allowed_cidrs

ENDPOINTS = ("endpointPublicAccess", "endpointPrivateAccess")
"""Public for the operator, private for the nodes, which are outside the operator's range."""


def role_drift(ctx: Context, cluster: Item) -> Sequence[Drift]:
    """Return the drift of the role, which UpdateClusterConfig cannot change.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
    """
    has, wants = cluster["roleArn"].rpartition("/")[2], ctx.config.eks_iam_role_name
    fix = f"set eks_iam_role_name: {has}"
    return (Drift("role", has, wants, fix),) if has != wants else ()


def version_drift(ctx: Context, cluster: Item) -> Sequence[Drift]:
    """Return the conflict of another Kubernetes version than the configured one.

    https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html
    """
    version = ctx.config.kubernetes_version
    if not version or version == cluster["version"]:
        return ()
    has, name = str(cluster["version"]), ctx.config.eks_cluster_name
    fix = f"set kubernetes_version: {has}"
    if _number(version) > _number(has):
        following = f"{has.partition('.')[0]}.{_number(has)[1] + 1}"
        fix = (
            f"{fix}, or run `aws eks update-cluster-version --name {name} --kubernetes-version "
            f"{following}` (EKS upgrades to the next version only, and never back), and then "
            "configure, which upgrades the nodes and the add-ons"
        )
    return (Drift("Kubernetes version", has, version, fix),)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def access_drift(ctx: Context, cluster: Item) -> Sequence[Drift]:
    """Return how the access to the API server differs: its address ranges and its endpoints."""
    drift = []
    network = cluster["resourcesVpcConfig"]
    has, desired = set(network.get("publicAccessCidrs", [])), set(access_cidrs(ctx))
    if desired and has != desired:
        drift.append(Drift("public access", _or_none(has), _or_none(desired)))
    disabled = [key for key in ENDPOINTS if not network.get(key)]
    if disabled:
        drift.append(Drift("disabled endpoints", ", ".join(disabled), "none"))
    return drift


def access_change(ctx: Context, cluster: Item) -> dict[str, Any]:
    """Return the update of the access to the API server; nothing where it is as configured."""
    if not access_drift(ctx, cluster):
        return {}
    ranges = {"publicAccessCidrs": access_cidrs(ctx)} if access_cidrs(ctx) else {}
    return {"resourcesVpcConfig": {**dict.fromkeys(ENDPOINTS, True), **ranges}}


def log_change(ctx: Context, cluster: Item) -> dict[str, Any]:
    """Return the update of the logs; nothing where they are as configured."""
    return {"logging": logging(ctx.config)} if log_drift(ctx, cluster) else {}


def access_cidrs(ctx: Context) -> list[str]:
    """Return the ranges that may use the public endpoint: as configured, else the operator's.

    EKS takes IPv4 alone for a cluster of the IPv4 family, which all are that are created here:
    https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
    """
    if ctx.config.eks_public_access_cidrs:
        return sorted(ctx.config.eks_public_access_cidrs)
    return sorted(cidr for cidr in allowed_cidrs(ctx) if ":" not in cidr)


def _or_none(values: set[str]) -> str:
    return ", ".join(sorted(values)) or "none"
