"""Updates of a node group: UpdateNodegroupConfig and UpdateNodegroupVersion.

https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.aws.eks import nodegroups, nodes, responses, updates
from aws_setup.rehearsal.aws.eks import nodegroups as groupchecks
from aws_setup.rehearsal.aws.eks.launch_templates import check_launch_template
from aws_setup.rehearsal.aws.eks.store import (
    Cluster,
    Document,
    Nodegroup,
    region_store,
    response_copy,
)
from aws_setup.rehearsal.core.types import Call, CloudApi


def _group(cloud: CloudApi, call: Call) -> tuple[Cluster, Nodegroup]:
    """Return the group of a call; rejected while it is not ACTIVE or another update runs."""
    cluster = region_store(cloud, call).cluster(call.params["clusterName"])
    group = cluster.nodegroup(call.params["nodegroupName"])
    if group.busy or group.document["status"] not in {"ACTIVE", "DEGRADED"}:
        raise responses.in_use(
            f"Nodegroup {call.params['nodegroupName']} is in state {group.document['status']}"
            + (f" with update {group.busy} in progress" if group.busy else ""),
            clusterName=cluster.name,
            nodegroupName=call.params["nodegroupName"],
        )
    return cluster, group


def _start_nodegroup_update(
    cloud: CloudApi,
    call: Call,
    *,
    of: tuple[Cluster, Nodegroup],
    kind: str,
    params: Document,
    apply: Callable[[], None],
) -> dict[str, Any]:
    """Start an update of a node group: UPDATING until it has been applied."""
    cluster, group = of
    name = group.document["nodegroupName"]
    update = updates.begin_update(cloud, cluster, kind, params, nodegroup=name)
    group.busy = update.document["id"]
    group.document["status"] = "UPDATING"

    def finish() -> None:
        apply()
        group.busy = ""
        group.document["status"] = "ACTIVE"
        update.document["status"] = "Successful"
        nodegroups.nodes_changed(cloud, call, cluster, group)

    answer = {"update": response_copy(update.document)}
    cloud.schedule("node group update", lambda: nodes.when_started(cloud, call, group, finish))
    return answer


def update_config(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UpdateNodegroupConfig: sizes (at once in the Auto Scaling group), labels, taints."""
    cluster, group = _group(cloud, call)
    params = call.params
    sizes = groupchecks.check_scaling_config(
        group.document["scalingConfig"] | (params.get("scalingConfig") or {})
    )
    if params.get("scalingConfig"):
        cloud.call(
            "autoscaling",
            "UpdateAutoScalingGroup",
            region=call.region,
            AutoScalingGroupName=group.group_name,
            MinSize=sizes["minSize"],
            MaxSize=sizes["maxSize"],
            DesiredCapacity=sizes["desiredSize"],
        )

    def apply() -> None:
        group.document["scalingConfig"] = sizes
        _labels(group.document, params.get("labels") or {})
        _taints(group.document, params.get("taints") or {})
        group.document["updateConfig"] |= params.get("updateConfig") or {}

    update_params = _notify_labels_and_taints(params)
    return _start_nodegroup_update(
        cloud, call, of=(cluster, group), kind="ConfigUpdate", params=update_params, apply=apply
    )


def _notify_labels_and_taints(params: Document) -> Document:
    sizes = params.get("scalingConfig") or {}
    names = {"minSize": "MinSize", "maxSize": "MaxSize", "desiredSize": "DesiredSize"}
    update_params: Document = {names[key]: str(value) for key, value in sizes.items()}
    labels = params.get("labels") or {}
    if labels.get("addOrUpdateLabels"):
        update_params["LabelsToAdd"] = labels["addOrUpdateLabels"]
    if labels.get("removeLabels"):
        update_params["LabelsToRemove"] = labels["removeLabels"]
    return update_params


def _labels(document: Document, change: Document) -> None:
    document["labels"] |= change.get("addOrUpdateLabels") or {}
    for key in change.get("removeLabels") or []:
        document["labels"].pop(key, None)


def _taints(document: Document, change: Document) -> None:
    def named(taint: Document) -> tuple[Any, Any]:
        return taint.get("key"), taint.get("effect")

    added = change.get("addOrUpdateTaints") or []
    dropped = {named(item) for item in [*added, *(change.get("removeTaints") or [])]}
    kept = [item for item in document["taints"] if named(item) not in dropped]
    document["taints"] = kept + list(added)


def update_version(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UpdateNodegroupVersion: to the cluster's version of Kubernetes where it is named.

    Without a version the group gets the newest AMI of its own.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html
    """
    cluster, group = _group(cloud, call)
    version = call.params.get("version") or group.document["version"]
    if version not in (cluster.document["version"], group.document["version"]):
        raise responses.invalid_parameter(
            f"Nodegroup version {version} must be the cluster's {cluster.document['version']}"
        )
    released = f"{version}.4-{nodegroups.RELEASE_DATE}"
    template = _next_template(cloud, call, group, upgraded=version != group.document["version"])
    if template:
        nodes.replace_nodes(cloud, call, cluster, group, template["LaunchTemplateData"])

    def apply() -> None:
        group.document |= {"version": version, "releaseVersion": released}
        if template:
            group.document["launchTemplate"]["version"] = str(template["VersionNumber"])

    update_params = {"Version": version, "ReleaseVersion": released}
    return _start_nodegroup_update(
        cloud, call, of=(cluster, group), kind="VersionUpdate", params=update_params, apply=apply
    )


def _next_template(cloud: CloudApi, call: Call, group: Nodegroup, *, upgraded: bool) -> Document:
    """Return the launch template of new nodes: another version of it, or for another AMI.

    It is empty where the nodes stay.
    """
    found = check_launch_template(cloud, call)
    current = group.document.get("launchTemplate", {})
    if found and found["LaunchTemplateId"] != current.get("id"):
        raise responses.invalid_parameter(
            "You cannot change the launch template of a nodegroup, only its version"
        )
    same = found and str(found["VersionNumber"]) == current.get("version")
    return {} if same and not upgraded else found


ANSWERS = {
    ("eks", "UpdateNodegroupConfig"): update_config,
    ("eks", "UpdateNodegroupVersion"): update_version,
}
