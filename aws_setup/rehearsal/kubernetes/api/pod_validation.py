"""Validation of pods' specs, alone or in a template.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aws_setup.rehearsal.kubernetes.api import metadata, quantities
from aws_setup.rehearsal.kubernetes.api.errors import (
    FieldError,
    KubeObject,
    duplicate,
    not_allowed,
    required,
    unknown_value,
    unsupported,
    wrong,
)

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
NEEDED_IN_VOLUME = {
    "persistentVolumeClaim": "claimName",
    "secret": "secretName",
    "configMap": "name",
    "hostPath": "path",
}
PORT_TEXT = "must be between 1 and 65535, inclusive"
NOT_NEGATIVE = "must be greater than or equal to 0"
_PORT_NAME = re.compile(r"^(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?$")


def check_pod_spec(spec: KubeObject, path: str, *, claims: Iterable[str] = ()) -> list[FieldError]:
    """Return the problems of a pod's spec; `claims` are volumes that its owner will add."""
    found: list[FieldError] = []
    found += _check_volumes(spec.get("volumes") or [], f"{path}.volumes")
    volumes = {volume.get("name") for volume in spec.get("volumes") or []} | set(claims)
    if not spec.get("containers"):
        found.append(required(f"{path}.containers"))
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(group) or []):
            at_path = f"{path}.{group}[{at}]"
            name = container.get("name", "")
            if name and name in names:
                found.append(duplicate(f"{at_path}.name", name))
            names.add(name)
            found += _check_container(container, at_path, volumes)
    found += _check_choices(spec, path)
    found += metadata.check_labels(f"{path}.nodeSelector", spec.get("nodeSelector") or {})
    found += _check_affinity(spec.get("affinity") or {}, f"{path}.affinity")
    for at, toleration in enumerate(spec.get("tolerations") or []):
        found += _check_toleration(toleration, f"{path}.tolerations[{at}]")
    return found


