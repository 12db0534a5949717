"""What a chart renders is looked at before it is applied: pure functions over its objects.

A value that helm accepts may still render what cannot work: a runtimes file that the chart lacks
renders an empty manifest, a claim may name a class that does not exist, and an image without a tag
changes by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from aws_setup.errors import Problem
from aws_setup.openwhisk.immutable_fields import at, key_of
from aws_setup.openwhisk.namenode_image import FAMILY

Object = Mapping[str, Any]
Manifest = Sequence[Object]

RUNTIMES = "RUNTIMES_MANIFEST"
"""Variable of the controller and the invokers (apache/openwhisk-deploy-kube, invoker-pod.yaml)."""

DOCKER_PROVIDER = "DockerContainerFactoryProvider"
DOCKER_SOCKET = "/var/run/docker.sock"
"""How a rendered invoker that needs Docker is recognised (the same file, _invoker-helpers.tpl)."""

IMAGE = re.compile(r"^(?P<name>([^\s@]*/)?[^\s@:/]+)(:(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@\S+)?$")
"""https://github.com/distribution/reference (a tag follows the last slash)."""


def templates(manifest: Manifest) -> Iterator[tuple[str, Object]]:
    """Yield the spec of every pod that a manifest leads to, with the name of its owner."""
    for item in manifest:
        kind, name = key_of(item)
        spec = item.get("spec") or {}
        paths = {"Pod": "spec", "CronJob": "spec.jobTemplate.spec.template.spec"}
        pod = at(item, paths.get(kind, "spec.template.spec"))
        if isinstance(spec, Mapping) and isinstance(pod, Mapping):
            yield f"{kind} {name}", pod


def containers(pod: Object) -> Iterator[Object]:
    """Yield the containers of a pod, those that start it included."""
    for group in ("initContainers", "containers"):
        yield from pod.get(group) or []


def runtimes_problems(manifest: Manifest) -> list[Problem]:
    """Return what is wrong with the runtimes that controllers and invokers get: each refused."""
    found: dict[str, Problem] = {}
    for owner, text in runtimes(manifest):
        why = _unusable(text)
        if why:
            what = f"OpenWhisk's chart renders runtimes without the NameNodes' kind {FAMILY}"
            hint = (
                "set whisk.runtimes in openwhisk_values to a file inside the chart's folder that "
                f"has {FAMILY}, such as runtimes.json of λFS's chart, or remove the value"
            )
            found.setdefault(why, Problem(what, f"{RUNTIMES} of {owner} {why}", hint))
    return list(found.values())


def runtimes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield each runtimes manifest with its owner: a variable, itself or by a ConfigMap."""
    maps = {key_of(item)[1]: item for item in manifest if item.get("kind") == "ConfigMap"}
    for owner, pod in templates(manifest):
        for container in containers(pod):
            for variable in container.get("env") or []:
                if variable.get("name") == RUNTIMES:
                    yield owner, _value(variable, maps)
            for source in container.get("envFrom") or []:
                data = at(maps.get(str(at(source, "configMapRef.name")), {}), "data") or {}
                if RUNTIMES in data:
                    yield owner, str(data[RUNTIMES] or "")


def _value(variable: Object, maps: Mapping[str, Object]) -> str:
    """Return a variable's value, '' when neither it nor its ConfigMap has one."""
    reference = at(variable, "valueFrom.configMapKeyRef") or {}
    held = at(maps.get(str(reference.get("name")), {}), "data") or {}
    value = held.get(reference.get("key")) if reference else variable.get("value")
    return str(value or "")


def _unusable(text: str) -> str:
    """Return why a runtimes manifest runs no NameNode, '' when it does."""
    if not text.strip():
        return "is empty: the chart has no such file"
    try:
        families = json.loads(text)["runtimes"].values()
        kinds = [str(entry["kind"]) for family in families for entry in family]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"cannot be read: {' '.join(str(error).split()) or type(error).__name__}"
    if any(kind.partition(":")[0] == FAMILY for kind in kinds):
        return ""
    return f"has only {', '.join(sorted(kinds)[:6]) or 'no kinds'}"


