"""Pod Identity associations of add-ons: the role of a service account of a cluster.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html
https://docs.aws.amazon.com/eks/latest/userguide/pod-id-association.html
"""

from __future__ import annotations

import secrets
from typing import Any

from aws_setup.rehearsal.aws import iam
from aws_setup.rehearsal.aws.eks import responses, validation
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

SUMMARY = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")


def _role(cloud: CloudApi, call: Call, role_arn: str) -> None:
    name = validation.check_role_arn(role_arn, call.account)
    iam.check_pass_role(cloud, call, role_arn)
    role = iam.visible_role(cloud, name)
    if role is None or not iam.trusts(role, "pods.eks.amazonaws.com"):
        raise responses.invalid_parameter(
            f"Role with arn: {role_arn}, could not be assumed because it does not exist or the "
            "trusted entity is not correct"
        )


def add_association(
    cloud: CloudApi,
    call: Call,
    cluster: Cluster,
    *,
    namespace: str,
    account: str,
    role_arn: str,
    owner: str = "",
    tags: dict[str, str] | None = None,
) -> Document:
    """Add the association of a service account, which has at most one."""
    for association in cluster.associations.values():
        if (association["namespace"], association["serviceAccount"]) == (namespace, account):
            raise responses.in_use(f"Association already exists: {association['associationId']}")
    _role(cloud, call, role_arn)
    number = "a-" + secrets.token_hex(9)[:17]
    document = {
        "clusterName": cluster.name,
        "namespace": namespace,
        "serviceAccount": account,
        "roleArn": role_arn,
        "associationArn": eks_arn(call, f"podidentityassociation/{cluster.name}/{number}"),
        "associationId": number,
        "tags": dict(tags or {}),
        "createdAt": current_time(cloud),
        "modifiedAt": current_time(cloud),
    } | ({"ownerArn": owner} if owner else {})
    cluster.associations[number] = document
    return document


def create_association(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer CreatePodIdentityAssociation."""
    params = call.params
    created = add_association(
        cloud,
        call,
        region_store(cloud, call).cluster(params["clusterName"]),
        namespace=params["namespace"],
        account=params["serviceAccount"],
        role_arn=params["roleArn"],
        tags=params.get("tags"),
    )
    return {"association": response_copy(created)}


def list_associations(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListPodIdentityAssociations, of one namespace or service account where asked."""
    requested = {k: call.params[k] for k in ("namespace", "serviceAccount") if k in call.params}
    cluster = region_store(cloud, call).cluster(call.params["clusterName"])
    found = [
        {key: association[key] for key in (*SUMMARY, "ownerArn") if key in association}
        for association in cluster.associations.values()
        if all(association[key] == value for key, value in requested.items())
    ]
    return paginate("associations", found, call.params)


ANSWERS = {
    ("eks", "CreatePodIdentityAssociation"): create_association,
    ("eks", "ListPodIdentityAssociations"): list_associations,
}
