"""Own values that a chart renders into a loss, or into what cannot work: found before.

helm accepts each of them, and Kubernetes too: what fails is OpenWhisk, later and without a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem
from aws_setup.openwhisk.immutable_fields import Manifest, Object, at, key_of
from aws_setup.openwhisk.values import ELB

KEEP = ("helm.sh/resource-policy", "keep")
"""The annotation with which helm leaves an object (https://helm.sh/docs/howto/charts_tips_and_tricks/)."""

HOST = "kubernetes.io/hostname"

ESSENTIAL = ("couchdb", "zookeeper", "kafka", "controller", "nginx", "invoker")
"""Parts without which no action runs; the chart's other parts may be switched off."""


def lost_claims(
    before: Sequence[Manifest], new: Manifest, live: Mapping[tuple[str, str], Object]
) -> list[Problem]:
    """Return the claims that an upgrade would delete, with their data: refused.

    Args:
        before: the manifests of which one is applied: helm deletes what only they have.
        new: what the chart renders now.
        live: the objects that exist, by kind and name.
    """
    rendered = {key_of(item) for item in new}
    applied = {key_of(item): item for manifest in before for item in manifest}
    names = [
        key[1]
        for key, item in sorted(applied.items())
        if key[0] == "PersistentVolumeClaim"
        and key in live
        and key not in rendered
        and not any(_keeps(held) for held in (item, live[key]))
    ]
    if not names:
        return []
    what = f"the upgrade would delete volume claims and their data: {', '.join(names)}"
    why = "the chart no longer renders them, and helm deletes what it no longer renders"
    hint = (
        "set k8s.persistence.enabled to true in openwhisk_values, or restore what else renders "
        "them; to give the data up, destroy first"
    )
    return [Problem(what, why, hint)]


def _keeps(item: Object) -> bool:
    annotations = at(item, "metadata.annotations") or {}
    return bool(annotations.get(KEEP[0]) == KEEP[1])


def volatile_database(manifest: Manifest, release: str) -> list[Problem]:
    """Return a warning when a restart of the database's pod deletes what is registered."""
    for item in manifest:
        kind, name = key_of(item)
        pod = at(item, "spec.template.spec") or {}
        if name != f"{release}-couchdb" or kind not in ("Deployment", "StatefulSet"):
            continue
        claims = [
            volume for volume in pod.get("volumes") or [] if "persistentVolumeClaim" in volume
        ]
        if not claims and not at(item, "spec.volumeClaimTemplates"):
            return [
                Problem(
                    "OpenWhisk's database has no volume",
                    "registered NameNodes are lost whenever its pod restarts",
                    "set k8s.persistence.enabled to true in openwhisk_values, or remove it",
                )
            ]
    return []


def replica_problems(
    manifest: Manifest, release: str, *, hosts: int, configured: int
) -> tuple[list[Problem], list[Problem]]:
    """Return parts of which none would run, which are refused, and numbers of invokers to warn of.

    Args:
        manifest: what the chart renders.
        release: the name of the release.
        hosts: nodes on which invokers may run.
        configured: those of num_openwhisk_invoker_vms.
    """
    refused, warned = [], []
    for item in manifest:
        kind, name = key_of(item)
        part = name.removeprefix(f"{release}-")
        if kind not in ("Deployment", "StatefulSet") or part not in ESSENTIAL:
            continue
        given = at(item, "spec.replicas")
        count = 1 if given is None else int(given)
        if not count:
            what = f"the chart renders the {kind} {name} without a pod"
            hint = "set its replicaCount to at least 1 in openwhisk_values, or remove the value"
            if part == "invoker" and not configured:
                hint = "set num_openwhisk_invoker_vms to at least 1"
            refused.append(Problem(what, "its replicas are 0, and OpenWhisk needs it", hint))
        elif part == "invoker" and _one_for_each_host(item):
            warned += _unequal(count, hosts=hosts, configured=configured)
    return refused, warned


def _unequal(count: int, *, hosts: int, configured: int) -> list[Problem]:
    """Return the warning of more invokers than nodes, or of nodes without one."""
    if configured <= count <= hosts:
        return []
    nodes = hosts if count > hosts else configured
    what = f"the chart renders {count_of(count, 'invoker')} for {count_of(nodes, 'invoker node')}"
    why = "each needs a node of its own: the others stay Pending, and configure waits"
    if count < configured:
        idle = count_of(configured - count, "node")
        why = f"no NameNode runs on {idle}, billed all the same"
    hint = f"set num_openwhisk_invoker_vms to {count}, or remove the value's replicaCount"
    return [Problem(what, why, hint)]


def _one_for_each_host(item: Object) -> bool:
    rule = "podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    terms = at(item, f"spec.template.spec.affinity.{rule}") or []
    return any(term.get("topologyKey") == HOST for term in terms)


def service_problems(service: Mapping[str, Any]) -> list[Problem]:
    """Return why the chart's Service would not be OpenWhisk's internal address: each refused."""
    return list(_service_problems(service))


def _service_problems(service: Mapping[str, Any]) -> Iterator[Problem]:
    name, kind = key_of(service)[1], at(service, "spec.type") or "ClusterIP"
    annotations = at(service, "metadata.annotations") or {}
    if kind != "LoadBalancer":
        yield Problem(
            f"the chart's Service {name} is of type {kind}",
            "only a LoadBalancer gives OpenWhisk an address",
            "remove whisk.ingress.type from openwhisk_values, or set it to LoadBalancer",
        )
    # kubernetes/cloud-provider-aws, pkg/providers/v1/aws.go: any other value makes it internal.
    if str(annotations.get(f"{ELB}-internal", "")) in ("false", ""):
        yield Problem(
            f"the load balancer of the chart's Service {name} would be public",
            "it listens to the whole internet, in plain text on port 80 too",
            f"remove the annotation {ELB}-internal from openwhisk_values: the public address is a "
            "Service of its own, for openwhisk_access_cidrs",
        )


def invoker_hosts(nodes: Collection[Mapping[str, Any]], label: str, configured: int) -> int:
    """Return on how many nodes invokers may run: those configured, or more that have the label."""
    labels = (at(node, "metadata.labels") or {} for node in nodes)
    return max(configured, sum(1 for found in labels if found.get(label) == "invoker"))
