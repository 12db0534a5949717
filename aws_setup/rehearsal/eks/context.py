"""Where EKS keeps its state in a cloud, and the small things every part of it needs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.hooks import ClusterHooks, NoKubernetes
from aws_setup.rehearsal.eks.model import Region
from aws_setup.rehearsal.rules import Call


class Store:
    """All clusters by region, and what stands behind their endpoints."""

    def __init__(self) -> None:
        """Start without clusters, with endpoints where nobody answers."""
        self.regions: dict[str, Region] = {}
        self.hooks: ClusterHooks = NoKubernetes()


def install(cloud: Cloud, hooks: ClusterHooks) -> None:
    """Let `hooks` play the API servers of this cloud's clusters from now on."""
    cloud.room(Store).hooks = hooks


def hooks(cloud: Cloud) -> ClusterHooks:
    """Return what plays the API servers."""
    return cloud.room(Store).hooks


def region(cloud: Cloud, call: Call) -> Region:
    """Return the clusters of the call's region."""
    return cloud.room(Store).regions.setdefault(call.region, Region())


def moment(cloud: Cloud) -> datetime:
    """Return the cloud's present time."""
    return cloud.clock.today()


def today(cloud: Cloud) -> date:
    """Return the cloud's present day."""
    return cloud.clock.today().date()


def arn(call: Call, resource: str) -> str:
    """Return the ARN of an EKS resource in the call's account and region."""
    return f"arn:aws:eks:{call.region}:{call.account}:{resource}"


def ec2(cloud: Cloud, call: Call, action: str, **params: Any) -> dict[str, Any]:
    """Do an EC2 call in the call's region, as EKS does it for its user."""
    found: dict[str, Any] = cloud.call("ec2", action, region=call.region, **params)
    return found
