"""The state of the emulated clusters, a line for each object and for each Helm release."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.trust.masks import is_strict, line, without

SKIPPED_OBJECTS = frozenset(
    {"events", "pods", "replicasets", "endpoints", "endpointslices", "leases", "nodes",
     "persistentvolumes",
        "jobs", "controllerrevisions"}
)  # fmt: skip
"""Objects that controllers make from others, with names of their own; Jobs run once and end."""

UNREAD_OBJECTS = frozenset({"events", "leases", "controllerrevisions"})
"""Objects whose number tells nothing to a later run."""

METADATA = ("name", "namespace", "labels", "annotations", "finalizers")
_CHECKSUM = re.compile(r"checksum|deployment.kubernetes.io/revision|helm.sh/revision")


def kubernetes_lines(hooks: EksApiServers) -> Iterator[str]:
    """Yield the lines of all clusters."""
    for cluster, api in hooks.apis.items():
        releases: dict[str, str] = {}
        for (plural, _, _), item in list(api.state.objects.items()):
            if plural in SKIPPED_OBJECTS:
                if is_strict() and plural not in UNREAD_OBJECTS:
                    yield line(f"kubernetes {cluster} {plural}", _made(item))
                continue
            labels = item["metadata"].get("labels") or {}
            if labels.get("owner") == "helm":
                name, version = labels["name"], int(labels["version"])
                shown = f"{version:06} {labels['status']}"
                releases[name] = max(releases.get(name, ""), shown)
                if is_strict():
                    yield f"helm {name} revision {shown}"
                continue
            yield line(f"kubernetes {cluster} {plural}", _object(item))
        for name, shown in releases.items():
            yield f"helm {name} {shown.partition(' ')[2]}"


def _object(item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: item["metadata"].get(key) for key in METADATA}
    for part in ("labels", "annotations"):
        held = metadata[part] or {}
        metadata[part] = {key: value for key, value in held.items() if not _CHECKSUM.search(key)}
    body = without(item, "metadata", "status", "apiVersion", "kind")
    template = body.get("spec", {}).get("template") if isinstance(body.get("spec"), dict) else None
    if template:
        # The chart waits for the database where it initialises it: never again after an upgrade.
        pod = without(template["spec"], "initContainers")
        body["spec"] = {**body["spec"], "template": {**template, "spec": pod}}
    if "data" in body and "type" in body:
        # A Secret: what is generated differs.
        body["data"] = sorted(body["data"] or {})
    return {"metadata": metadata, **_spec(body)}


def _made(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return of an object that a controller has made whose it is and how it is."""
    metadata, status = item["metadata"], item.get("status") or {}
    owners = sorted(f"{it['kind']} {it['name']}" for it in metadata.get("ownerReferences") or ())
    return {
        "namespace": metadata.get("namespace"),
        "owners": [_DRAWN_NAME.sub("-N", owner) for owner in owners],
        "phase": status.get("phase"),
        "conditions": {it["type"]: it.get("status") for it in status.get("conditions") or ()},
    }


_DRAWN_NAME = re.compile(r"-[0-9a-f]{5,10}\b")


def _spec(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is wanted of an object, without what its cluster has filled in."""
    text = json.dumps(body, default=str)
    text = re.sub(r'"[^"]*checksum[^"]*": "[^"]*",?', "", text)
    for name in ("volumeName", "clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort", "uid",
                 "kubectl.kubernetes.io/restartedAt"):  # fmt: skip
        text = re.sub(rf'"{name}": ("[^"]*"|\[[^\]]*\]|\d+)', f'"{name}": 0', text)
    found: dict[str, Any] = json.loads(text.replace(", }", "}").replace("{, ", "{"))
    return found
