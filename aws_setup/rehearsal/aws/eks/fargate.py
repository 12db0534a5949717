"""Fargate profiles: a cluster that has one is not deleted. Their pods are not emulated.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateFargateProfile.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html
"""

from __future__ import annotations

import uuid
from typing import Any

from aws_setup.rehearsal.aws.eks import responses
from aws_setup.rehearsal.aws.eks.responses import paginate
from aws_setup.rehearsal.aws.eks.store import (
    Cluster,
    Document,
    current_time,
    eks_arn,
    region_store,
    response_copy,
)
from aws_setup.rehearsal.core.types import Call, CloudApi


def _cluster(cloud: CloudApi, call: Call) -> Cluster:
    return region_store(cloud, call).cluster(call.params["clusterName"])


def _profile(cloud: CloudApi, call: Call) -> Document:
    cluster, name = _cluster(cloud, call), call.params["fargateProfileName"]
    if name not in cluster.fargate:
        raise responses.not_found(
            f"No Fargate Profile found with name: {name}.",
            clusterName=cluster.name,
            fargateProfileName=name,
        )
    return cluster.fargate[name]


def create_profile(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreateFargateProfile; it is ACTIVE at once."""
    cluster, params = _cluster(cloud, call), call.params
    name = params["fargateProfileName"]
    if name in cluster.fargate:
        raise responses.in_use("A Fargate Profile already exists with this name in this cluster.")
    cluster.fargate[name] = {
        "fargateProfileName": name,
        "fargateProfileArn": eks_arn(call, f"fargateprofile/{cluster.name}/{name}/{uuid.uuid4()}"),
        "clusterName": cluster.name,
        "createdAt": current_time(cloud),
        "podExecutionRoleArn": params["podExecutionRoleArn"],
        "subnets": list(params.get("subnets") or []),
        "selectors": list(params.get("selectors") or []),
        "status": "ACTIVE",
        "tags": dict(params.get("tags") or {}),
    }
    return {"fargateProfile": response_copy(cluster.fargate[name])}


def describe_profile(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeFargateProfile."""
    return {"fargateProfile": response_copy(_profile(cloud, call))}


def list_profiles(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListFargateProfiles, by name."""
    return paginate("fargateProfileNames", sorted(_cluster(cloud, call).fargate), call.params)


def delete_profile(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteFargateProfile; it is gone at once."""
    profile = _profile(cloud, call)
    del _cluster(cloud, call).fargate[profile["fargateProfileName"]]
    return {"fargateProfile": response_copy(profile) | {"status": "DELETING"}}


ANSWERS = {
    ("eks", "CreateFargateProfile"): create_profile,
    ("eks", "DescribeFargateProfile"): describe_profile,
    ("eks", "ListFargateProfiles"): list_profiles,
    ("eks", "DeleteFargateProfile"): delete_profile,
}