def _check_choices(spec: KubeObject, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for field, allowed in (("restartPolicy", RESTART_POLICIES), ("dnsPolicy", DNS_POLICIES)):
        if spec.get(field) not in {None, *allowed}:
            found.append(unsupported(f"{path}.{field}", spec[field], allowed))
    grace, deadline = spec.get("terminationGracePeriodSeconds"), spec.get("activeDeadlineSeconds")
    if grace is not None and grace < 0:
        found.append(wrong(f"{path}.terminationGracePeriodSeconds", grace, NOT_NEGATIVE))
    if deadline is not None and deadline < 1:
        why = "must be between 1 and 2147483647, inclusive"
        found.append(wrong(f"{path}.activeDeadlineSeconds", deadline, why))
    for field, rule in (
        ("serviceAccountName", metadata.subdomain),
        ("nodeName", metadata.subdomain),
        ("hostname", metadata.label),
        ("subdomain", metadata.label),
    ):
        if (value := spec.get(field)) and (why := rule(value)):
            found.append(wrong(f"{path}.{field}", value, why))
    return found


def _check_volumes(volumes: list[KubeObject], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    names: set[str] = set()
    for at, volume in enumerate(volumes):
        name, at_path = volume.get("name", ""), f"{path}[{at}]"
        if not name:
            found.append(required(f"{at_path}.name"))
        elif why := metadata.label(name):
            found.append(wrong(f"{at_path}.name", name, why))
        if name in names:
            found.append(duplicate(f"{at_path}.name", name))
        names.add(name)
        sources = [key for key in volume if key != "name"]
        if not sources:
            found.append(required(at_path, "must specify a volume type"))
        for extra in sources[1:]:
            why = "may not specify more than 1 volume type"
            found.append(not_allowed(f"{at_path}.{extra}", why))
        for source, field in NEEDED_IN_VOLUME.items():
            if source in volume and not volume[source].get(field):
                found.append(required(f"{at_path}.{source}.{field}"))
    return found


def _check_container(container: KubeObject, path: str, volumes: set[Any]) -> list[FieldError]:
    found: list[FieldError] = []
    name, image = container.get("name", ""), container.get("image", "")
    if not name:
        found.append(required(f"{path}.name"))
    elif why := metadata.label(name):
        found.append(wrong(f"{path}.name", name, why))
    if not image:
        found.append(required(f"{path}.image"))
    elif image != image.strip():
        why = "must not have leading or trailing whitespace"
        found.append(wrong(f"{path}.image", image, why))
    if container.get("imagePullPolicy") not in {None, *PULL_POLICIES}:
        policy = container["imagePullPolicy"]
        found.append(unsupported(f"{path}.imagePullPolicy", policy, PULL_POLICIES))
    found += _check_ports(container.get("ports") or [], f"{path}.ports")
    found += _check_env(container, f"{path}.env")
    found += _check_mounts(container.get("volumeMounts") or [], f"{path}.volumeMounts", volumes)
    found += check_resources(container.get("resources") or {}, f"{path}.resources")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            found += _check_probe(container[probe], f"{path}.{probe}")
    return found


def check_port_number(path: str, value: Any) -> list[FieldError]:
    """Return the problem of a port's number."""
    if value is None or value == 0:
        return [required(path)] if value is None else [wrong(path, value, PORT_TEXT)]
    return [] if 1 <= value <= 65535 else [wrong(path, value, PORT_TEXT)]


def check_port_name(path: str, value: str) -> list[FieldError]:
    """Return the problem of a port's name: at most 15 characters, one of them a letter."""
    if len(value) > 15:
        return [wrong(path, value, "must be no more than 15 characters")]
    if _PORT_NAME.match(value) and "--" not in value:
        return []
    why = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    return [wrong(path, value, why)]


def _check_ports(ports: list[KubeObject], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    names: set[str] = set()
    for at, port in enumerate(ports):
        at_path, name = f"{path}[{at}]", port.get("name", "")
        if name:
            found += check_port_name(f"{at_path}.name", name)
            if name in names:
                found.append(duplicate(f"{at_path}.name", name))
            names.add(name)
        found += check_port_number(f"{at_path}.containerPort", port.get("containerPort"))
        if port.get("protocol", "TCP") not in PROTOCOLS:
            found.append(unsupported(f"{at_path}.protocol", port["protocol"], PROTOCOLS))
    return found


def _check_env(container: KubeObject, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for at, variable in enumerate(container.get("env") or []):
        at_path = f"{path}[{at}]"
        if not variable.get("name"):
            found.append(required(f"{at_path}.name"))
        source = variable.get("valueFrom")
        if source is not None and not source:
            why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
            found.append(wrong(f"{at_path}.valueFrom", "", f"{why}`secretKeyRef`"))
        if source and variable.get("value"):
            why = "may not be specified when `value` is not empty"
            found.append(wrong(f"{at_path}.valueFrom", "", why))
        for kind in ("secretKeyRef", "configMapKeyRef"):
            if kind in (source or {}) and not source[kind].get("key"):
                found.append(required(f"{at_path}.valueFrom.{kind}.key"))
    return found


def _check_mounts(mounts: list[KubeObject], path: str, volumes: set[Any]) -> list[FieldError]:
    found: list[FieldError] = []
    places: set[str] = set()
    for at, mount in enumerate(mounts):
        at_path, place = f"{path}[{at}]", mount.get("mountPath", "")
        if not mount.get("name"):
            found.append(required(f"{at_path}.name"))
        elif mount["name"] not in volumes:
            found.append(unknown_value(f"{at_path}.name", mount["name"]))
        if not place:
            found.append(required(f"{at_path}.mountPath"))
        elif place in places:
            found.append(wrong(f"{at_path}.mountPath", place, "must be unique"))
        places.add(place)
    return found


def check_resources(resources: Mapping[str, Any], path: str) -> list[FieldError]:
    """Return the problems of requests and limits."""
    found: list[FieldError] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for group, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            at_path = f"{path}.{group}[{name}]"
            if "/" not in name and name not in STANDARD_RESOURCES and "hugepages-" not in name:
                why = "must be a standard resource type or fully qualified"
                found.append(wrong(at_path, name, why))
            if quantities.parse(value) < 0:
                found.append(wrong(at_path, value, NOT_NEGATIVE))
    for name, value in requests.items():
        if name in limits and quantities.parse(value) > quantities.parse(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            found.append(wrong(f"{path}.requests", value, why))
    return found


def _check_probe(probe: KubeObject, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    handlers = [name for name in HANDLERS if name in probe]
    if not handlers:
        found.append(required(path, "must specify a handler type"))
    for extra in handlers[1:]:
        why = "may not specify more than 1 handler type"
        found.append(not_allowed(f"{path}.{extra}", why))
    for name in ("httpGet", "tcpSocket"):
        port = (probe.get(name) or {}).get("port")
        if name in probe and isinstance(port, int | None):
            found += check_port_number(f"{path}.{name}.port", port)
    if path.endswith("livenessProbe") and probe.get("successThreshold", 1) != 1:
        found.append(wrong(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"):
        if probe.get(field, 0) < 0:
            found.append(wrong(f"{path}.{field}", probe[field], NOT_NEGATIVE))
    return found


def _check_toleration(toleration: KubeObject, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    operator, key = toleration.get("operator", "Equal"), toleration.get("key", "")
    if operator not in {"Equal", "Exists"}:
        found.append(unsupported(f"{path}.operator", operator, ("Equal", "Exists")))
    if not key and operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and '
        found.append(wrong(f"{path}.operator", operator, f'{why}all keys"'))
    if operator == "Exists" and toleration.get("value"):
        why = "value must be empty when `operator` is 'Exists'"
        found.append(wrong(f"{path}.operator", toleration["value"], why))
    if key and (why := metadata.qualified_name(key)):
        found.append(wrong(f"{path}.key", key, why))
    effects = ("NoSchedule", "PreferNoSchedule", "NoExecute")
    if toleration.get("effect") not in {None, "", *effects}:
        found.append(unsupported(f"{path}.effect", toleration["effect"], effects))
    return found


def _check_affinity(affinity: KubeObject, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    required_key = "requiredDuringSchedulingIgnoredDuringExecution"
    nodes = (affinity.get("nodeAffinity") or {}).get(required_key)
    if nodes is not None and not nodes.get("nodeSelectorTerms"):
        at_path = f"{path}.nodeAffinity.{required_key}.nodeSelectorTerms"
        found.append(required(at_path, "must have at least one node selector term"))
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = (affinity.get(kind) or {}).get(required_key) or []
        for at, term in enumerate(terms):
            at_path = f"{path}.{kind}.{required_key}[{at}]"
            if not term.get("topologyKey"):
                found.append(required(f"{at_path}.topologyKey", "can not be empty"))
            found += check_selector(term.get("labelSelector") or {}, f"{at_path}.labelSelector")
    return found


def check_selector(selector: KubeObject, path: str) -> list[FieldError]:
    """Return the problems of a LabelSelector."""
    found = metadata.check_labels(f"{path}.matchLabels", selector.get("matchLabels") or {})
    operators = ("In", "NotIn", "Exists", "DoesNotExist")
    for at, rule in enumerate(selector.get("matchExpressions") or []):
        at_path = f"{path}.matchExpressions[{at}]"
        operator, values = rule.get("operator", ""), rule.get("values")
        if operator not in operators:
            found.append(wrong(f"{at_path}.operator", operator, "not a valid selector operator"))
        elif operator in {"In", "NotIn"} and not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            found.append(required(f"{at_path}.values", why))
        elif operator not in {"In", "NotIn"} and values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(not_allowed(f"{at_path}.values", why))
        if why := metadata.qualified_name(rule.get("key", "")):
            found.append(wrong(f"{at_path}.key", rule.get("key", ""), why))
    return found
