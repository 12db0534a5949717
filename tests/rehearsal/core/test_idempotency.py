"""Client tokens of EKS: CreateCluster, CreateNodegroup, CreateAddon, CreateAccessEntry.

EKS API reference, clientRequestToken of each.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, refused
from tests.support.eks import SIZES, make, role


def test_same_token_same_answer(cloud: RehearsalCloud) -> None:
    environment, eks = make(), client("eks")
    nodes = {
        "subnets": environment.subnets,
        "nodeRole": environment.node_role,
        "scalingConfig": SIZES,
    }
    named = {"clusterName": "zoo"}
    admin = role("admin", "ec2.amazonaws.com")
    requests: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
        (
            eks.create_cluster,
            {
                "name": "zoo",
                "roleArn": environment.cluster_role,
                "resourcesVpcConfig": {"subnetIds": environment.subnets},
                "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"},
            },
            {"name": "zoo2"},
        ),
        (
            eks.create_nodegroup,
            {**named, "nodegroupName": "n", "instanceTypes": ["r5.xlarge"], **nodes},
            {"nodegroupName": "n2"},
        ),
        (
            eks.create_addon,
            {**named, "addonName": "aws-ebs-csi-driver"},
            {"addonName": "coredns"},
        ),
        (eks.create_access_entry, {**named, "principalArn": admin}, {"username": "somebody"}),
    ]
    for create, request, other in requests:
        with ThreadPoolExecutor(16) as pool:
            again = [pool.submit(create, clientRequestToken="once", **request) for _ in range(16)]
        answers = [_without_metadata(item.result()) for item in again]
        assert answers == [answers[0]] * 16
        changed = request | other
        code = refused(create, clientRequestToken="once", **changed)
        assert code == "IdempotentParameterMismatch"
    assert eks.list_clusters()["clusters"] == ["zoo"]
    assert eks.list_nodegroups(**named)["nodegroups"] == ["n"]


def _without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}
