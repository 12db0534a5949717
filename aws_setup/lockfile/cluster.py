"""The second script's part of the lock file: add-ons, nodes, chart, container images, helm."""

from __future__ import annotations

from typing import Any

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.config.chart_source import is_git_url
from aws_setup.eks import addons
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.eks.node_launch_template import node_group_specs
from aws_setup.infrastructure.eks_deletions import describe_node_group
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import POD
from aws_setup.lockfile.infrastructure import kubernetes_of
from aws_setup.openwhisk.helm import find_helm, helm_version
from aws_setup.openwhisk.secrets import read_secrets


def cluster_part(ctx: Context, *, fresh: bool) -> dict[str, Any]:
    """Return what EKS and Kubernetes say that the second script's resources are.

    Raises:
        SetupError: there is no cluster, or it does not answer; helm is missing.
    """
    cluster = cluster_of(ctx, fresh=fresh)
    return {
        "kubernetes": kubernetes_of(cluster) if cluster else {},
        "addons": _addons(ctx),
        "nodes": _nodes(ctx),
        "helm": helm_version(find_helm()),
        "chart": _chart(ctx),
        "images": images_of(kube_client(ctx).list(POD, ctx.config.openwhisk_namespace)),
    }


def _addons(ctx: Context) -> dict[str, str]:
    found = {spec.name: addons.describe(ctx, spec.name) for spec in ADDONS}
    return {name: str(addon.get("addonVersion", "")) for name, addon in found.items() if addon}


def _nodes(ctx: Context) -> dict[str, Any]:
    """Return the node groups that exist; the release is that of their AMI."""
    found = {}
    for spec in node_group_specs(ctx.config):
        group = describe_node_group(ctx, spec.group)
        if group:
            found[spec.group] = {
                "count": group["scalingConfig"]["desiredSize"],
                "instance_type": ", ".join(group.get("instanceTypes") or ()),
                "ami_type": str(group.get("amiType", "")),
                "release": str(group.get("releaseVersion", "")),
            }
    return found


def _chart(ctx: Context) -> dict[str, str]:
    """Return the chart of the release; of a folder the hash of its files."""
    keys = read_secrets(ctx)
    return chart_document(ctx.config, keys.chart) if keys and keys.chart else {}


def chart_document(config: Config, pin: str) -> dict[str, str]:
    """Return a chart's source and what identifies its contents, from the pin of the release."""
    contents = pin.rpartition(" ")[2]
    if not is_git_url(config.openwhisk_chart):
        return {"sha256": contents}
    return {
        "source": config.openwhisk_chart,
        "ref": config.openwhisk_chart_ref,
        "folder": config.openwhisk_chart_folder,
        "commit": contents,
    }


def images_of(pods: list[dict[str, Any]]) -> list[str]:
    """Return the images of some pods, each as it is named with the digest that runs, sorted."""
    found = set()
    for pod in pods:
        spec, status = pod.get("spec", {}), pod.get("status", {})
        for named, states in (
            (spec.get("containers"), status.get("containerStatuses")),
            (spec.get("initContainers"), status.get("initContainerStatuses")),
        ):
            ids = {it["name"]: str(it.get("imageID") or "") for it in states or ()}
            for container in named or ():
                digest = ids.get(container["name"], "").rpartition("@")[2]
                if digest.startswith("sha256:"):
                    found.add(f"{container['image'].partition('@')[0]}@{digest}")
    return sorted(found)
