"""Updates of EKS: one at a time on each cluster and node group, followed with DescribeUpdate.

https://docs.aws.amazon.com/eks/latest/APIReference/API_Update.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks import errors
from aws_setup.rehearsal.eks.context import current_time, region_store
from aws_setup.rehearsal.eks.model import Cluster, Document, Update, response_copy
from aws_setup.rehearsal.eks.pages import paginate
from aws_setup.rehearsal.rules import Call


def check_no_update_in_progress(cluster: Cluster, kind: str) -> None:
    """Refuse a change while the cluster is not ACTIVE or another update runs."""
    if cluster.busy:
        raise errors.in_use(
            f"Cannot {kind} because cluster {cluster.name} currently has update "
            f"{cluster.busy} in progress",
            clusterName=cluster.name,
        )
    if cluster.status != "ACTIVE":
        raise errors.in_use(
            f"Cannot {kind} because cluster {cluster.name} is in state {cluster.status}",
            clusterName=cluster.name,
        )


def begin_update(
    cloud: Cloud,
    cluster: Cluster,
    kind: str,
    params: Mapping[str, Any],
    *,
    nodegroup: str = "",
    addon: str = "",
) -> Update:
    """Record an update as InProgress and return it."""
    document: Document = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": key, "value": _text(value)} for key, value in params.items()],
        "createdAt": current_time(cloud),
        "errors": [],
    }
    update = Update(document, nodegroup=nodegroup, addon=addon)
    cluster.updates[document["id"]] = update
    return update


def start_cluster_update(
    cloud: Cloud,
    cluster: Cluster,
    kind: str,
    params: Mapping[str, Any],
    apply: Callable[[], None],
) -> dict[str, Any]:
    """Start an update of the cluster itself: UPDATING until `apply` has run, then ACTIVE."""
    check_no_update_in_progress(cluster, kind)
    update = begin_update(cloud, cluster, kind, params)
    cluster.busy = update.document["id"]
    cluster.document["status"] = "UPDATING"

    def finish() -> None:
        apply()
        cluster.busy = ""
        cluster.document["status"] = "ACTIVE"
        update.document["status"] = "Successful"

    answer = {"update": response_copy(update.document)}
    cloud.later("cluster update", finish)
    return answer


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def describe_update(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer DescribeUpdate; a node group's or add-on's update needs its name too."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    update = cluster.updates.get(call.params["updateId"])
    named = (call.params.get("nodegroupName", ""), call.params.get("addonName", ""))
    if update is None or (update.nodegroup, update.addon) != named:
        raise errors.not_found(f"No update found for ID: {call.params['updateId']}")
    return {"update": response_copy(update.document)}


def list_updates(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer ListUpdates for the cluster, or for one node group or add-on."""
    cluster = region_store(cloud, call).cluster(call.params["name"])
    named = (call.params.get("nodegroupName", ""), call.params.get("addonName", ""))
    ids = [key for key, one in cluster.updates.items() if (one.nodegroup, one.addon) == named]
    return paginate("updateIds", ids, call.params)


UPDATE_ANSWERS = {("eks", "DescribeUpdate"): describe_update, ("eks", "ListUpdates"): list_updates}