def class_problems(
    manifest: Manifest, classes: Collection[str], *, default: bool, existing: Collection[str]
) -> list[Problem]:
    """Return the claims whose volumes no StorageClass creates: each refused.

    Args:
        manifest: what the chart renders.
        classes: the names of the cluster's StorageClasses.
        default: whether one of them is the default.
        existing: the names of the claims and StatefulSets that exist, which have their volumes.
    """
    found = []
    for owner, name, claim in _claims(manifest):
        wanted = at(claim, "spec.storageClassName")
        if name in existing or wanted == "":
            continue
        if wanted is None and not default:
            why = "it names no class, and the cluster has no default one"
        elif wanted is not None and wanted not in classes:
            why = f"the cluster has {', '.join(sorted(classes)) or 'none'}"
        else:
            continue
        what = f"{owner} asks for a volume of StorageClass {wanted or '(default)'}"
        hint = (
            "set k8s.persistence.explicitStorageClass in openwhisk_values to a class of "
            "`kubectl get storageclass`, remove the value (gp3), or create the class"
        )
        found.append(Problem(f"{what}, which does not exist", why, hint))
    return found


def _claims(manifest: Manifest) -> Iterator[tuple[str, str, Object]]:
    """Yield every claim with its owner and the name of the object that leads to it."""
    for item in manifest:
        kind, name = key_of(item)
        if kind == "PersistentVolumeClaim":
            yield f"claim {name}", name, item
        elif kind == "StatefulSet":
            for claim in at(item, "spec.volumeClaimTemplates") or []:
                yield f"StatefulSet {name}", name, claim


def image_problems(manifest: Manifest) -> tuple[list[Problem], list[Problem]]:
    """Return images that are none, which are refused, and images without a tag, as warnings."""
    broken: dict[str, str] = {}
    moving: dict[str, None] = {}
    for owner, pod in templates(manifest):
        for container in containers(pod):
            image = str(container.get("image") or "")
            parsed = IMAGE.match(image)
            if not parsed:
                broken.setdefault(image, f"{owner}, container {container.get('name')}")
            elif not parsed["tag"] and not parsed["digest"]:
                moving[image] = None
    refused = [
        Problem(
            f'the chart renders the image "{image}"',
            f"it is no image name, so that no pod of {owner} starts",
            "correct the image's name and tag in openwhisk_values",
        )
        for image, owner in broken.items()
    ]
    if not moving:
        return refused, []
    what = "images of OpenWhisk's chart have no tag"
    why = f"{', '.join(moving)}: Kubernetes takes `latest`, which changes by itself"
    return refused, [Problem(what, why, "set a tag for each of them in openwhisk_values")]


def docker_problems(manifest: Manifest, values: Mapping[str, Any]) -> list[Problem]:
    """Return a warning when the invoker is to start actions with Docker, which nodes lack."""
    why = ""
    if at(values, "invoker.containerFactory.impl") == "docker":
        why = "invoker.containerFactory.impl is docker"
    for owner, pod in templates(manifest):
        if any(
            DOCKER_PROVIDER in str(env) for it in containers(pod) for env in it.get("env") or []
        ):
            why = why or f"{owner} has {DOCKER_PROVIDER}"
        if any(at(volume, "hostPath.path") == DOCKER_SOCKET for volume in pod.get("volumes") or []):
            why = why or f"{owner} mounts {DOCKER_SOCKET}"
    if not why:
        return []
    what = "OpenWhisk's invoker uses Docker, which cannot work on these nodes"
    why = f"{why}, and EKS's nodes run containerd only: no action would start"
    return [Problem(what, why, "set invoker.containerFactory.impl to kubernetes, or remove it")]
