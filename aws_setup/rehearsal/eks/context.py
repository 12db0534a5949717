"""Where EKS keeps its state in a cloud, and the small things every part of it needs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.hooks import ClusterHooks, NoApiServer
from aws_setup.rehearsal.eks.model import RegionStore
from aws_setup.rehearsal.rules import Call


class EksStore:
    """All clusters by region, and what stands behind their endpoints."""

    def __init__(self) -> None:
        """Start without clusters, with endpoints where nobody answers."""
        self.regions: dict[str, RegionStore] = {}
        self.hooks: ClusterHooks = NoApiServer()


def install_hooks(cloud: Cloud, hooks: ClusterHooks) -> None:
    """Let `hooks` play the API servers of this cloud's clusters from now on."""
    cloud.room(EksStore).hooks = hooks


def cluster_hooks(cloud: Cloud) -> ClusterHooks:
    """Return what plays the API servers."""
    return cloud.room(EksStore).hooks


def region_store(cloud: Cloud, call: Call) -> RegionStore:
    """Return the clusters of the call's region."""
    return cloud.room(EksStore).regions.setdefault(call.region, RegionStore())


def current_time(cloud: Cloud) -> datetime:
    """Return the cloud's present time."""
    return cloud.clock.today()


def current_date(cloud: Cloud) -> date:
    """Return the cloud's present day."""
    return cloud.clock.today().date()


def eks_arn(call: Call, resource: str) -> str:
    """Return the ARN of an EKS resource in the call's account and region."""
    return f"arn:aws:eks:{call.region}:{call.account}:{resource}"


def call_ec2(cloud: Cloud, call: Call, action: str, **params: Any) -> dict[str, Any]:
    """Do an EC2 call in the call's region, as EKS does it for its user."""
    found: dict[str, Any] = cloud.call("ec2", action, region=call.region, **params)
    return found
